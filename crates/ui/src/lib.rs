//! The page for people: what a member does, in a browser.
//!
//! A few files, HTML, CSS and JavaScript modules, that are part of the binary. They are served below `/ui/` and talk to
//! the member as every other client does, from the same origin: by the JSON gateway, `/metrics`, `/health` and
//! `/version`, with a user's name and password if the member asks for them. So the crate knows no member, and serving it
//! gives a visitor nothing that the port does not give already.
//!
//! * [`Reach`]: which connections the page is served to.
//! * [`Ui`]: the response to a request, a plain function.
//!
//! Invariants:
//! * Every response says that only files of this page may be loaded, that no text becomes markup and that no other page
//!   may frame it.
//! * With [`Reach::Loopback`] the files go to this machine alone: over loopback addresses or a Unix socket, and to
//!   requests that name a loopback host. The name keeps out sites that point theirs here, and visitors of a proxy that
//!   passes on the name they asked for. Proxies that send the member's name, as nginx and Apache do by default, open the page.
//!
//! ```
//! use ferretcd_ui::{Reach, Ui};
//! use http::{Request, StatusCode};
//!
//! let ui = Ui::new(Reach::Loopback).expect("it is served");
//! let (request, ()) = Request::get("/ui/").header("host", "localhost:2379").body(())?.into_parts();
//! assert!(Ui::has_path(&request.uri));
//! assert_eq!(ui.respond(&request, true).status(), StatusCode::OK);
//! assert_eq!(ui.respond(&request, false).status(), StatusCode::FORBIDDEN);
//! # Ok::<(), http::Error>(())
//! ```

mod assets;
mod reach;
mod respond;

pub use reach::Reach;
pub use respond::Ui;
