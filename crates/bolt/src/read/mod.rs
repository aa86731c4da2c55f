//! From an image to rows.

mod bucket;
mod image;
mod node;
mod pages;
mod reader;
mod walk;

pub use bucket::{Bucket, Buckets, Rows};
pub use image::Image;
pub use reader::Reader;
