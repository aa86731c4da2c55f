//! Files with the settings that name them.

use std::path::Path;

use crate::{Error, KeyFiles};

/// A setting, by the name of its flag without dashes, and the file that it names.
pub type NamedFile<'a> = (&'static str, &'a Path);

/// Files that can't be used, with the settings that name them.
#[derive(Debug, thiserror::Error)]
#[error("{}{source}", prefix(settings))]
pub struct CertificateError {
    settings: Vec<&'static str>,
    source: Error,
}

impl CertificateError {
    /// `named` are the files that the error can be about.
    pub fn new(source: Error, named: &[NamedFile<'_>]) -> Self {
        let files = source.files();
        let settings = named.iter().filter(|(_, path)| files.contains(path)).map(|(name, _)| *name).collect();
        Self { settings, source }
    }
}

fn prefix(settings: &[&str]) -> String {
    let flags: Vec<_> = settings.iter().map(|name| format!("--{name}")).collect();
    if flags.is_empty() { String::new() } else { format!("{}: ", flags.join(", ")) }
}

impl KeyFiles {
    /// Both files, each with the setting that names it.
    pub fn named(&self, cert: &'static str, key: &'static str) -> [NamedFile<'_>; 2] {
        [(cert, &self.cert), (key, &self.key)]
    }
}
