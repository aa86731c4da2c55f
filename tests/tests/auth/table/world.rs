//! The server of a table: its users, keys and leases.

use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Cluster, Options, report};

use crate::support::requests::{
    lease, put, put_lease, role_add, role_grant, user_add, user_add_without_password, user_delete,
};
use crate::support::setup::{FAST_HASHES, log_in, user_with};
use crate::support::{PASSWORD, ROOT, enabled, role, root, user};

/// The callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// There is no token.
    Nobody,
    /// A token in the right form that was never issued.
    Unknown,
    Garbage,
    Empty,
    /// A token of a user that was deleted.
    Deleted,
    /// A token from before authentication was disabled and enabled again.
    Disabled,
    /// A token from before the last change of users or roles.
    OldAble,
    OldRoot,
    /// A user without a right to anything in the table.
    Limited,
    /// A user that may read the keys of the table.
    Reader,
    /// A user that may write them.
    Writer,
    /// A user that may read and write them.
    Able,
    Root,
    /// There is no token, and authentication is disabled.
    Open,
    OpenGarbage,
}

impl Identity {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "none",
            Self::Unknown => "unknown token",
            Self::Garbage => "garbage",
            Self::Empty => "empty token",
            Self::Deleted => "deleted user",
            Self::Disabled => "from before disable",
            Self::OldAble => "old token of able",
            Self::OldRoot => "old token of root",
            Self::Limited => "limited",
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Able => "able",
            Self::Root => "root",
            Self::Open => "auth off",
            Self::OpenGarbage => "auth off, garbage",
        }
    }

    /// The user that logs in for each call.
    pub(super) fn user(self) -> Option<&'static str> {
        match self {
            Self::Limited => Some("limited"),
            Self::Reader => Some("reader"),
            Self::Writer => Some("writer"),
            Self::Able => Some("able"),
            Self::Root => Some(ROOT),
            _ => None,
        }
    }

    pub(super) fn has_auth(self) -> bool {
        !matches!(self, Self::Open | Self::OpenGarbage)
    }
}

/// So much of the log is shown when a server has crashed.
const LINES_SHOWN: usize = 40;

/// The first id of leases that a call may use up.
const FRESH_LEASES: i64 = 1000;

/// Leases that are there all the time.
pub(super) const OF_NO_KEY: i64 = 1;
pub(super) const OF_A_KEY: i64 = 2;
pub(super) const OF_A_SECRET: i64 = 3;

/// The keys of the table are those from `a` to before `n`; `secret` is beyond.
pub(super) struct World<C: Cluster> {
    cluster: C,
    nobody: Caller,
    deleted: String,
    disabled: String,
    old_able: String,
    old_root: String,
    pub(super) id: u64,
    pub(super) peer_url: String,
    has_auth: bool,
    fresh: i64,
}

impl<C: Cluster> World<C> {
    pub(super) async fn create(flags: &[&str], identities: &[Identity]) -> Self {
        let flags = [&[FAST_HASHES], flags].concat().into_iter().map(str::to_owned).collect();
        let cluster = C::start(&Options { flags }).await.unwrap_or_else(|error| panic!("failed to {error}"));
        let nobody = Caller::of(&cluster.endpoint());
        let members = nobody.call(pb::MemberListRequest::default()).await.expect("auth is off");
        let member = &members.members[0];
        let (id, peer_url) = (member.id, member.peer_urls[0].clone());

        for key in ["a", "b", "secret"] {
            nobody.call(put(key)).await.expect("auth is off");
        }
        nobody.call(pb::CompactionRequest { revision: 3, physical: true }).await.expect("auth is off");
        for (id, key) in [(OF_NO_KEY, None), (OF_A_KEY, Some("f")), (OF_A_SECRET, Some("secret/leased"))] {
            nobody.call(lease(id)).await.expect("auth is off");
            if let Some(key) = key {
                nobody.call(put_lease(key, id)).await.expect("auth is off");
            }
        }
        let first = root(&nobody).await;
        user_with(&first, "limited", &[(Type::Readwrite, "z", "")]).await;
        user_with(&first, "reader", &[(Type::Read, "a", "n")]).await;
        user_with(&first, "writer", &[(Type::Write, "a", "n")]).await;
        user_with(&first, "able", &[(Type::Readwrite, "a", "n")]).await;
        first.call(user_add_without_password("without-password")).await.expect("it can be added");

        let disabled = log_in(&nobody, ROOT).await;
        first.call(pb::AuthDisableRequest {}).await.expect("root may disable it");
        let again = enabled(&nobody).await;
        role(&again, "gone", &[(Type::Readwrite, "a", "n")]).await;
        user(&again, "gone", &["gone"]).await;
        let deleted = log_in(&nobody, "gone").await;
        let (old_able, old_root) = (log_in(&nobody, "able").await, log_in(&nobody, ROOT).await);
        again.call(user_delete("gone")).await.expect("it can be deleted");

        let has_auth = identities.iter().all(|identity| identity.has_auth());
        if !has_auth {
            again.call(pb::AuthDisableRequest {}).await.expect("root may disable it");
        }
        Self {
            cluster,
            deleted: deleted.token().to_owned(),
            disabled: disabled.token().to_owned(),
            old_able: old_able.token().to_owned(),
            old_root: old_root.token().to_owned(),
            nobody,
            id,
            peer_url,
            has_auth,
            fresh: FRESH_LEASES,
        }
    }

