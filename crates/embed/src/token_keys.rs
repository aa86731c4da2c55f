//! The keys of tokens, loaded, and loaded again when their files change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ferretcd_auth::{JwtKeyError, JwtKeys, SignMethod};
use ferretcd_engine::TokenConfig;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::Tokens;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The keys of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// A file cannot be read.
    #[error(
        "read the key of --auth-token from {path}: {source}; {option} has to name a file that can be read"
    )]
    Read {
        /// The option that names the file.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// There is no key, or one that does not fit.
    #[error("use the keys of --auth-token in {files}: {source}")]
    Key {
        /// The files.
        files: String,
        /// The reason.
        source: JwtKeyError,
    },
}

/// The files of the keys.
#[derive(Clone, Debug)]
struct Files {
    method: SignMethod,
    public_key: Option<PathBuf>,
    private_key: Option<PathBuf>,
}

/// What the files have in them.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    public: Option<Vec<u8>>,
    private: Option<Vec<u8>>,
}

/// Keys that follow their files.
pub(crate) struct TokenKeys {
    files: Files,
    contents: Contents,
    keys: Arc<ArcSwap<JwtKeys>>,
}

/// What the engine needs, and the keys that have files.
pub(crate) fn load(tokens: &Tokens) -> Result<(TokenConfig, Option<TokenKeys>), TokenKeyError> {
    let (files, ttl) = match tokens.clone() {
        Tokens::None => return Ok((TokenConfig::None, None)),
        Tokens::Simple { ttl } => return Ok((TokenConfig::Simple { ttl }, None)),
        Tokens::Jwt { method, public_key, private_key, ttl } => {
            (Files { method, public_key, private_key }, ttl)
        }
    };
    let contents = files.read()?;
    let keys = Arc::new(ArcSwap::from_pointee(files.keys(&contents)?));
    let config = TokenConfig::Jwt { keys: Arc::clone(&keys), ttl };
    Ok((config, Some(TokenKeys { files, contents, keys })))
}

impl Files {
    fn read(&self) -> Result<Contents, TokenKeyError> {
        Ok(Contents {
            public: read(self.public_key.as_deref(), "pub-key")?,
            private: read(self.private_key.as_deref(), "priv-key")?,
        })
    }

    fn keys(&self, contents: &Contents) -> Result<JwtKeys, TokenKeyError> {
        let Contents { public, private } = contents;
        JwtKeys::from_files(self.method, public.as_deref(), private.as_deref()).map_err(|source| {
            let files = [&self.public_key, &self.private_key];
            let files: Vec<_> = files.into_iter().flatten().map(|path| path.display().to_string()).collect();
            TokenKeyError::Key {
                files: if files.is_empty() { "no file".to_owned() } else { files.join(", ") },
                source,
            }
        })
    }
}

fn read(path: Option<&Path>, option: &'static str) -> Result<Option<Vec<u8>>, TokenKeyError> {
    let Some(path) = path else { return Ok(None) };
    let read = fs::read(path).map(Some);
    read.map_err(|source| TokenKeyError::Read { option, path: path.to_owned(), source })
}

impl TokenKeys {
    /// Follows the files until the keys are not used any more. Files that cannot be used change nothing.
    pub(crate) async fn follow(mut self) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Arc::strong_count(&self.keys) > 1 {
            looks.tick().await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(keys) => self = keys,
                Err(_) => return,
            }
        }
    }

    fn look(&mut self) {
        let found = self.files.read().and_then(|contents| {
            if contents == self.contents {
                return Ok(None);
            }
            let keys = self.files.keys(&contents);
            // Also if they are of no use: once is enough to say so.
            self.contents = contents;
            keys.map(Some)
        });
        match found {
            Ok(None) => {}
            Ok(Some(keys)) => {
                self.keys.store(Arc::new(keys));
                tracing::info!("the keys of tokens were read again");
            }
            Err(error) => {
                tracing::warn!(%error, "the keys of tokens cannot be read again; the old ones stay");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(private_key: &Path) -> Tokens {
        Tokens::Jwt {
            method: SignMethod::Hs256,
            public_key: None,
            private_key: Some(private_key.to_owned()),
            ttl: Duration::from_secs(60),
        }
    }

    #[test]
    fn changed_file_changes_the_keys() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("secret");
        fs::write(&file, "one").expect("a file");
        let (config, keys) = load(&tokens(&file)).expect("a secret");
        let mut keys = keys.expect("a file to follow");
        let TokenConfig::Jwt { keys: used, .. } = config else { panic!("{config:?}") };
        let old = used.load().sign("alice", 7, 1 << 40).expect("a secret signs");
        assert!(used.load().verify(old.as_bytes(), 0).is_ok());
        fs::write(&file, "two").expect("a file");
        keys.look();
        assert!(used.load().verify(old.as_bytes(), 0).is_err());
        let new = used.load().sign("alice", 7, 1 << 40).expect("a secret signs");
        // What cannot be used changes nothing.
        fs::remove_file(&file).expect("it is there");
        keys.look();
        fs::write(&file, "").expect("a file");
        keys.look();
        assert!(used.load().verify(new.as_bytes(), 0).is_ok());
    }

    #[test]
    fn missing_file_is_named() {
        let error = load(&tokens(Path::new("/nowhere/key"))).err().expect("there is none").to_string();
        assert!(error.contains("--auth-token") && error.contains("/nowhere/key"), "{error}");
    }
}
