//! The examples do what they say.

#[path = "../examples/two_ports.rs"]
mod two_ports;

#[test]
fn two_ports() {
    two_ports::main().expect("the example runs to its end");
}
