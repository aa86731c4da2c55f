//! Just enough HTTP/2 for a load generator that must cost less than the servers it measures.
//!
//! [`Wire`] is one connection: frames in, bytes out. [`Readiness`] says which of many have something to say.
//! [`grpc_status`] finds the status of a call in its trailers.

pub(crate) mod frame;
mod readiness;
mod status;
mod wire;

pub(crate) use self::readiness::Readiness;
pub(crate) use self::status::grpc_status;
pub(crate) use self::wire::Wire;

/// Bytes before each gRPC message: a flag and a length.
pub(crate) const GRPC_HEAD_BYTES: usize = 5;
