//! Snapshots: the whole state on its way from one member to another.
//!
//! ```text
//!   ferretcd_backend::View ──export──► bolt image, as bytes to be read ──► a file of the receiver
//!                                                                       │ import
//!   StateMachine ◄──restore── Backend ◄──replace── state file ◄─────────┘
//! ```
//!
//! The image is a database as etcd has it, so either program can read what the other one sends. Neither way keeps
//! more in memory than some pages and a bounded batch of rows, whatever the size of the state.
//!
//! ```
//! use std::io::Read;
//!
//! use ferretcd_apply::{Applied, snapshot};
//! use ferretcd_backend::{Backend, Batch};
//! use ferretcd_base::LogPosition;
//!
//! let sender = Backend::in_memory();
//! let mut batch = Batch::default();
//! let conf_state = r#"{"voters":[1],"auto_leave":false}"#.into();
//! Applied { position: LogPosition::new(7, 2), conf_state }.store(&mut batch);
//! sender.commit(&batch)?;
//!
//! let mut export = snapshot::export(sender.view())?;
//! let mut image = Vec::new();
//! assert_eq!(export.read_to_end(&mut image)? as u64, export.len());
//!
//! let receiver = Backend::in_memory();
//! let applied = snapshot::import_into(&image[..], &receiver, |_| ())?;
//! assert_eq!(&applied, export.mark());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod export;
mod import;
mod restore;

pub use error::{ExportError, ImportError};
pub use export::{Export, export};
pub use import::{import, import_into};
