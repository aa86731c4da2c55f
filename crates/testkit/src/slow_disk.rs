//! A disk that takes long to sync, made by strace.

use std::iter;

/// How much longer each sync takes, in microseconds.
const DELAY: u32 = 150_000;

/// The words to put before a command so that its syncs take 150 ms longer. Only the thread that syncs waits, and other
/// system calls are not traced. The process that is started becomes the command itself, and strace a process beside it
/// that ends when the command does.
pub fn prefix() -> impl Iterator<Item = String> {
    let words =
        ["strace", "-D", "-f", "-q", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e"];
    let inject = format!("inject=fdatasync,fsync:delay_exit={DELAY}");
    words.into_iter().map(str::to_owned).chain([inject]).chain(iter::once("--".to_owned()))
}
