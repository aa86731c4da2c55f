//! The methods that are served, for the routes and for the layers that count and log them.

use ferretcd_interceptors::{Rpc, RpcKind};

pub(crate) const PUT: &str = "/etcdserverpb.KV/Put";
pub(crate) const RANGE: &str = "/etcdserverpb.KV/Range";
pub(crate) const TXN: &str = "/etcdserverpb.KV/Txn";
pub(crate) const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
pub(crate) const LEASE_KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
pub(crate) const STATUS: &str = "/etcdserverpb.Maintenance/Status";
pub(crate) const SNAPSHOT: &str = "/etcdserverpb.Maintenance/Snapshot";
pub(crate) const HEALTH_LIST: &str = "/grpc.health.v1.Health/List";

/// Every method of every service of [`Server`](crate::Server).
pub(crate) const RPCS: &[Rpc] = &[
    Rpc::new(RANGE, RpcKind::Unary),
    Rpc::new("/etcdserverpb.KV/RangeStream", RpcKind::ServerStream),
    Rpc::new(PUT, RpcKind::Unary),
    Rpc::new("/etcdserverpb.KV/DeleteRange", RpcKind::Unary),
    Rpc::new(TXN, RpcKind::Unary),
    Rpc::new("/etcdserverpb.KV/Compact", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Watch/Watch", RpcKind::BidiStream),
    Rpc::new(LEASE_GRANT, RpcKind::Unary),
    Rpc::new("/etcdserverpb.Lease/LeaseRevoke", RpcKind::Unary),
    Rpc::new(LEASE_KEEP_ALIVE, RpcKind::BidiStream),
    Rpc::new("/etcdserverpb.Lease/LeaseTimeToLive", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Lease/LeaseLeases", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Cluster/MemberAdd", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Cluster/MemberRemove", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Cluster/MemberUpdate", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Cluster/MemberList", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Cluster/MemberPromote", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Maintenance/Alarm", RpcKind::Unary),
    Rpc::new(STATUS, RpcKind::Unary),
    Rpc::new("/etcdserverpb.Maintenance/Defragment", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Maintenance/Hash", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Maintenance/HashKV", RpcKind::Unary),
    Rpc::new(SNAPSHOT, RpcKind::ServerStream),
    Rpc::new("/etcdserverpb.Maintenance/MoveLeader", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Maintenance/Downgrade", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/AuthEnable", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/AuthDisable", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/AuthStatus", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/Authenticate", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/UserAdd", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/UserGet", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/UserList", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/UserDelete", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/UserChangePassword", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/UserGrantRole", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/UserRevokeRole", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/RoleAdd", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/RoleGet", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/RoleList", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/RoleDelete", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/RoleGrantPermission", RpcKind::Unary),
    Rpc::new("/etcdserverpb.Auth/RoleRevokePermission", RpcKind::Unary),
    Rpc::new("/grpc.health.v1.Health/Check", RpcKind::Unary),
    Rpc::new(HEALTH_LIST, RpcKind::Unary),
    Rpc::new("/grpc.health.v1.Health/Watch", RpcKind::ServerStream),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// One line per method of the API: path, kind, paths of the JSON gateway.
    const METHODS: &str = include_str!("../../api-proto/tests/methods.golden");

    #[test]
    fn rpcs_of_served_services_are_listed() {
        for line in METHODS.lines() {
            let mut words = line.split(' ');
            let (path, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let service = path.split('/').nth(1).unwrap_or_default();
            if RPCS.iter().all(|rpc| rpc.service() != service) {
                continue;
            }
            let expected = match kind {
                "U" => RpcKind::Unary,
                "SS" => RpcKind::ServerStream,
                "BD" => RpcKind::BidiStream,
                other => panic!("{path} has the kind {other}"),
            };
            let listed = RPCS.iter().find(|rpc| rpc.path() == path).map(Rpc::kind);
            assert_eq!(listed, Some(expected), "{path}");
        }
    }
}
