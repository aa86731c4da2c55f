//! Outcomes of calls that clients match on.

pub(crate) const OK: &str = "ok";
pub(crate) const NO_USER: &str = "InvalidArgument: etcdserver: user name is empty";
pub(crate) const BAD_TOKEN: &str = "Unauthenticated: etcdserver: invalid auth token";
pub(crate) const DENIED: &str = "PermissionDenied: etcdserver: permission denied";
pub(crate) const OLD: &str = "InvalidArgument: etcdserver: revision of auth store is old";
pub(crate) const FAILED: &str =
    "InvalidArgument: etcdserver: authentication failed, invalid user ID or password";
pub(crate) const NO_PASSWORD: &str =
    "Unknown: auth: authentication failed, password was given for no password user";
pub(crate) const NOT_ENABLED: &str = "FailedPrecondition: etcdserver: authentication is not enabled";
pub(crate) const MANAGEMENT: &str = "InvalidArgument: etcdserver: invalid auth management";
pub(crate) const NO_SUCH_USER: &str = "FailedPrecondition: etcdserver: user name not found";
pub(crate) const NO_SUCH_ROLE: &str = "FailedPrecondition: etcdserver: role name not found";
pub(crate) const USER_EXISTS: &str = "FailedPrecondition: etcdserver: user name already exists";
pub(crate) const ROLE_EXISTS: &str = "FailedPrecondition: etcdserver: role name already exists";
pub(crate) const NO_ROLE_NAME: &str = "InvalidArgument: etcdserver: role name is empty";
pub(crate) const NOT_GRANTED: &str = "FailedPrecondition: etcdserver: role is not granted to the user";
pub(crate) const NO_PERMISSION: &str = "InvalidArgument: etcdserver: permission not given";
pub(crate) const NOT_OF_ROLE: &str = "FailedPrecondition: etcdserver: permission is not granted to the role";
pub(crate) const TOO_LONG: &str = "Unknown: bcrypt: password length exceeds 72 bytes";
pub(crate) const NO_ROOT: &str = "FailedPrecondition: etcdserver: root user does not exist";
pub(crate) const NO_ROOT_ROLE: &str = "FailedPrecondition: etcdserver: root user does not have root role";
pub(crate) const VERIFY_ONLY: &str = "Unknown: auth: token signing attempted with verify-only key";

/// The error in the cancel reason of a watch that was never created.
pub(crate) fn as_reason(outcome: &str) -> String {
    let (code, text) = outcome.split_once(": ").expect("it is a code and a text");
    format!("rpc error: code = {code} desc = {text}")
}
