//! Members for the tests of what relies on users and rights.

use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::authpb::{Permission, UserAddOptions, permission::Type};
use ferretcd_api_proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest,
    AuthUserAddRequest, AuthUserGrantRoleRequest, PutRequest,
};
use ferretcd_auth::{COST_MIN, ROOT};
use ferretcd_data_dir::Bootstrap;
use prometheus::Registry;
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::{Caller, Config, Engine, Identity, NoPeers};

/// The role of the user alice.
const ROLE: &str = "keys";

/// A member in a directory of its own, which takes the names in certificates for users.
pub(crate) struct TestMember {
    pub(crate) engine: Engine,
    /// Removed behind the engine.
    _dir: TempDir,
}

impl TestMember {
    /// A cluster of one member, which takes writes.
    pub(crate) async fn alone() -> Self {
        let member = Self::start(|config| config);
        member.engine.cluster().publish().await.expect("the member runs");
        member
    }

    /// One of two members, of which the other is never started. So there is no leader, and a read that needs one waits.
    pub(crate) fn without_leader(client_cert_auth: bool) -> Self {
        let url = |port| vec![format!("http://localhost:{port}")];
        let initial_cluster = [("default".to_owned(), url(1)), ("other".to_owned(), url(2))].into();
        let bootstrap = Bootstrap::New { initial_cluster, token: "test".to_owned() };
        Self::start(|config| Config { bootstrap, client_cert_auth, ..config })
    }

    fn start(change: impl FnOnce(Config) -> Config) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = change(Config {
            heartbeat: Duration::from_millis(10),
            election: Duration::from_millis(100),
            unsafe_no_fsync: true,
            bcrypt_cost: COST_MIN,
            downgrade_check: Some(Duration::from_millis(10)),
            client_cert_auth: true,
            ..Config::new("default", dir.path(), "http://localhost:1", 0)
        });
        let engine = Engine::start(config, Arc::new(NoPeers), &Registry::new(), &Handle::current());
        Self { engine: engine.unwrap_or_else(|error| panic!("failed to {error}")), _dir: dir }
    }

    /// Turns authentication on. The user alice may read and write some keys.
    pub(crate) async fn enable_auth(&self, keys: &[&str]) {
        let auth = self.engine.auth();
        for name in [ROOT, "alice"] {
            let options = Some(UserAddOptions { no_password: true });
            let request = AuthUserAddRequest { name: name.to_owned(), options, ..Default::default() };
            auth.user_add(&Caller::MEMBER, request).await.expect("a new user");
        }
        self.add_role(ROLE).await;
        for (user, role) in [(ROOT, ROOT), ("alice", ROLE)] {
            let request = AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
            auth.user_grant_role(&Caller::MEMBER, request).await.expect("both are there");
        }
        for key in keys {
            let (key, range_end) = ((*key).to_owned().into(), Default::default());
            let perm = Some(Permission { perm_type: Type::Readwrite.into(), key, range_end });
            let request = AuthRoleGrantPermissionRequest { name: ROLE.to_owned(), perm };
            auth.role_grant_permission(&Caller::MEMBER, request).await.expect("a role and a key");
        }
        auth.enable(&Caller::MEMBER, AuthEnableRequest {}).await.expect("root is there");
    }

    /// A change of users and roles that takes no right away.
    pub(crate) async fn add_role(&self, name: &str) {
        let request = AuthRoleAddRequest { name: name.to_owned() };
        self.engine.auth().role_add(&Caller::MEMBER, request).await.expect("a new role");
    }

    /// Takes the right to a key from alice.
    pub(crate) async fn revoke(&self, key: &str) {
        let (role, key) = (ROLE.to_owned(), key.to_owned().into());
        let request = AuthRoleRevokePermissionRequest { role, key, range_end: Default::default() };
        self.engine.auth().role_revoke_permission(&Caller::MEMBER, request).await.expect("a permission");
    }

    pub(crate) async fn put(&self, key: &str, lease: i64) {
        let put = PutRequest { key: key.to_owned().into(), lease, ..PutRequest::default() };
        self.engine.kv().put(&Caller::MEMBER, put).await.expect("a member may write");
    }

    pub(crate) async fn stop(self) {
        self.engine.stop().await;
    }
}

/// A client with the certificate of alice.
pub(crate) fn alice() -> Caller {
    Caller { identity: Identity::CommonName("alice".into()), ..Caller::ANONYMOUS }
}
