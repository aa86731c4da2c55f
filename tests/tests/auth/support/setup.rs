//! Servers, users and roles. Its functions panic when a step fails.

use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_api_proto::etcdserverpb::AuthEnableRequest;
use ferretcd_tests::{Caller, Cluster, Options, report};

use super::requests::{role_add, role_grant, user_add, user_grant};

pub(crate) const ROOT: &str = "root";
/// The password of every user, unless a test is about passwords.
pub(crate) const PASSWORD: &str = "secret";
/// Tests are not about the strength of hashes.
pub(crate) const FAST_HASHES: &str = "--bcrypt-cost=4";

/// Starts a server without users. `None` if the target is not available on this machine, which is reported.
pub(crate) async fn started<C: Cluster>(what: &str) -> Option<(C, Caller)> {
    started_with(what, &[]).await
}

/// As [`started`], with further flags.
pub(crate) async fn started_with<C: Cluster>(what: &str, flags: &[&str]) -> Option<(C, Caller)> {
    if !report::available::<C>(what) {
        return None;
    }
    let flags = [&[FAST_HASHES], flags].concat().into_iter().map(str::to_owned).collect();
    let cluster = C::start(&Options { flags }).await.unwrap_or_else(|error| panic!("failed to {error}"));
    let caller = Caller::of(&cluster.endpoint());
    Some((cluster, caller))
}

/// Adds the user `root` with the role `root`, enables authentication and logs in.
pub(crate) async fn root(caller: &Caller) -> Caller {
    user(caller, ROOT, &[]).await;
    caller.call(role_add(ROOT)).await.expect("the role can be added");
    caller.call(user_grant(ROOT, ROOT)).await.expect("the role can be granted");
    enabled(caller).await
}

/// Enables authentication and logs in as `root`.
pub(crate) async fn enabled(caller: &Caller) -> Caller {
    caller.call(AuthEnableRequest {}).await.expect("there is a root user with the root role");
    log_in(caller, ROOT).await
}

/// Logs in with the usual password.
pub(crate) async fn log_in(caller: &Caller, name: &str) -> Caller {
    let logged_in = caller.log_in(name, PASSWORD).await;
    logged_in.unwrap_or_else(|status| panic!("{name} can't log in: {status}"))
}

/// Adds a user with the usual password and these roles.
pub(crate) async fn user(root: &Caller, name: &str, roles: &[&str]) {
    root.call(user_add(name, PASSWORD)).await.expect("the user can be added");
    for role in roles {
        root.call(user_grant(name, role)).await.expect("the role can be granted");
    }
}

/// Adds a role with these permissions: kind, key and range end.
pub(crate) async fn role(root: &Caller, name: &str, permissions: &[(Type, &str, &str)]) {
    root.call(role_add(name)).await.expect("the role can be added");
    for (kind, key, end) in permissions {
        grant(root, name, *kind, key, end).await;
    }
}

/// Grants a permission to a role.
pub(crate) async fn grant(root: &Caller, name: &str, kind: Type, key: &str, end: &str) {
    root.call(role_grant(name, kind, key, end)).await.expect("the permission can be granted");
}

/// Adds a user with a role of its own that has these permissions, and logs in.
pub(crate) async fn user_with(root: &Caller, name: &str, permissions: &[(Type, &str, &str)]) -> Caller {
    role(root, name, permissions).await;
    user(root, name, &[name]).await;
    log_in(root, name).await
}
