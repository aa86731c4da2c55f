//! The request in a log entry, in the form that etcd writes: an `InternalRaftRequest`.
//!
//! That message has some thirty optional fields of which one is set. It is read and written field by field
//! here, so that the cost of a put is that of its bytes.

use bytes::{Buf, Bytes, BytesMut};
use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, DeleteRangeRequest, LeaseCheckpointRequest, LeaseGrantRequest,
    LeaseRevokeRequest, PutRequest, RequestHeader, TxnRequest,
};
use ferretcd_api_proto::membershippb::{
    ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest,
};
use prost::Message;
use prost::encoding::{self, DecodeContext, WireType};

use crate::AuthRequest;
use crate::old_request::{self, Old};

/// Field numbers of `InternalRaftRequest`.
mod field {
    pub(super) const LEGACY_ID: u32 = 1;
    pub(super) const PUT: u32 = 4;
    pub(super) const DELETE_RANGE: u32 = 5;
    pub(super) const TXN: u32 = 6;
    pub(super) const COMPACTION: u32 = 7;
    pub(super) const LEASE_GRANT: u32 = 8;
    pub(super) const LEASE_REVOKE: u32 = 9;
    pub(super) const ALARM: u32 = 10;
    pub(super) const LEASE_CHECKPOINT: u32 = 11;
    pub(super) const HEADER: u32 = 100;
    pub(super) const CLUSTER_VERSION_SET: u32 = 1300;
    pub(super) const CLUSTER_MEMBER_ATTR_SET: u32 = 1301;
    pub(super) const DOWNGRADE_INFO_SET: u32 = 1302;
}

/// A request to the state machine, with the id by which its proposer finds the waiting caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Unique among all proposals of the cluster's life; the proposer finds its waiter by it.
    pub id: u64,
    /// The user that made the request; empty without authentication.
    pub username: String,
    /// Revision of the rights when the request was admitted; zero without authentication.
    pub auth_revision: u64,
    /// The request itself.
    pub request: Request,
}

/// Every request to the state machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Writes one key.
    Put(PutRequest),
    /// Deletes the keys of a range.
    DeleteRange(DeleteRangeRequest),
    /// Several operations at one revision, on conditions.
    Txn(TxnRequest),
    /// Drops history.
    Compaction(CompactionRequest),
    /// Creates a lease.
    LeaseGrant(LeaseGrantRequest),
    /// Ends a lease, and deletes its keys.
    LeaseRevoke(LeaseRevokeRequest),
    /// Remembers how much time leases have left.
    LeaseCheckpoint(LeaseCheckpointRequest),
    /// Lists, raises or disarms alarms.
    Alarm(AlarmRequest),
    /// Sets the cluster version.
    ClusterVersionSet(ClusterVersionSetRequest),
    /// A member publishes its name and client URLs.
    ClusterMemberAttrSet(ClusterMemberAttrSetRequest),
    /// Begins or ends a downgrade of the cluster.
    DowngradeInfoSet(DowngradeInfoSetRequest),
    /// About users and roles.
    Auth(AuthRequest),
}

