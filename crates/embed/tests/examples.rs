//! The examples do what they say.

#[path = "../examples/own_layer.rs"]
mod own_layer;

#[test]
fn own_layer() {
    own_layer::main().expect("the example runs to its end");
}
