//! The hub from the outside: random steps against a model, and its rules one by one.

mod random;
mod restore;
mod rules;
mod world;