/// The kind of a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of `Request`")]
pub enum Kind {
    Put,
    DeleteRange,
    Txn,
    Compaction,
    LeaseGrant,
    LeaseRevoke,
    LeaseCheckpoint,
    Alarm,
    ClusterVersionSet,
    ClusterMemberAttrSet,
    DowngradeInfoSet,
    AuthEnable,
    AuthDisable,
    AuthStatus,
    Authenticate,
    AuthUserAdd,
    AuthUserDelete,
    AuthUserGet,
    AuthUserChangePassword,
    AuthUserGrantRole,
    AuthUserRevokeRole,
    AuthUserList,
    AuthRoleList,
    AuthRoleAdd,
    AuthRoleDelete,
    AuthRoleGet,
    AuthRoleGrantPermission,
    AuthRoleRevokePermission,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 28] = [
        Self::Put,
        Self::DeleteRange,
        Self::Txn,
        Self::Compaction,
        Self::LeaseGrant,
        Self::LeaseRevoke,
        Self::LeaseCheckpoint,
        Self::Alarm,
        Self::ClusterVersionSet,
        Self::ClusterMemberAttrSet,
        Self::DowngradeInfoSet,
        Self::AuthEnable,
        Self::AuthDisable,
        Self::AuthStatus,
        Self::Authenticate,
        Self::AuthUserAdd,
        Self::AuthUserDelete,
        Self::AuthUserGet,
        Self::AuthUserChangePassword,
        Self::AuthUserGrantRole,
        Self::AuthUserRevokeRole,
        Self::AuthUserList,
        Self::AuthRoleList,
        Self::AuthRoleAdd,
        Self::AuthRoleDelete,
        Self::AuthRoleGet,
        Self::AuthRoleGrantPermission,
        Self::AuthRoleRevokePermission,
    ];

    /// etcd's name for it, as in metrics. Leases that expire have that of one that is revoked, as in etcd.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "Put",
            Self::DeleteRange => "DeleteRange",
            Self::Txn => "Txn",
            Self::Compaction => "Compaction",
            Self::LeaseGrant => "LeaseGrant",
            Self::LeaseRevoke => "LeaseRevoke",
            Self::LeaseCheckpoint => "LeaseCheckpoint",
            Self::Alarm => "Alarm",
            Self::ClusterVersionSet => "ClusterVersionSet",
            Self::ClusterMemberAttrSet => "ClusterMemberAttrSet",
            Self::DowngradeInfoSet => "DowngradeInfoSet",
            Self::AuthEnable => "AuthEnable",
            Self::AuthDisable => "AuthDisable",
            Self::AuthStatus => "AuthStatus",
            Self::Authenticate => "Authenticate",
            Self::AuthUserAdd => "AuthUserAdd",
            Self::AuthUserDelete => "AuthUserDelete",
            Self::AuthUserGet => "AuthUserGet",
            Self::AuthUserChangePassword => "AuthUserChangePassword",
            Self::AuthUserGrantRole => "AuthUserGrantRole",
            Self::AuthUserRevokeRole => "AuthUserRevokeRole",
            Self::AuthUserList => "AuthUserList",
            Self::AuthRoleList => "AuthRoleList",
            Self::AuthRoleAdd => "AuthRoleAdd",
            Self::AuthRoleDelete => "AuthRoleDelete",
            Self::AuthRoleGet => "AuthRoleGet",
            Self::AuthRoleGrantPermission => "AuthRoleGrantPermission",
            Self::AuthRoleRevokePermission => "AuthRoleRevokePermission",
        }
    }
}

impl Request {
    /// What is requested.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Put(_) => Kind::Put,
            Self::DeleteRange(_) => Kind::DeleteRange,
            Self::Txn(_) => Kind::Txn,
            Self::Compaction(_) => Kind::Compaction,
            Self::LeaseGrant(_) => Kind::LeaseGrant,
            Self::LeaseRevoke(_) => Kind::LeaseRevoke,
            Self::LeaseCheckpoint(_) => Kind::LeaseCheckpoint,
            Self::Alarm(_) => Kind::Alarm,
            Self::ClusterVersionSet(_) => Kind::ClusterVersionSet,
            Self::ClusterMemberAttrSet(_) => Kind::ClusterMemberAttrSet,
            Self::DowngradeInfoSet(_) => Kind::DowngradeInfoSet,
            Self::Auth(request) => request.kind(),
        }
    }
}

/// The bytes are no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are no protobuf message.
    #[error("decode a command: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The request is of a kind that this version does not know, or there is none.
    #[error("decode a command: no request that this version knows, but fields {0:?}")]
    UnknownRequest(Vec<u32>),
}

impl Command {
    /// The bytes of a log entry: fields in ascending order, zero values left out.
    pub fn encode(&self) -> Bytes {
        let header =
            RequestHeader { id: self.id, username: self.username.clone(), auth_revision: self.auth_revision };
        match &self.request {
            Request::Put(request) => encode(field::PUT, request, &header),
            Request::DeleteRange(request) => encode(field::DELETE_RANGE, request, &header),
            Request::Txn(request) => encode(field::TXN, request, &header),
            Request::Compaction(request) => encode(field::COMPACTION, request, &header),
            Request::LeaseGrant(request) => encode(field::LEASE_GRANT, request, &header),
            Request::LeaseRevoke(request) => encode(field::LEASE_REVOKE, request, &header),
            Request::LeaseCheckpoint(request) => encode(field::LEASE_CHECKPOINT, request, &header),
            Request::Alarm(request) => encode(field::ALARM, request, &header),
            Request::ClusterVersionSet(request) => encode(field::CLUSTER_VERSION_SET, request, &header),
            Request::ClusterMemberAttrSet(request) => {
                encode(field::CLUSTER_MEMBER_ATTR_SET, request, &header)
            }
            Request::DowngradeInfoSet(request) => encode(field::DOWNGRADE_INFO_SET, request, &header),
            Request::Auth(request) => request.encode(&header),
        }
    }

