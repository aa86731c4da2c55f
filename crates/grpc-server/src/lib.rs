//! grpc-server
