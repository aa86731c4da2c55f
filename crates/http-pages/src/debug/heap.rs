//! Resident memory by what it is mapped to, as the kernel counts it.
//!
//! The allocator does not record where memory was allocated, so this is as far as the truth goes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::{fs, io};

use super::profile::{Builder, Frame};

/// What memory that belongs to no file is called: the allocator's, and stacks.
const ANONYMOUS: &str = "[anonymous]";

/// Bytes of all mappings of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bytes {
    mapped: i64,
    resident: i64,
}

type Mappings = BTreeMap<String, Bytes>;

/// As a profile. Blocks while the kernel walks the page tables.
pub(super) fn file() -> io::Result<Vec<u8>> {
    let mut profile = Builder::new(&[("mapped_space", "bytes"), ("resident_space", "bytes")]);
    for (name, bytes) in read()? {
        profile.sample([vec![Frame::named(name)]], vec![bytes.mapped, bytes.resident]);
    }
    Ok(profile.finish())
}

/// As text, the largest first. Blocks as [`file`].
pub(super) fn text() -> io::Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let is_memory = |line: &&str| line.starts_with("Vm") || line.starts_with("Rss");
    let mut text: String = status.lines().filter(is_memory).flat_map(|line| [line, "\n"]).collect();
    let mut mappings: Vec<_> = read()?.into_iter().collect();
    mappings.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.resident));
    let _ = writeln!(text, "\n{:>14} {:>14} bytes of", "resident", "mapped");
    for (name, bytes) in mappings {
        let _ = writeln!(text, "{:>14} {:>14} {name}", bytes.resident, bytes.mapped);
    }
    Ok(text)
}

fn read() -> io::Result<Mappings> {
    Ok(parse(&String::from_utf8_lossy(&fs::read("/proc/self/smaps")?)))
}

/// Each mapping has a line with its addresses and its name, and then one for each of its sizes.
fn parse(smaps: &str) -> Mappings {
    let mut mappings = Mappings::new();
    let mut name = String::new();
    for line in smaps.lines() {
        let Some((first, rest)) = line.split_once(' ') else { continue };
        let size = || Some(rest.trim().strip_suffix(" kB")?.parse::<i64>().ok()? * 1024);
        match first {
            "Size:" => mappings.entry(name.clone()).or_default().mapped += size().unwrap_or_default(),
            "Rss:" => mappings.entry(name.clone()).or_default().resident += size().unwrap_or_default(),
            _ if first.ends_with(':') => {}
            // Rights, offset, device, number of the file, name.
            _ => name = rest.splitn(5, ' ').nth(4).unwrap_or_default().trim().to_owned(),
        }
        if name.is_empty() {
            ANONYMOUS.clone_into(&mut name);
        }
    }
    mappings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_one_name_are_added_up() {
        let smaps = "\
5600-5700 r--p 00000000 08:01 77                         /usr/bin/a b
Size:                  8 kB
KernelPageSize:        4 kB
Rss:                   4 kB
VmFlags: rd mr
5700-5800 r-xp 00001000 08:01 77                         /usr/bin/a b
Size:                  4 kB
Rss:                   4 kB
7f00-7f10 rw-p 00000000 00:00 0 
Size:                 16 kB
Rss:                   0 kB
";
        let expected = [
            ("/usr/bin/a b".to_owned(), Bytes { mapped: 12 * 1024, resident: 8 * 1024 }),
            (ANONYMOUS.to_owned(), Bytes { mapped: 16 * 1024, resident: 0 }),
        ];
        assert_eq!(parse(smaps), Mappings::from(expected));
        assert_eq!(parse("nonsense\n\nSize: x kB\n").len(), 1);
    }
}
