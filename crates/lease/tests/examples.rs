//! The examples do what they say.

#[path = "../examples/hand_driven_clock.rs"]
mod hand_driven_clock;

#[test]
fn hand_driven_clock() {
    hand_driven_clock::main().expect("the example runs to its end");
}
