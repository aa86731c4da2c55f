//! Just enough HTTP/2 for a load generator that must cost less than the servers it measures.
//!
//! [`Wire`] is one connection: frames in, bytes out. [`Readiness`] says which of many have something to say.

pub(super) mod frame;
mod readiness;
mod wire;

pub(super) use self::readiness::Readiness;
pub(super) use self::wire::Wire;

/// Bytes before each gRPC message: a flag and a length.
pub(super) const GRPC_HEAD_BYTES: usize = 5;
