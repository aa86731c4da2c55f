//! Messages and streams of them.

use std::sync::Arc;

use ferretcd_base::MemberId;
use http::{Method, Request, Response, StatusCode, header::HeaderValue};
use hyper::body::Incoming;
use tracing::warn;

use super::{greet, only, whole_body};
use crate::codec::{MESSAGE_BYTES_MAX, decode};
use crate::headers::{self, RAFT_TO, SERVER_VERSION};
use crate::link::StreamKind;
use crate::local_context::Local;
use crate::response::{Answer, AnswerBody, Refusal, no_content};
use crate::{PeerTransport, snapshot};

/// `/raft`: one message.
pub(super) async fn post(
    local: &Arc<Local>,
    transport: &PeerTransport,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    only(request.method(), &Method::POST)?;
    headers::check(request.headers(), local.id, local.cluster)?;
    greet(transport, request.headers());
    let sender = headers::sender(request.headers()).map(|id| local.counted(id));
    let unreadable = |text: &str| {
        warn!("local-member-id" = %local.id, error = text, "failed to read Raft message");
        local.metrics.not_received(sender);
        Refusal::text(StatusCode::BAD_REQUEST, text)
    };
    let bytes_max = usize::try_from(MESSAGE_BYTES_MAX).unwrap_or(usize::MAX);
    let body = whole_body(request.into_body(), bytes_max).await;
    let body = body.map_err(|_| unreadable("error reading raft message"))?;
    let bytes = body.len() as u64;
    let message = decode(body).map_err(|_| unreadable("error unmarshalling raft message"))?;
    local.metrics.received(local.counted(MemberId(message.from())), bytes);
    local.deliver(message)?;
    Ok(no_content())
}

/// `/raft/snapshot`: the state of another member.
pub(super) async fn snapshot(
    local: &Arc<Local>,
    transport: &PeerTransport,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let (head, body) = request.into_parts();
    let admitted = only(&head.method, &Method::POST)
        .and_then(|()| headers::check(&head.headers, local.id, local.cluster));
    if let Err(refusal) = admitted {
        local.metrics.received_snapshots.failed(None);
        snapshot::linger(body);
        return Err(refusal);
    }
    greet(transport, &head.headers);
    let turn = Arc::clone(transport.receiving()).acquire_owned();
    let Ok(Ok(alone)) = tokio::time::timeout(snapshot::TURN_PATIENCE, turn).await else {
        let sender = headers::sender(&head.headers).map(|id| local.counted(id));
        local.metrics.received_snapshots.failed(sender);
        snapshot::linger(body);
        let text = "another snapshot is being received";
        return Err(Refusal::text(StatusCode::INTERNAL_SERVER_ERROR, text));
    };
    snapshot::receive(local, body, alone).await?;
    Ok(no_content())
}

/// `/ferretcd/state`: the state of this member.
pub(super) async fn state(
    local: &Arc<Local>,
    transport: &PeerTransport,
    request: &Request<Incoming>,
) -> Result<Answer, Refusal> {
    only(request.method(), &Method::GET)?;
    snapshot::serve(local, transport, request).await
}

/// `/raft/stream/<kind>/<reader>`: what this member has to say to another, for as long as the connection lasts.
pub(super) fn stream(
    local: &Local,
    transport: &PeerTransport,
    request: &Request<Incoming>,
) -> Result<Answer, Refusal> {
    only(request.method(), &Method::GET)?;
    headers::check(request.headers(), local.id, local.cluster)?;
    let (kind, reader) = parse(request.uri().path())?;
    if local.is_removed(reader) {
        warn!(
            "local-member-id" = %local.id,
            "remote-peer-id-from" = %reader,
            "rejected stream from remote peer because it was removed"
        );
        return Err(Refusal::text(StatusCode::GONE, "removed member"));
    }
    let to = headers::text(request.headers(), &RAFT_TO).unwrap_or_default();
    let is_for_us = to == local.id.to_string();
    if !transport.knows(reader) {
        transport.meet(reader, &headers::peer_urls(request.headers()));
        warn!(
            "local-member-id" = %local.id,
            "remote-peer-id-from" = %reader,
            "cluster-id" = %local.cluster,
            "failed to find remote peer in cluster"
        );
        return Err(Refusal::text(StatusCode::NOT_FOUND, "error sender not found"));
    }
    if !is_for_us {
        warn!(
            "local-member-id" = %local.id,
            "remote-peer-id-header" = to,
            "remote-peer-id-from" = %reader,
            "cluster-id" = %local.cluster,
            "ignored streaming request; ID mismatch"
        );
        return Err(Refusal::Precondition("to field mismatch"));
    }
    let stream = transport.begin_stream(reader, kind);
    let stream = stream.ok_or_else(|| Refusal::text(StatusCode::NOT_FOUND, "error sender not found"))?;
    let mut answer = Response::new(AnswerBody::stream(stream));
    answer.headers_mut().insert(SERVER_VERSION, HeaderValue::from_static(ferretcd_api_proto::API_VERSION));
    Ok(answer)
}

fn parse(path: &str) -> Result<(StreamKind, MemberId), Refusal> {
    let invalid = |text| Refusal::text(StatusCode::NOT_FOUND, text);
    let rest = path.strip_prefix("/raft/stream/").unwrap_or_default();
    let (kind, reader) = rest.split_once('/').ok_or_else(|| invalid("invalid path"))?;
    let kind = [StreamKind::Appends, StreamKind::Messages].into_iter().find(|known| known.segment() == kind);
    let kind = kind.ok_or_else(|| invalid("invalid path"))?;
    let reader = u64::from_str_radix(reader, 16).map_err(|_| invalid("invalid from"))?;
    Ok((kind, MemberId(reader)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_the_stream_and_its_reader() {
        let check = |path: &str, expected: Result<(StreamKind, u64), &str>| {
            let parsed = parse(path).map(|(kind, reader)| (kind, reader.0));
            let expected = expected.map_err(|text| Refusal::text(StatusCode::NOT_FOUND, text));
            assert_eq!(parsed, expected, "{path}");
        };
        check("/raft/stream/msgapp/1f", Ok((StreamKind::Appends, 0x1f)));
        check("/raft/stream/message/ffffffffffffffff", Ok((StreamKind::Messages, u64::MAX)));
        check("/raft/stream/message/xyz", Err("invalid from"));
        check("/raft/stream/message/", Err("invalid from"));
        check("/raft/stream/other/1", Err("invalid path"));
        check("/raft/stream/", Err("invalid path"));
    }
}
