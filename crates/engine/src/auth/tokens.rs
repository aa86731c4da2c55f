//! Tokens: made at a login, and known again with each request.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use ferretcd_apply::SimpleToken;
use ferretcd_auth::{
    AuthError, Claims, JwtKeys, JwtRejected, SignedClaims, SimpleTokens, simple_token, simple_token_index,
    simple_token_prefix,
};
use quick_cache::sync::Cache;

use super::passwords::random;
use crate::RequestError;
use crate::replies::blocking;

/// Signed tokens that are remembered; some kilobytes each.
const VERIFIED_MAX: usize = 4096;

/// The tokens that users get.
#[derive(Clone)]
pub enum TokenConfig {
    /// None: users are known by their certificates alone.
    None,
    /// Random texts, which every member remembers.
    Simple {
        /// How long a token lives after its last use.
        ttl: Duration,
    },
    /// Signed texts, which no member remembers.
    Jwt {
        /// The keys; those that are there when a token is made or checked count.
        keys: Arc<ArcSwap<JwtKeys>>,
        /// How long a token lives.
        ttl: Duration,
    },
}

impl fmt::Debug for TokenConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Simple { ttl } => f.debug_struct("Simple").field("ttl", ttl).finish(),
            Self::Jwt { ttl, .. } => f.debug_struct("Jwt").field("ttl", ttl).finish_non_exhaustive(),
        }
    }
}

/// The tokens that are valid.
#[derive(Debug)]
pub(crate) enum Tokens {
    None,
    Simple(Box<SimpleTokens>),
    Jwt(Box<Jwt>),
}

pub(crate) struct Jwt {
    keys: Arc<ArcSwap<JwtKeys>>,
    ttl: Duration,
    /// Tokens whose signature was verified: that takes longer than a read.
    verified: Cache<Bytes, Verified>,
}

/// A token whose signature was verified.
#[derive(Clone)]
struct Verified {
    claims: Arc<SignedClaims>,
    /// With these keys.
    keys: Weak<JwtKeys>,
}

impl Jwt {
    fn verify(&self, token: &Bytes) -> Result<Claims, JwtRejected> {
        let (keys, now) = (self.keys.load_full(), unix_now());
        if let Some(verified) = self.verified.get(token)
            && verified.keys.as_ptr() == Arc::as_ptr(&keys)
        {
            return verified.claims.at(now);
        }
        let claims = Arc::new(keys.verify_signature(token)?);
        let current = claims.at(now)?;
        self.verified.insert(token.clone(), Verified { claims, keys: Arc::downgrade(&keys) });
        Ok(current)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// A user that has logged in.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) revision: u64,
    pub(crate) token: Option<SimpleToken>,
}

/// What is known of a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is a user's.
    User {
        name: Arc<str>,
        /// The revision of users and roles that the token is for; `None` for the one of the moment.
        revision: Option<u64>,
    },
    /// It may come from an entry that this member has not applied.
    NotYet,
    /// It is no user's.
    NoUser,
    /// It is no signed token, or not any more.
    Rejected(JwtRejected),
}

impl Tokens {
    pub(crate) fn new(config: &TokenConfig) -> Self {
        match config {
            TokenConfig::None => Self::None,
            TokenConfig::Simple { ttl } => Self::Simple(Box::new(SimpleTokens::new(*ttl, Instant::now()))),
            TokenConfig::Jwt { keys, ttl } => {
                let verified = Cache::new(VERIFIED_MAX);
                Self::Jwt(Box::new(Jwt { keys: Arc::clone(keys), ttl: *ttl, verified }))
            }
        }
    }

    /// What the entry of a login says of its token.
    pub(crate) fn new_letters(&self) -> String {
        match self {
            Self::Simple(_) => simple_token_prefix(random_bytes()),
            Self::None | Self::Jwt(_) => String::new(),
        }
    }

    /// The token for a login. Every member has the entry, this one has applied it.
    pub(crate) async fn issue(&self, login: Login) -> Result<String, RequestError> {
        match self {
            // What etcd answers, although nothing was wrong with the password.
            Self::None => Err(AuthError::Failed.into()),
            Self::Simple(_) => {
                let SimpleToken { letters, index } = login.token.ok_or(AuthError::Failed)?;
                Ok(simple_token(&letters, index))
            }
            Self::Jwt(jwt) => {
                let keys = jwt.keys.load_full();
                if !keys.can_sign() {
                    return Err(RequestError::CannotSign);
                }
                let expires = unix_now().saturating_add(jwt.ttl.as_secs().try_into().unwrap_or(i64::MAX));
                // Some methods take a millisecond.
                blocking(move || {
                    keys.sign(&login.username, login.revision, expires).map_err(|error| {
                        tracing::error!(%error, "a token could not be signed");
                        RequestError::CannotSign
                    })
                })
                .await
            }
        }
    }

    /// Whose token it is, on a member that has applied the log up to `applied`.
    pub(crate) fn find(&self, token: &Bytes, now: Instant, applied: u64) -> Known {
        match self {
            Self::None => Known::NoUser,
            Self::Simple(tokens) => match tokens.user_of(token, now) {
                Some(name) => Known::User { name, revision: None },
                // The token comes from the next entry.
                None if simple_token_index(token).is_some_and(|index| index >= applied) => Known::NotYet,
                None => Known::NoUser,
            },
            Self::Jwt(jwt) => match jwt.verify(token) {
                Ok(claims) => Known::User { name: claims.username, revision: Some(claims.revision) },
                Err(reason) => Known::Rejected(reason),
            },
        }
    }

    /// A user has logged in, at this or another member.
    pub(crate) fn assign(&self, username: &str, token: &SimpleToken, now: Instant) {
        if let Self::Simple(tokens) = self {
            tokens.assign(username, simple_token(&token.letters, token.index), now);
        }
    }

    /// The tokens of a user are void.
    pub(crate) fn remove_user(&self, username: &str) {
        if let Self::Simple(tokens) = self {
            tokens.remove_user(username);
        }
    }

    /// All tokens are void.
    pub(crate) fn clear(&self) {
        if let Self::Simple(tokens) = self {
            tokens.clear();
        }
    }

    /// Forgets those that have expired, which count no more anyway.
    pub(crate) fn remove_expired(&self, now: Instant) {
        if let Self::Simple(tokens) = self {
            tokens.remove_expired(now);
        }
    }
}

/// Random bytes, as many as wanted.
fn random_bytes() -> impl FnMut() -> u8 {
    let mut pool = [0; 32];
    let mut left = 0;
    move || {
        if left == 0 {
            pool = random();
            left = pool.len();
        }
        left -= 1;
        pool[left]
    }
}

#[expect(clippy::disallowed_methods, reason = "signed tokens end at a time of day")]
fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
