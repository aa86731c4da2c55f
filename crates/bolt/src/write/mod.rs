//! From rows to an image.

mod layout;
mod node;
mod pages;
mod plan;
mod source;
mod stream;
mod tree;

pub use plan::Plan;
pub use source::{Part, Source};
pub use stream::Stream;
