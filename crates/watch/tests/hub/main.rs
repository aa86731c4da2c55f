//! The hub from the outside: random steps against a model, and its rules one by one.

mod harness;
mod random;
mod restore;
mod rules;
