//! The backend as its users see it.

mod common;
mod crash;
mod damage;
mod model;
mod open;
mod readers;
mod replace;
mod rewrite;
