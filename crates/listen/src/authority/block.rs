//! The header blocks of a connection, in their order.

use bytes::Bytes;
use http::uri::Authority;

use super::hpack::{Field, Fields, Malformed, Name, Text};
use super::table::{AUTHORITY, ENTRY_BYTES, Entry, EntryName, Table};
use crate::limits::{HEADER_BLOCK_BYTES_MAX, HEADER_LIST_BYTES_MAX};

/// `:authority` as grpc-core spells it, instead of naming its number: as it is, and in Huffman's code.
const SPELLED: [&[u8]; 2] = [b"\x0a:authority", b"\x88\xb8\x3b\x53\x39\xec\x32\x7d\x7f"];
/// The authority in place of a malformed one, as a literal. No host has this name, so that none that is allowed to be
/// named can be meant.
const REPLACEMENT: &[u8] = b"\x01\x01!";

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    /// An authority that is empty, which is as good as none.
    IsDropped,
    /// An authority that is malformed.
    IsReplaced,
}

impl Fate {
    fn of_authority(value: &[u8]) -> Self {
        match value {
            [] => Self::IsDropped,
            value if Authority::try_from(value).is_ok() => Self::Stays,
            _ => Self::IsReplaced,
        }
    }
}

/// Passes blocks on as they are, until one has a field that must not stay. From then on all are spelled out anew,
/// without any use of the HTTP/2 library's own dynamic table: it lacks that field, so that its numbers are wrong.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The client's dynamic table.
    table: Table,
    is_rewriting: bool,
    scratch: Vec<u8>,
}

impl Blocks {
    /// Whether blocks are spelled out anew, so that the library cannot read one that is not.
    pub(super) fn is_rewriting(&self) -> bool {
        self.is_rewriting
    }

    /// The block to pass on in place of this one; `None` if it stays. One that would get too long is malformed: references
    /// to the dynamic table say much with few bytes.
    pub(super) fn pass(&mut self, block: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        let mut fields = Fields::of(block);
        let mut rewritten = self.is_rewriting.then(Vec::new);
        let mut list_bytes = 0;
        loop {
            let start = fields.at();
            let Some(field) = fields.next()? else { return Ok(rewritten) };
            let fate = self.fate(&field)?;
            let is_over = list_bytes > HEADER_LIST_BYTES_MAX as usize;
            if rewritten.is_none() && (fate != Fate::Stays || is_over) {
                self.is_rewriting = true;
                // What the library remembers of this is never used.
                rewritten = Some(block[..start].to_vec());
            }
            if fate == Fate::Stays {
                list_bytes += self.list_bytes_min(&field)?;
            }
            if let Some(out) = rewritten.as_mut().filter(|_| !is_over) {
                self.write(&field, &block[start..fields.at()], fate, out)?;
                if out.len() > HEADER_BLOCK_BYTES_MAX {
                    return Err(Malformed);
                }
            }
            self.remember(&field, fate)?;
        }
    }

    fn fate(&mut self, field: &Field<'_>) -> Result<Fate, Malformed> {
        match field {
            Field::Indexed(index) => Ok(match self.table.get(*index)? {
                Some(entry) => entry.fate,
                // That of the static table is empty.
                None if *index == AUTHORITY => Fate::IsDropped,
                None => Fate::Stays,
            }),
            Field::Literal { name, value, .. } if self.is_authority(name)? => {
                Ok(Fate::of_authority(value.decode(&mut self.scratch)?))
            }
            Field::Literal { .. } | Field::TableSize(_) => Ok(Fate::Stays),
        }
    }

    fn is_authority(&self, name: &Name<'_>) -> Result<bool, Malformed> {
        Ok(match name {
            Name::Spelled(name) => SPELLED.contains(&name.encoded),
            Name::Indexed(index) => match self.table.get(*index)? {
                Some(entry) => matches!(entry.name, EntryName::Static(AUTHORITY)),
                None => *index == AUTHORITY,
            },
        })
    }

    /// What a field counts in the list, at least: a list that is cut off has to be too long for the library as well.
    fn list_bytes_min(&self, field: &Field<'_>) -> Result<usize, Malformed> {
        Ok(match field {
            Field::Indexed(index) => self.table.get(*index)?.map_or(ENTRY_BYTES, Entry::bytes),
            Field::Literal { name, value, .. } => {
                let name_bytes = match name {
                    Name::Indexed(index) => self.table.get(*index)?.map_or(0, |entry| entry.name.bytes()),
                    Name::Spelled(name) => name.bytes_min(),
                };
                ENTRY_BYTES + name_bytes + value.bytes_min()
            }
            Field::TableSize(_) => 0,
        })
    }