    /// Reads the bytes of a log entry. Keys and values of the result share `bytes`. Fields that no version
    /// knows are skipped, as long as there is a request.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Self::decode_current(bytes.clone()).or_else(|error| {
            let (id, old) = old_request::decode(bytes).ok_or(error)?;
            let request = match old {
                Old::Attributes(request) => Request::ClusterMemberAttrSet(request),
                Old::Version(request) => Request::ClusterVersionSet(request),
            };
            Ok(Self { id, username: String::new(), auth_revision: 0, request })
        })
    }

    fn decode_current(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let mut header = RequestHeader::default();
        let mut legacy_id = 0;
        let mut request = None;
        let mut unknown = Vec::new();
        while bytes.has_remaining() {
            let (tag, wire_type) = encoding::decode_key(&mut bytes)?;
            match (tag, wire_type) {
                (field::HEADER, WireType::LengthDelimited) => header = submessage(&mut bytes)?,
                (field::LEGACY_ID, WireType::Varint) => legacy_id = encoding::decode_varint(&mut bytes)?,
                (tag, WireType::LengthDelimited) => match decode_request(tag, &mut bytes)? {
                    Some(known) => request = Some(known),
                    None => unknown.push(tag),
                },
                (tag, wire_type) => {
                    encoding::skip_field(wire_type, tag, &mut bytes, DecodeContext::default())?;
                    unknown.push(tag);
                }
            }
        }
        let request = request.ok_or(DecodeError::UnknownRequest(unknown))?;
        let id = if header.id == 0 { legacy_id } else { header.id };
        Ok(Self { id, username: header.username, auth_revision: header.auth_revision, request })
    }
}

/// Reads the field `tag` as a request, or skips it if it is none.
fn decode_request(tag: u32, bytes: &mut Bytes) -> Result<Option<Request>, prost::DecodeError> {
    let request = match tag {
        field::PUT => Request::Put(submessage(bytes)?),
        field::DELETE_RANGE => Request::DeleteRange(submessage(bytes)?),
        field::TXN => Request::Txn(submessage(bytes)?),
        field::COMPACTION => Request::Compaction(submessage(bytes)?),
        field::LEASE_GRANT => Request::LeaseGrant(submessage(bytes)?),
        field::LEASE_REVOKE => Request::LeaseRevoke(submessage(bytes)?),
        field::LEASE_CHECKPOINT => Request::LeaseCheckpoint(submessage(bytes)?),
        field::ALARM => Request::Alarm(submessage(bytes)?),
        field::CLUSTER_VERSION_SET => Request::ClusterVersionSet(submessage(bytes)?),
        field::CLUSTER_MEMBER_ATTR_SET => Request::ClusterMemberAttrSet(submessage(bytes)?),
        field::DOWNGRADE_INFO_SET => Request::DowngradeInfoSet(submessage(bytes)?),
        tag => {
            let request = AuthRequest::decode(tag, bytes)?.map(Request::Auth);
            if request.is_none() {
                encoding::skip_field(WireType::LengthDelimited, tag, bytes, DecodeContext::default())?;
            }
            return Ok(request);
        }
    };
    Ok(Some(request))
}

/// Reads a field as a message of its own, not as a part of this one: a message accepted from the network
/// must be readable here, however deep it is nested.
pub(crate) fn submessage<M: Message + Default>(bytes: &mut Bytes) -> Result<M, prost::DecodeError> {
    let len = encoding::decode_varint(bytes)?;
    match usize::try_from(len) {
        Ok(len) if len <= bytes.len() => M::decode(bytes.split_to(len)),
        // The library has no public function for this.
        _ => M::decode(&b"\x0a\x01"[..]),
    }
}

