//! How users prove their identity.

use std::path::PathBuf;
use std::time::Duration;

use ferretcd_auth::SignMethod;

/// Passwords and tokens.
#[derive(Clone, Debug)]
pub struct Auth {
    /// The tokens that users get when they log in.
    pub tokens: Tokens,
    /// How much work the hash of a password is: two to the power of this, 4 to 31.
    pub bcrypt_cost: u32,
}

/// The tokens that users get when they log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// None: users are known by their certificates alone.
    None,
    /// Random texts, which every member remembers.
    Simple {
        /// How long a token lives after its last use.
        ttl: Duration,
    },
    /// Signed texts, which no member remembers. Their files are looked at anew every few seconds.
    Jwt {
        /// How they are signed.
        method: SignMethod,
        /// File of the key that they are checked with.
        public_key: Option<PathBuf>,
        /// File of the key that they are signed with, or of the secret that both need.
        private_key: Option<PathBuf>,
        /// How long a token lives.
        ttl: Duration,
    },
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            tokens: Tokens::Simple { ttl: Duration::from_secs(300) },
            bcrypt_cost: ferretcd_auth::COST_DEFAULT,
        }
    }
}
