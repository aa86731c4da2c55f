//! Users, roles and a login, without a server: `cargo run -p ferretcd-auth --example may_alice`.

#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_api_proto::authpb::{Permission, permission::Type};
use ferretcd_auth::{
    Access, AuthInfo, AuthStore, ROOT, SimpleTokens, hash_password, simple_token, verify_password,
};
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::KeyRange;

fn main() -> Result<(), Box<dyn Error>> {
    // Time and randomness are the caller's. Salts of one's own should not be constant.
    let (now, salt) = (Instant::now(), *b"sixteen bytes!!!");
    let (backend, mut batch) = (Backend::in_memory(), Batch::default());
    let mut store = AuthStore::open(&backend)?;
    store.add_user(ROOT, None, &mut batch)?;
    store.grant_role(ROOT, ROOT, &mut batch)?;
    store.add_user("alice", Some(hash_password(b"rabbit", 4, salt, || true)?.into()), &mut batch)?;
    store.add_role("logs", &mut batch)?;
    let logs = Permission { perm_type: Type::Read.into(), key: "log/".into(), range_end: "log0".into() };
    store.grant_permission("logs", Some(logs), &mut batch)?;
    store.grant_role("alice", "logs", &mut batch)?;
    store.enable(&mut batch)?;
    backend.commit(&batch)?;

    let state = store.reader().load().clone();
    let hash = state.user("alice").and_then(|user| user.password_hash()).unwrap_or_default();
    println!("the password is right: {}", verify_password(b"rabbit", hash, || true));

    let tokens = SimpleTokens::new(Duration::from_secs(300), now);
    let token = simple_token("abcdefghijklmnop", 7);
    tokens.assign("alice", token.clone(), now);
    let user = tokens.user_of(token.as_bytes(), now).ok_or("the token has just been made")?;
    println!("the token is that of {user}");

    let alice = AuthInfo { username: &user, revision: state.revision() };
    for (access, key) in [(Access::Read, "log/today"), (Access::Write, "log/today"), (Access::Read, "secret")]
    {
        let may = state.check_access(alice, access, &KeyRange::Key(Bytes::from_static(key.as_bytes())));
        println!("{access:?} {key}: {}", may.map_or_else(|error| error.to_string(), |()| "yes".to_owned()));
    }
    Ok(())
}
