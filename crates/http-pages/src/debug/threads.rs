//! The threads of the process, as the kernel knows them.

use std::fmt::Write as _;
use std::{fs, io};

use rustix::param::clock_ticks_per_second;

use super::profile::{Builder, Frame};

/// One thread.
#[derive(Debug, PartialEq)]
struct Thread {
    name: String,
    /// A letter, `S` for one that waits.
    state: String,
    /// Processor time that it has used.
    ticks: u64,
}

/// As a profile.
pub(super) fn file() -> io::Result<Vec<u8>> {
    let mut profile = Builder::new(&[("cpu", "nanoseconds"), ("threads", "count")]);
    for thread in read()? {
        let nanoseconds = thread.ticks.saturating_mul(1_000_000_000 / clock_ticks_per_second());
        let nanoseconds = i64::try_from(nanoseconds).unwrap_or(i64::MAX);
        profile.sample([vec![Frame::named(format!("thread {}", thread.name))]], vec![nanoseconds, 1]);
    }
    Ok(profile.finish())
}

/// As text.
pub(super) fn text() -> io::Result<String> {
    let threads = read()?;
    let mut text = format!("threadcreate profile: total {}\n\nstate cpu-seconds name\n", threads.len());
    for Thread { name, state, ticks } in threads {
        let seconds = ticks as f64 / clock_ticks_per_second() as f64;
        let _ = writeln!(text, "{state:>5} {seconds:>11.2} {name}");
    }
    Ok(text)
}

/// In the order of their names.
fn read() -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        // A thread that has ended meanwhile has no file any more.
        let Ok(stat) = fs::read(task?.path().join("stat")) else { continue };
        threads.extend(Thread::parse(&String::from_utf8_lossy(&stat)));
    }
    threads.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(threads)
}

impl Thread {
    fn parse(stat: &str) -> Option<Self> {
        // The second field is the name in parentheses, which may hold anything.
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            name: name.to_owned(),
            state: (*fields.first()?).to_owned(),
            ticks: ticks(14)?.saturating_add(ticks(15)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_one_line() {
        let stat = "7 (raft (1)) S 1 7 7 0 -1 64 5 0 0 0 130 20 0 0 20 0 9 0 4242";
        let thread = Thread { name: "raft (1)".to_owned(), state: "S".to_owned(), ticks: 150 };
        assert_eq!(Thread::parse(stat), Some(thread));
        assert_eq!(Thread::parse("7 (raft) S 1"), None);
        assert_eq!(Thread::parse(""), None);
    }
}
