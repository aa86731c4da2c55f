//! Passwords that were verified lately.
//!
//! bcrypt is slow on purpose, and clients log in again with each connection. A password is remembered under an HMAC of
//! the user's name, the password and the stored hash, with a key that lives as long as the process: neither is the
//! password in memory, nor does a hit outlast a change of the stored hash.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use parking_lot::Mutex;

/// Passwords that need not be verified again for a while. Shared by threads; each call holds a lock for a few lookups.
///
/// Takes some 100 bytes for each password, and holds as many as it has room for: with more, the oldest ones are
/// verified again.
pub struct VerifiedPasswords {
    key: hmac::Key,
    lifetime: Duration,
    entries_max: usize,
    /// Taken by every call.
    entries: Mutex<Entries>,
}

type Digest = [u8; 32];

/// Both have the same digests.
#[derive(Default)]
struct Entries {
    digests: HashSet<Digest>,
    /// In the order of insertion, with its time.
    queue: VecDeque<(Digest, Instant)>,
}

impl VerifiedPasswords {
    /// An empty one. `key` must be random and secret; `lifetime` counts from the insertion of a password and is not
    /// prolonged. With an `entries_max` of 0 nothing is remembered.
    pub fn new(key: &[u8; 32], lifetime: Duration, entries_max: usize) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        Self { key, lifetime, entries_max, entries: Mutex::default() }
    }

    /// Whether the password was verified against this hash for this user within the lifetime. Takes microseconds.
    pub fn contains(&self, name: &str, password: &[u8], stored_hash: &[u8], now: Instant) -> bool {
        let digest = self.digest(name, password, stored_hash);
        let mut entries = self.entries.lock();
        entries.remove_expired(self.lifetime, now);
        entries.digests.contains(&digest)
    }

    /// Remembers a password that was verified just now. One that is remembered already keeps its time.
    pub fn insert(&self, name: &str, password: &[u8], stored_hash: &[u8], now: Instant) {
        if self.entries_max == 0 {
            return;
        }
        let digest = self.digest(name, password, stored_hash);
        let mut entries = self.entries.lock();
        entries.remove_expired(self.lifetime, now);
        if entries.digests.insert(digest) {
            entries.queue.push_back((digest, now));
        }
        if entries.queue.len() > self.entries_max {
            entries.pop();
        }
    }

    /// Forgets all passwords.
    pub fn clear(&self) {
        *self.entries.lock() = Entries::default();
    }

    /// The same for the same three byte strings only: each goes in behind its length.
    fn digest(&self, name: &str, password: &[u8], stored_hash: &[u8]) -> Digest {
        let mut hmac = hmac::Context::with_key(&self.key);
        for part in [name.as_bytes(), password, stored_hash] {
            hmac.update(&(part.len() as u64).to_le_bytes());
            hmac.update(part);
        }
        hmac.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

impl Entries {
    /// Costs one step for each entry in all its life. Threads may see the time a little apart, which lets an entry
    /// live so much longer behind another one.
    fn remove_expired(&mut self, lifetime: Duration, now: Instant) {
        while let Some((_, inserted)) = self.queue.front()
            && now.saturating_duration_since(*inserted) >= lifetime
        {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((digest, _)) = self.queue.pop_front() {
            self.digests.remove(&digest);
        }
    }
}

impl fmt::Debug for VerifiedPasswords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedPasswords").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(10);

    fn passwords(entries_max: usize) -> VerifiedPasswords {
        VerifiedPasswords::new(&[7; 32], LIFETIME, entries_max)
    }

    #[test]
    fn every_part_counts() {
        let now = Instant::now();
        let passwords = passwords(10);
        passwords.insert("ab", b"cd", b"ef", now);
        assert!(passwords.contains("ab", b"cd", b"ef", now));
        let others: [(&str, &[u8], &[u8]); 6] = [
            ("a", b"bcd", b"ef"),
            ("abc", b"d", b"ef"),
            ("ab", b"cde", b"f"),
            ("ab", b"cd", b"eg"),
            ("ab", b"", b"cdef"),
            ("", b"", b""),
        ];
        for (name, password, hash) in others {
            assert!(!passwords.contains(name, password, hash, now), "{name}");
        }
    }

    #[test]
    fn a_lifetime_counts_from_the_first_insertion() {
        let start = Instant::now();
        let passwords = passwords(10);
        let contains = |now| passwords.contains("a", b"b", b"c", now);
        passwords.insert("a", b"b", b"c", start);
        let almost = start + LIFETIME - Duration::from_nanos(1);
        assert!(contains(almost));
        passwords.insert("a", b"b", b"c", almost);
        assert!(!contains(start + LIFETIME));
        passwords.insert("a", b"b", b"c", start + LIFETIME);
        assert!(contains(almost + LIFETIME), "it was inserted anew");
        assert!(!contains(start + 2 * LIFETIME));
    }

    #[test]
    fn the_oldest_go_first() {
        let start = Instant::now();
        let names = ["a", "b", "c", "d"];
        let passwords = passwords(2);
        for (name, second) in names.into_iter().zip(0..) {
            passwords.insert(name, b"", b"", start + Duration::from_secs(second));
        }
        let now = start + Duration::from_secs(4);
        assert_eq!(names.map(|name| passwords.contains(name, b"", b"", now)), [false, false, true, true]);
        passwords.clear();
        assert_eq!(names.map(|name| passwords.contains(name, b"", b"", now)), [false; 4]);
        let entries = passwords.entries.lock();
        assert_eq!((entries.digests.len(), entries.queue.len()), (0, 0));
    }

    /// A user that logs in again and again does not outlive the others.
    #[test]
    fn an_insertion_that_is_repeated_keeps_its_place() {
        let start = Instant::now();
        let passwords = passwords(2);
        let names = ["a", "b", "a", "c"];
        for (name, second) in names.into_iter().zip(0..) {
            passwords.insert(name, b"", b"", start + Duration::from_secs(second));
        }
        let now = start + Duration::from_secs(4);
        assert_eq!(["a", "b", "c"].map(|name| passwords.contains(name, b"", b"", now)), [false, true, true]);
    }

    #[test]
    fn expired_passwords_take_no_room() {
        let start = Instant::now();
        let passwords = passwords(3);
        let n_held = || {
            let entries = passwords.entries.lock();
            assert_eq!(entries.digests.len(), entries.queue.len());
            entries.queue.len()
        };
        for (name, second) in ["a", "b", "c"].into_iter().zip([0, 0, 5]) {
            passwords.insert(name, b"", b"", start + Duration::from_secs(second));
        }
        passwords.insert("d", b"", b"", start + LIFETIME);
        assert_eq!(n_held(), 2, "those of the start are forgotten");
        assert!(passwords.contains("c", b"", b"", start + LIFETIME), "it did not have to make room");
        assert!(!passwords.contains("d", b"", b"", start + 2 * LIFETIME));
        assert_eq!(n_held(), 0, "a look is enough");
    }

    /// Another thread may have seen a later time.
    #[test]
    fn a_look_that_is_late_finds_what_was_inserted_meanwhile() {
        let start = Instant::now();
        let passwords = passwords(1);
        passwords.insert("a", b"b", b"c", start + LIFETIME);
        assert!(passwords.contains("a", b"b", b"c", start));
    }

    #[test]
    fn without_a_lifetime_nothing_is_remembered() {
        let now = Instant::now();
        let passwords = VerifiedPasswords::new(&[7; 32], Duration::ZERO, 10);
        passwords.insert("a", b"b", b"c", now);
        assert!(!passwords.contains("a", b"b", b"c", now));
    }

    #[test]
    fn no_room_remembers_nothing() {
        let now = Instant::now();
        let passwords = passwords(0);
        passwords.insert("a", b"b", b"c", now);
        assert!(!passwords.contains("a", b"b", b"c", now));
    }

    #[test]
    fn debug_shows_no_secret() {
        let passwords = passwords(10);
        passwords.insert("name", b"password", b"hash", Instant::now());
        assert_eq!(format!("{passwords:?}"), "VerifiedPasswords { lifetime: 10s, .. }");
    }
}
