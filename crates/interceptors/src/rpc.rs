/// One method of a gRPC service, as the layers need to know it.
///
/// A server lists its methods once, in a constant, and hands the list to [`LogLayer`](crate::LogLayer)
/// and [`MetricsLayer`](crate::MetricsLayer). Calls of unlisted methods pass through both unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rpc {
    path: &'static str,
    kind: RpcKind,
}

impl Rpc {
    /// The method behind `path`, which has the form `/package.Service/Method`.
    ///
    /// # Panics
    /// When `path` is not of that form. In a constant this fails the build.
    pub const fn new(path: &'static str, kind: RpcKind) -> Rpc {
        let bytes = path.as_bytes();
        assert!(bytes.len() > 3 && bytes[0] == b'/', "a method path starts with a slash");
        let mut at = 1;
        while at < bytes.len() && bytes[at] != b'/' {
            at += 1;
        }
        assert!(at > 1 && at + 1 < bytes.len(), "a method path is /package.Service/Method");
        Rpc { path, kind }
    }

    /// The path that requests carry, for example `/etcdserverpb.KV/Put`.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// Which sides of the call stream.
    pub const fn kind(&self) -> RpcKind {
        self.kind
    }

    /// The service with its package, for example `etcdserverpb.KV`.
    pub fn service(&self) -> &'static str {
        self.split().0
    }

    /// The bare method name, for example `Put`.
    pub fn method(&self) -> &'static str {
        self.split().1
    }

    fn split(&self) -> (&'static str, &'static str) {
        self.path[1..].split_once('/').expect("the constructor demands a second slash")
    }
}

/// Which sides of a call send more than one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcKind {
    /// One message each way.
    Unary,
    /// Many messages from the client, one back.
    ClientStream,
    /// One message from the client, many back.
    ServerStream,
    /// Many messages each way.
    BidiStream,
}

impl RpcKind {
    /// The value of the label `grpc_type`.
    pub(crate) fn grpc_type(self) -> &'static str {
        match self {
            RpcKind::Unary => "unary",
            RpcKind::ClientStream => "client_stream",
            RpcKind::ServerStream => "server_stream",
            RpcKind::BidiStream => "bidi_stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_splits_into_service_and_method() {
        const PUT: Rpc = Rpc::new("/etcdserverpb.KV/Put", RpcKind::Unary);
        assert_eq!((PUT.service(), PUT.method()), ("etcdserverpb.KV", "Put"));
    }

    #[test]
    #[should_panic(expected = "/package.Service/Method")]
    fn path_without_method_panics() {
        Rpc::new("/etcdserverpb.KV/", RpcKind::Unary);
    }
}
