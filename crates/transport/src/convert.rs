//! Messages of the consensus core to messages on the wire, and back.

use ferretcd_api_proto::raftpb;
use ferretcd_raft_node::Message;

/// The message on the wire. Data of entries is moved.
pub(crate) fn to_wire(message: Message) -> raftpb::Message {
    message.into()
}

/// The message for the core, or why no member can have sent it.
pub(crate) fn from_wire(message: raftpb::Message) -> Result<Message, String> {
    Message::try_from(message).map_err(|error| error.to_string())
}