    /// Writes a field without use of the dynamic table. `spelling` is how it was sent.
    fn write(
        &self,
        field: &Field<'_>,
        spelling: &[u8],
        fate: Fate,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        match (fate, field) {
            (Fate::IsDropped, _) | (_, Field::TableSize(_)) => {}
            (Fate::IsReplaced, _) => out.extend_from_slice(REPLACEMENT),
            (Fate::Stays, Field::Indexed(index)) => match self.table.get(*index)? {
                Some(entry) => {
                    entry.name.write(out);
                    out.extend_from_slice(&entry.value);
                }
                None => out.extend_from_slice(spelling),
            },
            (Fate::Stays, Field::Literal { name, value, .. }) => {
                self.write_name(name, out)?;
                out.extend_from_slice(value.encoded);
            }
        }
        Ok(())
    }

    fn write_name(&self, name: &Name<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match name {
            Name::Indexed(index) => match self.table.get(*index)? {
                Some(entry) => entry.name.write(out),
                None => EntryName::Static(*index).write(out),
            },
            Name::Spelled(name) => {
                out.push(0);
                out.extend_from_slice(name.encoded);
            }
        }
        Ok(())
    }

    fn remember(&mut self, field: &Field<'_>, fate: Fate) -> Result<(), Malformed> {
        match field {
            Field::TableSize(bytes) => self.table.resize(*bytes),
            Field::Literal { name, value, is_remembered: true } => {
                let entry = Entry {
                    name: self.entry_name(name)?,
                    value_bytes: self.decoded_bytes(value)?,
                    value: Bytes::copy_from_slice(value.encoded),
                    fate,
                };
                self.table.insert(entry);
                Ok(())
            }
            Field::Literal { .. } | Field::Indexed(_) => Ok(()),
        }
    }

    fn entry_name(&mut self, name: &Name<'_>) -> Result<EntryName, Malformed> {
        Ok(match name {
            Name::Indexed(index) => match self.table.get(*index)? {
                Some(entry) => entry.name.clone(),
                None => EntryName::Static(*index),
            },
            Name::Spelled(name) if SPELLED.contains(&name.encoded) => EntryName::Static(AUTHORITY),
            Name::Spelled(name) => {
                EntryName::Spelled(Bytes::copy_from_slice(name.encoded), self.decoded_bytes(name)?)
            }
        })
    }

