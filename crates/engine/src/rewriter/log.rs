//! What etcd writes to its log about defragmentations.

use std::path::Path;
use std::time::Duration;

use ferretcd_backend::Size;

use crate::DefragmentError;

pub(super) fn begins(path: &Path, Size { total, in_use, .. }: Size) {
    tracing::info!(
        path = %path.display(),
        "current-db-size-bytes" = total,
        "current-db-size" = human(total),
        "current-db-size-in-use-bytes" = in_use,
        "current-db-size-in-use" = human(in_use),
        "defragmenting"
    );
}

pub(super) fn finished(path: &Path, before: Size, Size { total, in_use, .. }: Size, took: Duration) {
    let took = format!("{took:?}");
    tracing::info!(
        path = %path.display(),
        "current-db-size-bytes-diff" = total.cast_signed() - before.total.cast_signed(),
        "current-db-size-bytes" = total,
        "current-db-size" = human(total),
        "current-db-size-in-use-bytes-diff" = in_use.cast_signed() - before.in_use.cast_signed(),
        "current-db-size-in-use-bytes" = in_use,
        "current-db-size-in-use" = human(in_use),
        took,
        "finished defragmenting directory"
    );
}

/// At a start, where the flag says when to defragment.
pub(super) fn skipped(Size { total, in_use, .. }: Size, threshold: u64) {
    tracing::info!(
        "current-db-size-bytes" = total,
        "current-db-size" = human(total),
        "current-db-size-in-use-bytes" = in_use,
        "current-db-size-in-use" = human(in_use),
        "bootstrap-defrag-threshold-bytes" = threshold,
        "bootstrap-defrag-threshold" = human(threshold),
        "Skipping defragmentation"
    );
}

/// etcd rewrites its file even then.
pub(super) fn nothing_to_gain(Size { total, in_use, .. }: Size) {
    tracing::info!(
        "current-db-size-bytes" = total,
        "current-db-size-in-use-bytes" = in_use,
        "skipped a defragmentation that would free nothing"
    );
}

pub(super) fn failed(path: &Path, error: &DefragmentError, pause: Duration) {
    let next = format!("{pause:?}");
    tracing::warn!(path = %path.display(), %error, "tries-again-after" = next, "failed to defragment");
}

/// A number of bytes as etcd writes it for people: three digits at most, units of a thousand.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let unit = bytes.ilog(1000);
    let value = (bytes as f64 / 1000_f64.powi(unit.cast_signed()) * 10.0 + 0.5).floor() / 10.0;
    let digits = usize::from(value < 10.0);
    format!("{value:.digits$} {}", UNITS[unit as usize])
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_are_short() {
        let check = |bytes, text| assert_eq!(human(bytes), text);
        check(0, "0 B");
        check(9, "9 B");
        check(999, "999 B");
        check(1000, "1.0 kB");
        check(20_480, "20 kB");
        check(1_234_567, "1.2 MB");
        check(9_960_000, "10 MB");
        check(2 << 30, "2.1 GB");
        check(u64::MAX, "18 EB");
    }
}
