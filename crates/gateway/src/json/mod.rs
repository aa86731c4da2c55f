//! JSON text: where a value ends, and what its parts are.

pub(crate) mod scanner;
pub(crate) mod tokens;
