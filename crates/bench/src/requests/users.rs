//! Requests about users and roles, which have a number each.

use ferretcd_api_proto::authpb::{Permission, permission};
use ferretcd_api_proto::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest, AuthUserGrantRoleRequest,
    AuthenticateRequest,
};

use super::{KEY_DIGITS, Requests, marked};
use crate::order::Order;

/// The password of every user.
pub(crate) const PASSWORD: &str = "a password of the bench";

const USER_PREFIX: &str = "user/";
const ROLE_PREFIX: &str = "role/";
/// Where the keys begin that numbered roles permit. No load is about them.
const OWN_PREFIX: &str = "own/";
/// A simple token has sixteen letters, a dot and the index of the login. An error response has no token.
const TOKEN_BYTES_MIN: usize = 18;

impl Requests {
    /// Adds the users `0..users`, each once.
    pub(crate) fn add_users(users: u64) -> Self {
        let name = marked(USER_PREFIX, "", KEY_DIGITS);
        let request = AuthUserAddRequest { name, password: PASSWORD.into(), ..AuthUserAddRequest::default() };
        Self::of_each("/etcdserverpb.Auth/UserAdd", &request, users)
    }

    /// Logins of the users `0..users`, each again and again.
    pub(crate) fn log_in(users: u64) -> Self {
        let name = marked(USER_PREFIX, "", KEY_DIGITS);
        let request = AuthenticateRequest { name, password: PASSWORD.into() };
        let requests = Self::of_each("/etcdserverpb.Auth/Authenticate", &request, users);
        Self { response_bytes_min: TOKEN_BYTES_MIN, ..requests }
    }

    /// Adds the roles `0..roles`, each once.
    pub(crate) fn add_roles(roles: u64) -> Self {
        let request = AuthRoleAddRequest { name: marked(ROLE_PREFIX, "", KEY_DIGITS) };
        Self::of_each("/etcdserverpb.Auth/RoleAdd", &request, roles)
    }

    /// Gives each of the roles `0..roles` the permission on a range of its own.
    pub(crate) fn grant_permissions(roles: u64) -> Self {
        let permission = Permission {
            perm_type: permission::Type::Readwrite.into(),
            key: marked(OWN_PREFIX, "/", KEY_DIGITS).into(),
            range_end: marked(OWN_PREFIX, "0", KEY_DIGITS).into(),
        };
        let name = marked(ROLE_PREFIX, "", KEY_DIGITS);
        let request = AuthRoleGrantPermissionRequest { name, perm: Some(permission) };
        Self::of_each("/etcdserverpb.Auth/RoleGrantPermission", &request, roles)
    }

    /// Gives the roles `0..roles` to a user.
    pub(crate) fn grant_roles(user: &str, roles: u64) -> Self {
        let role = marked(ROLE_PREFIX, "", KEY_DIGITS);
        let request = AuthUserGrantRoleRequest { user: user.to_owned(), role };
        Self::of_each("/etcdserverpb.Auth/UserGrantRole", &request, roles)
    }

    fn of_each(path: &'static str, request: &impl prost::Message, n: u64) -> Self {
        Self::new(path, request, KEY_DIGITS, Order::each(n), 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Instant;

    use prost::Message as _;

    use super::*;

    #[test]
    fn each_role_permits_a_range_of_its_own() {
        let mut requests = Requests::grant_permissions(50);
        let mut ranges = BTreeSet::new();
        for _ in 0..50 {
            let request =
                AuthRoleGrantPermissionRequest::decode(&requests.next(Instant::now())[5..]).unwrap();
            let number = request.name.strip_prefix(ROLE_PREFIX).unwrap();
            let permission = request.perm.unwrap();
            assert_eq!(permission.key, format!("{OWN_PREFIX}{number}/"));
            assert_eq!(permission.range_end, format!("{OWN_PREFIX}{number}0"));
            ranges.insert(permission.key);
        }
        assert_eq!(ranges.len(), 50);
    }

    #[test]
    fn users_log_in_as_they_were_added() {
        let (mut adding, mut logins) = (Requests::add_users(30), Requests::log_in(30));
        let mut names = BTreeSet::new();
        for _ in 0..30 {
            let added = AuthUserAddRequest::decode(&adding.next(Instant::now())[5..]).unwrap();
            let login = AuthenticateRequest::decode(&logins.next(Instant::now())[5..]).unwrap();
            assert_eq!((&added.name, &added.password), (&login.name, &login.password));
            names.insert(login.name);
        }
        assert_eq!(names.len(), 30);
    }
}
