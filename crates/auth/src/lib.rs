//! Users, roles and range permissions, and what proves an identity.
//!
//! * [`AuthStore`] is replicated state: users, roles and whether authentication is on. It changes only by what came out of
//!   the log and is the same on every member. [`AuthReader`] gives any thread the [`AuthState`] of the moment, which does
//!   not change any more: checks need no lock.
//! * [`AuthState::check_access`] and [`AuthState::check_root`] decide what a user may do, in the order of etcd's checks.
//!
//! ```text
//!   log ──changes──► AuthStore ──► rows of the buckets auth, authUsers, authRoles
//!                        │ publish
//!                        ▼
//!   AuthReader ──load──► AuthState ──check──► may the user do this?
//! ```
//!
//! ```
//! use ferretcd_api_proto::authpb::{Permission, permission::Type};
//! use ferretcd_auth::{Access, AuthError, AuthInfo, AuthStore, ROOT};
//! use ferretcd_backend::{Backend, Batch};
//! use ferretcd_base::KeyRange;
//!
//! let mut batch = Batch::default();
//! let mut store = AuthStore::open(&Backend::in_memory())?;
//! store.add_user(ROOT, None, &mut batch)?;
//! store.grant_role(ROOT, ROOT, &mut batch)?;
//! store.add_role("reader", &mut batch)?;
//! let logs = Permission { perm_type: Type::Read.into(), key: "log/".into(), range_end: "log0".into() };
//! store.grant_permission("reader", Some(logs), &mut batch)?;
//! store.add_user("alice", None, &mut batch)?;
//! store.grant_role("alice", "reader", &mut batch)?;
//! store.enable(&mut batch)?;
//!
//! let reader = store.reader();
//! let state = reader.load();
//! let alice = AuthInfo { username: "alice", revision: state.revision() };
//! let today = KeyRange::Key("log/today".into());
//! assert_eq!(state.check_access(alice, Access::Read, &today), Ok(()));
//! assert_eq!(state.check_access(alice, Access::Write, &today), Err(AuthError::Denied));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod jwt;
mod key_files;
mod key_ranges;
mod password;
mod pem;
mod sign_method;
mod signing;
mod simple_tokens;
mod state;
mod store;
mod token_spec;
mod verified;

pub use error::{AuthError, OpenError};
pub use jwt::{Claims, JwtKeys, JwtRejected, SignError, SignedClaims};
pub use key_files::{JwtKeyError, KeyFile};
pub use key_ranges::KeyRanges;
pub use password::{
    COST_DEFAULT, COST_MAX, COST_MIN, PasswordError, decoy_hash, hash_password, verify_password,
};
pub use sign_method::{SignMethod, UnknownSignMethod};
pub use simple_tokens::{
    SimpleTokens, simple_token, simple_token_index, simple_token_prefix, token_fingerprint,
};
pub use state::{Access, AuthInfo, AuthState, ROOT, User};
pub use store::{AuthReader, AuthStore};
pub use token_spec::{TokenSpec, TokenSpecError};
pub use verified::VerifiedPasswords;
