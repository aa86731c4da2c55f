//! Progress of long work, on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for an amount of bytes. It is gone with the value.
pub(crate) fn bar(title: &'static str, n_bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{wide_bar}] {bytes} of {total_bytes}, {eta} left");
    let bar = ProgressBar::new(n_bytes).with_message(title);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
