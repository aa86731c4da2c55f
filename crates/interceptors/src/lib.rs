//! interceptors