pub(crate) fn encode<M: Message>(tag: u32, request: &M, header: &RequestHeader) -> Bytes {
    let len =
        encoding::message::encoded_len(tag, request) + encoding::message::encoded_len(field::HEADER, header);
    let mut buffer = BytesMut::with_capacity(len);
    if tag < field::HEADER {
        encoding::message::encode(tag, request, &mut buffer);
        encoding::message::encode(field::HEADER, header, &mut buffer);
    } else {
        encoding::message::encode(field::HEADER, header, &mut buffer);
        encoding::message::encode(tag, request, &mut buffer);
    }
    buffer.freeze()
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::TXN_DEPTH_MAX;
    use ferretcd_api_proto::etcdserverpb::{InternalRaftRequest, LeaseCheckpoint, RequestOp, request_op};

    use super::*;

    fn command(request: Request) -> Command {
        Command { id: 0xcd10_a1f9_36ba_8d05, username: String::new(), auth_revision: 0, request }
    }

    /// Both directions, and that the generated message writes the same bytes.
    fn check(request: Request) {
        let command = Command { username: "u".into(), auth_revision: 3, ..command(request) };
        let bytes = command.encode();
        assert_eq!(Command::decode(bytes.clone()), Ok(command));
        let generated = InternalRaftRequest::decode(bytes.clone()).expect("the same message");
        assert_eq!(generated.encode_to_vec(), bytes);
    }

    #[test]
    fn a_put_has_etcds_bytes() {
        let put = PutRequest { key: "foo".into(), value: "bar".into(), ..PutRequest::default() };
        let expected =
            b"\x22\x0a\x0a\x03foo\x12\x03bar\xa2\x06\x0b\x08\x85\x9a\xea\xb5\x93\xbf\xa8\x88\xcd\x01";
        assert_eq!(command(Request::Put(put)).encode(), &expected[..]);
    }

    #[test]
    fn every_request_is_the_generated_message() {
        check(Request::Put(PutRequest { key: "k".into(), prev_kv: true, ..PutRequest::default() }));
        check(Request::DeleteRange(DeleteRangeRequest { key: "k".into(), ..DeleteRangeRequest::default() }));
        check(Request::Txn(TxnRequest::default()));
        check(Request::Compaction(CompactionRequest { revision: 4, physical: true }));
        check(Request::LeaseGrant(LeaseGrantRequest { id: 7, ttl: 60 }));
        check(Request::LeaseRevoke(LeaseRevokeRequest { id: 7 }));
        check(Request::LeaseCheckpoint(LeaseCheckpointRequest {
            checkpoints: vec![LeaseCheckpoint { id: 7, remaining_ttl: 3 }],
        }));
        check(Request::Alarm(AlarmRequest { action: 1, member_id: 7, alarm: 1 }));
        check(Request::ClusterVersionSet(ClusterVersionSetRequest { ver: "3.7.0".into() }));
        check(Request::DowngradeInfoSet(DowngradeInfoSetRequest { enabled: true, ver: "3.6.0".into() }));
        check(Request::DowngradeInfoSet(DowngradeInfoSetRequest::default()));
        check(Request::ClusterMemberAttrSet(ClusterMemberAttrSetRequest {
            member_id: 7,
            ..ClusterMemberAttrSetRequest::default()
        }));
    }

    #[test]
    fn requests_about_users_are_the_generated_messages() {
        use ferretcd_api_proto::etcdserverpb as pb;
        let (name, role) = ("alice".to_owned(), "r".to_owned());
        let requests = [
            AuthRequest::Enable(pb::AuthEnableRequest {}),
            AuthRequest::Disable(pb::AuthDisableRequest {}),
            AuthRequest::Status(pb::AuthStatusRequest {}),
            AuthRequest::Authenticate(pb::InternalAuthenticateRequest {
                name: name.clone(),
                simple_token: "letters".into(),
                ..Default::default()
            }),
            AuthRequest::UserAdd(pb::AuthUserAddRequest { name: name.clone(), ..Default::default() }),
            AuthRequest::UserDelete(pb::AuthUserDeleteRequest { name: name.clone() }),
            AuthRequest::UserGet(pb::AuthUserGetRequest { name: name.clone() }),
            AuthRequest::UserChangePassword(pb::AuthUserChangePasswordRequest {
                name: name.clone(),
                hashed_password: "hash".into(),
                ..Default::default()
            }),
            AuthRequest::UserGrantRole(pb::AuthUserGrantRoleRequest {
                user: name.clone(),
                role: role.clone(),
            }),
            AuthRequest::UserRevokeRole(pb::AuthUserRevokeRoleRequest { name, role: role.clone() }),
            AuthRequest::UserList(pb::AuthUserListRequest {}),
            AuthRequest::RoleList(pb::AuthRoleListRequest {}),
            AuthRequest::RoleAdd(pb::AuthRoleAddRequest { name: role.clone() }),
            AuthRequest::RoleDelete(pb::AuthRoleDeleteRequest { role: role.clone() }),
            AuthRequest::RoleGet(pb::AuthRoleGetRequest { role: role.clone() }),
            AuthRequest::RoleGrantPermission(pb::AuthRoleGrantPermissionRequest {
                name: role.clone(),
                ..Default::default()
            }),
            AuthRequest::RoleRevokePermission(pb::AuthRoleRevokePermissionRequest {
                role,
                key: "k".into(),
                ..Default::default()
            }),
        ];
        for request in requests {
            let debug = format!("{request:?}");
            assert!(!debug.contains("letters") && !debug.contains("hash"), "{debug}");
            check(Request::Auth(request));
        }
    }

    /// As etcd 3.5.35 writes it when its leader sets the version.
    #[test]
    fn a_request_of_an_old_release_is_read() {
        let entry = b"\x08\x07\x12\x03PUT\x1a\x0a/0/version\x22\x053.5.0\x28\x00\x32\x00\x38\x00\x48\x00";
        let request = Request::ClusterVersionSet(ClusterVersionSetRequest { ver: "3.5.0".to_owned() });
        assert_eq!(Command::decode(Bytes::from_static(entry)), Ok(Command { id: 7, ..command(request) }));
    }

    #[test]
    fn kinds_are_numbered_in_their_order() {
        let numbers: Vec<_> = Kind::ALL.iter().map(|kind| *kind as usize).collect();
        assert_eq!(numbers, (0..Kind::ALL.len()).collect::<Vec<_>>());
    }

    /// A transaction of transactions, with a put at its bottom.
    fn nested(depth: usize) -> TxnRequest {
        let put = PutRequest { key: "k".into(), ..PutRequest::default() };
        let mut txn =
            TxnRequest { success: vec![op(request_op::Request::RequestPut(put))], ..TxnRequest::default() };
        for _ in 0..depth {
            txn = TxnRequest {
                success: vec![op(request_op::Request::RequestTxn(txn))],
                ..TxnRequest::default()
            };
        }
        txn
    }

    fn op(request: request_op::Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    #[test]
    fn accepted_requests_can_be_read_from_the_log() {
        for depth in (0..150).chain(TXN_DEPTH_MAX - 3..TXN_DEPTH_MAX + 3) {
            // The outermost one counts.
            let is_accepted = depth < TXN_DEPTH_MAX;
            let bytes = nested(depth).encode_to_vec();
            let read = TxnRequest::decode(&bytes[..]);
            assert_eq!(read.is_ok(), is_accepted, "nested {depth} deep");
            let command = command(Request::Txn(nested(depth)));
            assert_eq!(Command::decode(command.encode()).is_ok(), is_accepted, "nested {depth} deep");
            if is_accepted {
                assert_eq!(Command::decode(command.encode()), Ok(command), "nested {depth} deep");
            }
        }
    }

    #[test]
    fn the_id_of_old_entries_is_read() {
        let old = InternalRaftRequest {
            id: 9,
            compaction: Some(CompactionRequest::default()),
            ..InternalRaftRequest::default()
        };
        assert_eq!(Command::decode(old.encode_to_vec().into()).map(|command| command.id), Ok(9));
    }

    #[test]
    fn other_bytes_are_rejected() {
        assert!(matches!(Command::decode(Bytes::from_static(b"\xff\xff")), Err(DecodeError::Malformed(_))));
        assert_eq!(Command::decode(Bytes::new()), Err(DecodeError::UnknownRequest(vec![])));
        let unknown = Bytes::from_static(b"\x62\x02\x08\x05");
        assert_eq!(Command::decode(unknown), Err(DecodeError::UnknownRequest(vec![12])));
        let cut_off = Bytes::from_static(b"\x22\x7f\x0a");
        assert!(matches!(Command::decode(cut_off), Err(DecodeError::Malformed(_))));
    }
}
