//! What a handler tells the layers around it about its request: they see no messages, only their sizes.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::Extensions;

use crate::subject::Subject;

/// A place for what a handler knows of its request. It is among the extensions of those requests alone of which a layer
/// wants to know more, so that others cost one look.
#[derive(Clone, Debug, Default)]
pub struct Note(Arc<OnceLock<Noted>>);

struct Noted {
    message: Box<dyn Describe>,
    began: Instant,
}

impl fmt::Debug for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The message may hold a secret.
        f.debug_struct("Noted").field("began", &self.began).finish_non_exhaustive()
    }
}

/// A request as logs may show it: without values and secrets.
pub trait Describe: Send + Sync + 'static {
    /// What the line `request stats` has beside sizes and times; `None` for messages of which etcd shows nothing.
    fn content(&self) -> Option<Content> {
        None
    }

    /// Says what the request is about: keys, names, ids.
    fn subject(&self, _subject: &mut Subject) {}

    /// What the handler does, for a trace; `None` for what etcd has no span of.
    fn work(&self) -> Option<Work> {
        None
    }
}

/// What a handler does, for a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Its name.
    pub name: &'static str,
    /// What it works on, by name.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// A value in a trace.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// A truth value.
    Flag(bool),
}

/// The content of a request in the line `request stats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// How many keys it writes, as etcd counts them; -1 if that depends on the response.
    pub count: i64,
    /// Its text.
    pub text: String,
}

impl Note {
    /// The place for notes of a request with these extensions, if one is wanted.
    pub fn of(extensions: &Extensions) -> Option<&Note> {
        extensions.get()
    }

    /// The same; makes one if there is none yet.
    pub fn want(extensions: &mut Extensions) -> Note {
        extensions.get_or_insert_default::<Note>().clone()
    }

    /// Fills it; only the first call counts.
    pub fn fill(&self, message: impl Describe) {
        let _ = self.0.set(Noted { message: Box::new(message), began: Instant::now() });
    }

    /// What the handler does and since when, if it was reached.
    pub fn work(&self) -> Option<(Work, Instant)> {
        let noted = self.0.get()?;
        Some((noted.message.work()?, noted.began))
    }

    /// The request, if the handler was reached.
    pub(crate) fn message(&self) -> Option<&dyn Describe> {
        self.0.get().map(|noted| &*noted.message)
    }
}
