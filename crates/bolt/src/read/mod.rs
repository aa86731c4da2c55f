//! From an image to rows.

mod bucket;
mod image;
mod node;
mod reader;
mod walk;

pub use bucket::{BUCKETS_MAX, Bucket, Buckets, Rows};
pub use image::Image;
pub use reader::Reader;
