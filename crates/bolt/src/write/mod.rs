//! From rows to an image.

mod node;
mod pages;
mod plan;
mod source;
mod tree;

pub use plan::Plan;
pub use source::{Row, Source};
