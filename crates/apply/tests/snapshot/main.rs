//! A state that goes from one member to another: the same log, sent as an image, is the same state.

mod files;
mod image;
mod restore;

mod log;
mod member;