    /// A client with this identity; users log in now.
    pub(super) async fn caller(&self, identity: Identity) -> Caller {
        if let Some(user) = identity.user() {
            return log_in(&self.nobody, user).await;
        }
        let token = match identity {
            Identity::Unknown => "abcdefghijklmnop.1",
            Identity::Garbage | Identity::OpenGarbage => "garbage",
            Identity::Deleted => &self.deleted,
            Identity::Disabled => &self.disabled,
            Identity::OldAble => &self.old_able,
            Identity::OldRoot => &self.old_root,
            Identity::Empty => "",
            _ => return self.nobody.clone(),
        };
        self.nobody.with_token(token)
    }

    /// A client that may do everything.
    pub(super) async fn root(&self) -> Caller {
        match self.has_auth {
            true => log_in(&self.nobody, ROOT).await,
            false => self.nobody.clone(),
        }
    }

    pub(super) fn has_auth(&self) -> bool {
        self.has_auth
    }

    /// Restores whether authentication is enabled.
    pub(super) async fn restore(&self) {
        if self.has_auth {
            // It errs while it is enabled, because a caller without a user has no right to it.
            let _ = self.nobody.call(pb::AuthEnableRequest {}).await;
        } else if let Ok(root) = self.nobody.log_in(ROOT, PASSWORD).await {
            root.call(pb::AuthDisableRequest {}).await.expect("root may disable it");
        }
    }

    /// Clears all alarms.
    pub(super) async fn calm(&self) {
        let (action, alarm) =
            (pb::alarm_request::AlarmAction::Deactivate.into(), pb::AlarmType::Nospace.into());
        let clear = pb::AlarmRequest { action, member_id: self.id, alarm };
        self.root().await.call(clear).await.expect("root may clear alarms");
    }

    fn number(&mut self) -> i64 {
        self.fresh += 1;
        self.fresh
    }

    /// An id that no lease has.
    pub(super) fn free_lease(&mut self) -> i64 {
        self.number()
    }

    /// A new lease, attached to a key if there is one.
    pub(super) async fn fresh_lease(&mut self, key: Option<&str>) -> i64 {
        let (id, root) = (self.number(), self.root().await);
        root.call(lease(id)).await.expect("root may grant leases");
        if let Some(key) = key {
            root.call(put_lease(key, id)).await.expect("root may attach keys");
        }
        id
    }

    /// A name that no user and no role has.
    pub(super) fn free_name(&mut self) -> String {
        format!("fresh{}", self.number())
    }

    /// A new user.
    pub(super) async fn fresh_user(&mut self) -> String {
        let name = self.free_name();
        self.root().await.call(user_add(&name, PASSWORD)).await.expect("root may add users");
        name
    }

    /// A new role that may read `a`.
    pub(super) async fn fresh_role(&mut self) -> String {
        let (name, root) = (self.free_name(), self.root().await);
        root.call(role_add(&name)).await.expect("root may add roles");
        root.call(role_grant(&name, Type::Read, "a", "")).await.expect("root may grant permissions");
        name
    }
}

impl<C: Cluster> Drop for World<C> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A server that has crashed says why at the end.
            let logs = self.cluster.logs();
            let lines: Vec<_> = logs.lines().collect();
            report::measured(
                "the server's last lines",
                &lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n"),
            );
        }
    }
}
