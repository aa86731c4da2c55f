//! Between the messages of the consensus core and those of the wire.

use ferretcd_api_proto::raftpb;
use ferretcd_raft_node::Message;

/// The form that goes over the wire. Data of entries is moved.
pub(crate) fn to_wire(message: Message) -> raftpb::Message {
    message.into()
}

/// The form that the core takes; the error says what no honest member sends.
pub(crate) fn from_wire(message: raftpb::Message) -> Result<Message, String> {
    Message::try_from(message).map_err(|error| error.to_string())
}
