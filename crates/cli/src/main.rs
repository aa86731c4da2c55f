//! The ferretcd server program.
fn main() {}
