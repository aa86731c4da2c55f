//! The users of these loads, and what they may do.
//!
//! `root` may do everything. The user `bench` has [`USER_ROLES`] of [`ROLES`] roles: one permits the keys of the loads,
//! each other one a range of its own. Numbered users have no role; they only log in.

use ferretcd_api_proto::authpb::{Permission, permission};
use ferretcd_api_proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthenticateRequest,
};
use ferretcd_client::Credentials;

use crate::Outcome;
use crate::check::Client;
use crate::options::Options;
use crate::requests::{PASSWORD, PREFIX, PREFIX_END, Requests};
use crate::server::Server;
use crate::session::round::{LOADING_CLIENTS, send_all};

pub(super) const USER: &str = "bench";
/// The one that permits the keys of the loads.
pub(super) const ROLE: &str = "bench";
const ROOT: &str = "root";
const ROLES: u64 = 1000;
const USER_ROLES: u64 = 100;
/// Users that are added at a time: each takes a core for long, and more of them would only keep etcd's other threads
/// from running.
const ADDING_CLIENTS: usize = 8;

/// Adds `root`, `bench` and the roles, unless they are there. Authentication is off before and after.
pub(super) fn prepare(server: &Server, options: &Options) -> Outcome<()> {
    let client = Client::connect(server.address())?;
    if !client.call(AuthUserListRequest {})?.users.is_empty() {
        return Ok(());
    }
    let others = ROLES - 1;
    let send = |n, requests, what| send_all(server, options, LOADING_CLIENTS, n, requests, what);
    send(others, Requests::add_roles(others), "roles were not added")?;
    send(others, Requests::grant_permissions(others), "roles got no permissions")?;
    client.call(AuthRoleAddRequest { name: ROLE.to_owned() })?;
    let perm = Permission {
        perm_type: permission::Type::Readwrite.into(),
        key: PREFIX.into(),
        range_end: PREFIX_END.into(),
    };
    client.call(AuthRoleGrantPermissionRequest { name: ROLE.to_owned(), perm: Some(perm) })?;
    for (name, role) in [(ROOT, ROOT), (USER, ROLE)] {
        let (name, role) = (name.to_owned(), role.to_owned());
        let user = AuthUserAddRequest {
            name: name.clone(),
            password: PASSWORD.to_owned(),
            ..AuthUserAddRequest::default()
        };
        client.call(user)?;
        client.call(AuthUserGrantRoleRequest { user: name, role })?;
    }
    let others = USER_ROLES - 1;
    send(others, Requests::grant_roles(USER, others), "a user got no roles").map(drop)
}

/// Adds so many numbered users.
pub(super) fn add_users(server: &Server, options: &Options, n_users: u64) -> Outcome<()> {
    let requests = Requests::add_users(n_users);
    send_all(server, options, ADDING_CLIENTS, n_users, requests, "users were not added").map(drop)
}

/// Turns authentication on; `root` as a client.
pub(super) fn enable(server: &Server) -> Outcome<Client> {
    Client::connect(server.address())?.call(AuthEnableRequest {})?;
    let root = Credentials { user: ROOT.to_owned(), password: PASSWORD.to_owned() };
    Client::connect_as(Some(root), server.address())
}

/// A token of the user `bench`.
pub(super) fn token(server: &Server) -> Outcome<String> {
    let login = AuthenticateRequest { name: USER.to_owned(), password: PASSWORD.to_owned() };
    Ok(Client::connect(server.address())?.call(login)?.token)
}