    fn decoded_bytes(&mut self, text: &Text<'_>) -> Result<usize, Malformed> {
        Ok(text.decode(&mut self.scratch)?.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::hpack::tests::{huffman, plain};
    use super::super::hpack::write_integer;
    use super::super::table::STATIC_NAMES;
    use super::*;

    /// The fields of a block, as a side that has seen the blocks before understands it. A decoder of its own, that keeps
    /// names and values as they are.
    #[derive(Default)]
    struct Peer {
        table: Vec<(Vec<u8>, Vec<u8>)>,
        bytes_max: Option<usize>,
    }

    impl Peer {
        fn read(&mut self, block: &[u8]) -> Vec<(String, String)> {
            let mut fields = Fields::of(block);
            let mut list = Vec::new();
            while let Some(field) = fields.next().expect("a well-formed block") {
                match field {
                    Field::TableSize(bytes) => self.bytes_max = Some(bytes),
                    Field::Indexed(index) => list.push(self.entry(index)),
                    Field::Literal { name, value, is_remembered } => {
                        let name = match name {
                            Name::Indexed(index) => self.entry(index).0,
                            Name::Spelled(name) => decoded(&name),
                        };
                        let field = (name, decoded(&value));
                        if is_remembered {
                            self.table.insert(0, field.clone());
                        }
                        list.push(field);
                    }
                }
                let bytes = |(name, value): &(Vec<u8>, Vec<u8>)| 32 + name.len() + value.len();
                while self.table.iter().map(bytes).sum::<usize>() > self.bytes_max.unwrap_or(4096) {
                    self.table.pop();
                }
            }
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            list.into_iter().map(|(name, value)| (text(name), text(value))).collect()
        }

        fn entry(&self, index: usize) -> (Vec<u8>, Vec<u8>) {
            match index.checked_sub(62) {
                Some(index) => self.table[index].clone(),
                None => (STATIC_NAMES[index - 1].into(), format!("static {index}").into()),
            }
        }
    }

    fn decoded(text: &Text<'_>) -> Vec<u8> {
        text.decode(&mut Vec::new()).expect("a well-formed text").to_vec()
    }

    /// Checks which fields come out of some blocks on one connection: those that went in, but for authorities.
    fn check(blocks: &[Vec<u8>], authorities: &[Option<&str>]) {
        let (mut passing, mut client, mut library) = (Blocks::default(), Peer::default(), Peer::default());
        for (block, authority) in blocks.iter().zip(authorities) {
            let rewritten = passing.pass(block).expect("a well-formed block");
            let mut expected = client.read(block);
            expected.retain_mut(|(name, value)| {
                let is_other = name != ":authority";
                if !is_other && let Some(authority) = authority {
                    *value = (*authority).to_owned();
                }
                is_other || authority.is_some()
            });
            assert_eq!(library.read(rewritten.as_ref().unwrap_or(block)), expected, "{block:x?}");
        }
    }

    const GOOD: [&str; 6] = ["a", "a:1", "127.0.0.1:2379", "[::1]:2379", "user@host", "#initially"];
    const BAD: [&str; 9] = [
        "http://127.0.0.1:2379",
        "https://a/b?c",
        "127.0.0.1:2379,127.0.0.1:1",
        "ipv4:127.0.0.1:2379,127.0.0.1:1",
        "/var/run/etcd.sock",
        "unix:///a b",
        "%2Fetcd.sock",
        "[::1",
        "h\u{f6}st",
    ];

    #[test]
    fn spelled_names_are_known() {
        assert_eq!(SPELLED, [&plain(b":authority")[..], &huffman(b":authority")[..]]);
    }

    #[test]
    fn every_spelling_of_every_authority_is_understood() {
        let rest =
            [&[0x83, 0x86][..], &[0x44], &huffman(b"/a/b"), &[0x40], &plain(b"name"), &plain(b"value")];
        let rest = rest.concat();
        let names = [(1, vec![]), (0, plain(b":authority")), (0, huffman(b":authority"))];
        // To be remembered, not, and never.
        for (kind, bits) in [(0x40, 6), (0x00, 4), (0x10, 4)] {
            for (number, name) in &names {
                let field = |value: Vec<u8>| {
                    let mut field = Vec::new();
                    write_integer(*number, bits, kind, &mut field);
                    [field, name.clone(), value].concat()
                };
                let spellings = |value: &str| [plain(value.as_bytes()), huffman(value.as_bytes())].map(field);
                let expected = |value: &'static str| match value {
                    "" => None,
                    good if Authority::try_from(good).is_ok() => Some(good),
                    _ => Some("!"),
                };
                for value in GOOD.into_iter().chain(BAD).chain([""]) {
                    for authority in spellings(value) {
                        // First in the block, last, and in a later block, behind a good one.
                        check(&[[&authority[..], &rest].concat()], &[expected(value)]);
                        check(&[[&rest[..], &authority].concat()], &[expected(value)]);
                        let good = [&rest[..], &spellings("a")[0]].concat();
                        let later = [&authority[..], &rest].concat();
                        check(&[good.clone(), later, good], &[Some("a"), expected(value), Some("a")]);
                    }
                }
            }
        }
        // None at all, and the one of the static table.
        check(&[rest.clone(), [&[0x81], &rest[..]].concat(), rest], &[None, None, None]);
    }

    #[test]
    fn remembered_fields_are_found_by_number() {
        for bad in BAD.into_iter().chain([""]) {
            let expected = (!bad.is_empty()).then_some("!");
            // Two are remembered; then the value by number, the name by number, and both with others before them.
            let first =
                [&[0x41], &plain(bad.as_bytes())[..], &[0x40], &plain(b"name"), &huffman(b"value")].concat();
            let by_name = |value: &str| [&[0xbe, 0x0f, 0x30], &plain(value.as_bytes())[..]].concat();
            check(
                &[
                    first.clone(),
                    vec![0xbf, 0xbe],
                    by_name(bad),
                    by_name("a"),
                    vec![0x7f, 0x00, 0x01, b'b', 0xbe],
                ],
                &[expected, expected, expected, Some("a"), Some("b")],
            );
            // A size of the table that drops them, and then gives room again.
            let resized = [&[0x20, 0x3f, 0xe1, 0x1f], &first[..]].concat();
            check(&[first.clone(), resized, vec![0xbf, 0xbe]], &[expected; 3]);
        }
    }

    #[test]
    fn old_fields_make_room() {
        let field =
            |n: usize| [&[0x40], &plain(format!("name-{n}").as_bytes())[..], &plain(&[b'v'; 200])].concat();
        let blocks: Vec<_> =
            (0..60).map(|n| [field(n), vec![0xbe, 0xbf + (n % 15) as u8]].concat()).collect();
        let filled =
            [vec![[&[0x41], &plain(b"a/b")[..], &field(100), &field(101)].concat()], blocks].concat();
        let more =
            [filled.clone(), vec![[&[0x40], &plain(b"n")[..], &plain(&[b'v'; 5000])].concat()], filled];
        let blocks = more.concat();
        check(&blocks, &vec![Some("!"); blocks.len()]);
    }

    #[test]
    fn lists_that_are_too_long_are_cut_off() {
        let mut blocks = Blocks::default();
        let first = [&[0x40], &plain(b"name")[..], &plain(&[b'v'; 4000])].concat();
        assert_eq!(blocks.pass(&first), Ok(None));
        // As many references to four thousand bytes as fit into the frames of a block.
        let rewritten =
            blocks.pass(&vec![0xbe; 1 << 20]).expect("a well-formed block").expect("it is too long");
        let references = HEADER_LIST_BYTES_MAX as usize / 4036;
        assert_eq!(rewritten, vec![0xbe; references + 1]);
        let rewritten =
            blocks.pass(&vec![0xbe; 1 << 20]).expect("a well-formed block").expect("it is too long");
        assert_eq!(rewritten.len(), (references + 1) * (first.len()));
        // The next one is whole.
        let rewritten = blocks.pass(&[0xbe, 0x82]).expect("a well-formed block");
        assert_eq!(rewritten, Some([&[0x00], &first[1..], &[0x82]].concat()));
    }

    #[test]
    fn references_to_names_do_not_take_endless_memory() {
        let mut blocks = Blocks::default();
        let name = plain(&[b'n'; 4000]);
        let first = [&[0x41], &plain(b"a/b")[..], &[0x40], &name, &[0]].concat();
        assert!(blocks.pass(&first).expect("a well-formed block").is_some());
        // The name by number, without a value.
        let rewritten = blocks.pass(&[0x0f, 0x2f, 0x00].repeat(500_000)).expect("a well-formed block");
        let references = HEADER_LIST_BYTES_MAX as usize / 4032;
        assert_eq!(rewritten.expect("all are").len(), (references + 1) * (name.len() + 2));

        // A letter with the longest code, so that the spelling is what takes the memory.
        let value = huffman(&[b'\n'; 4000]);
        let first = [&[0x40, 1, b'a'], &value[..]].concat();
        assert!(blocks.pass(&first).expect("a well-formed block").is_some());
        assert_eq!(blocks.pass(&[0xbe; 4000]), Err(Malformed));
    }

    #[test]
    fn lists_that_the_library_takes_are_not_cut_off() {
        // Strings that are much longer in Huffman's code, and an authority that gets short.
        let long = huffman(&vec![b'\n'; 5 << 20]);
        for big in
            [[&[0x00, 1, b'a'], &long[..]].concat(), [&[0x01], &plain(&vec![b'/'; 17 << 20])[..]].concat()]
        {
            let mut blocks = Blocks::default();
            let rewritten = blocks.pass(&[&[0x81], &big[..], b"\x00\x01b\x01c"].concat());
            let rewritten = rewritten.expect("a well-formed block").expect("its authority is odd");
            assert!(rewritten.ends_with(b"\x00\x01b\x01c"));
        }
    }

    proptest! {
        #[test]
        fn hostile_blocks_do_not_panic(blocks in vec(vec(any::<u8>(), 0..200), 1..5)) {
            let mut passing = Blocks::default();
            for block in blocks {
                let _ = passing.pass(&block);
            }
        }

        #[test]
        fn hostile_codes_do_not_panic(code in vec(any::<u8>(), 0..100)) {
            let mut block = vec![0x41];
            write_integer(code.len(), 7, 0x80, &mut block);
            block.extend(code);
            let _ = Blocks::default().pass(&block);
        }
    }
}
