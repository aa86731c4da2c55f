//! The examples do what they say.

#[path = "../examples/without_network.rs"]
mod without_network;

#[test]
fn without_network() {
    without_network::main().expect("the example runs to its end");
}
