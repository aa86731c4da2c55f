//! Simple tokens: random letters that members remember, each for one user.
//!
//! A token is 16 letters, a dot, and the raft index of the entry before the one that assigned it, as in etcd:
//! `kQzRbWdXvTnLmPsA.42` comes from entry 43. A member that has applied nothing beyond that index may not know the token
//! yet. The letters are chosen before the proposal and travel in
//! the entry, so that all members have the same tokens. When a token ends is each member's own matter: a use counts on
//! the member that sees it.
//!
//! A queue has each token once, under a time of its use that is never later than its last one. A use changes the
//! token's own time alone, so it needs no more than the lock for reading; when the token comes up in the queue too
//! early it goes back in. So a token costs the queue one step per time to live, however often it is used.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use parking_lot::RwLock;

/// The most tokens that are held at a time, about.
const TOKENS_MAX: usize = 1_000_000;
/// Parts of the tokens with a lock of their own. A table that grows is hashed anew under its lock: with one part, all
/// requests would wait some hundred milliseconds for that of 900,000 tokens.
const N_SHARDS: usize = 16;
/// Tokens that a removal looks at before it lets others have the lock: less than a millisecond.
const LOOKS_MAX: usize = 1024;
/// Used tokens that the search for an unused one passes by.
const PASSES_MAX: usize = 16;

const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const N_LETTERS: usize = 16;

/// The tokens that a member knows. Shared by threads.
///
/// There are about a million at most, at some 150 bytes each. One more takes the place of another one: of an ended one,
/// else, as a rule, of one that has not been used since its assignment or since it was spared the last time. So a
/// client that logs in again and again drives out its own tokens before those that are in use. Memory of ended tokens
/// is used again, not returned.
///
/// Tokens are found by hashes with random keys, which have no effect on any result. How long a search takes tells a
/// client nothing about other tokens, as the client does not know which hashes are close.
pub struct SimpleTokens {
    /// How long a token lives without being used.
    ttl: Nanos,
    start: Instant,
    /// In each shard.
    tokens_max: usize,
    /// Says which shard has a token.
    hasher: RandomState,
    /// Uses of tokens read, all else writes. No call has more than one locked.
    shards: [RwLock<Tokens>; N_SHARDS],
}

/// Nanoseconds since `start`.
type Nanos = u64;
type Token = Arc<[u8]>;

#[derive(Default)]
struct Tokens {
    by_token: HashMap<Token, Entry>,
    /// Each token once, with the time of a use: the last one that was known when it came to its place.
    queue: VecDeque<(Token, Nanos)>,
    /// The users of tokens, by name. Those whose tokens were removed are no longer here.
    users: HashMap<Arc<str>, Arc<User>>,
}

struct Entry {
    user: Arc<User>,
    last_use: AtomicU64,
}

struct User {
    name: Arc<str>,
    /// All tokens of a user end with one store, which costs nothing for each of them.
    is_removed: AtomicBool,
}

impl SimpleTokens {
    /// No tokens yet. Each lives for `ttl` from its last use on. No later call may be about a time before `start`.
    pub fn new(ttl: Duration, start: Instant) -> Self {
        Self::with_max(ttl, start, TOKENS_MAX / N_SHARDS)
    }

    fn with_max(ttl: Duration, start: Instant, tokens_max: usize) -> Self {
        let ttl = nanos(ttl);
        Self { ttl, start, tokens_max, hasher: RandomState::new(), shards: Default::default() }
    }

    /// A token is a user's from now on. If it was another user's, it is no longer.
    ///
    /// Takes microseconds as a rule, and some ten milliseconds when a table with many tokens grows.
    pub fn assign(&self, user: &str, token: String, now: Instant) {
        let now = self.nanos(now);
        let mut tokens = self.shard(token.as_bytes()).write();
        let user = tokens.user(user);
        let token = Token::from(token.into_bytes());
        let entry = Entry { user, last_use: AtomicU64::new(now) };
        if tokens.by_token.insert(Arc::clone(&token), entry).is_none() {
            tokens.queue.push_back((token, now));
        }
        if tokens.by_token.len() > self.tokens_max {
            tokens.make_room(self.ttl, now);
        }
    }

    /// The name of the user that has the token, which lives for its whole time again. An ended token has none, whether
    /// it is still held or not.
    pub fn user_of(&self, token: &[u8], now: Instant) -> Option<Arc<str>> {
        let now = self.nanos(now);
        let tokens = self.shard(token).read();
        let entry = tokens.by_token.get(token).filter(|entry| entry.is_alive(self.ttl, now))?;
        // Another thread may have seen a later time.
        entry.last_use.fetch_max(now, Relaxed);
        Some(Arc::clone(&entry.user.name))
    }

    /// All tokens of a user end. The memory is kept until [`SimpleTokens::remove_expired`] comes to them.
    pub fn remove_user(&self, user: &str) {
        for shard in &self.shards {
            if let Some(user) = shard.write().users.remove(user) {
                user.is_removed.store(true, Relaxed);
            }
        }
    }

    /// All tokens end.
    pub fn clear(&self) {
        for shard in &self.shards {
            let old = std::mem::take(&mut *shard.write());
            // Many tokens take long to drop, so that happens without the lock.
            drop(old);
        }
    }

    /// Frees the memory of tokens that have ended; to be called every few seconds. Looks at the tokens whose time to
    /// live has passed since the last look alone, and lets others have the lock in between.
    pub fn remove_expired(&self, now: Instant) {
        let now = self.nanos(now);
        for shard in &self.shards {
            while shard.write().remove_some_expired(self.ttl, now) {}
            // Those that no token has: there are far fewer users than tokens.
            shard.write().users.retain(|_, user| Arc::strong_count(user) > 1);
        }
    }

    /// The number of tokens that are held, including ended ones whose memory has not been freed.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().by_token.len()).sum()
    }

    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, token: &[u8]) -> &RwLock<Tokens> {
        &self.shards[self.hasher.hash_one(token) as usize % N_SHARDS]
    }

    fn nanos(&self, at: Instant) -> Nanos {
        nanos(at.saturating_duration_since(self.start))
    }
}

impl fmt::Debug for SimpleTokens {
    /// Tokens are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ttl = Duration::from_nanos(self.ttl);
        f.debug_struct("SimpleTokens").field("ttl", &ttl).field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Tokens {
    fn user(&mut self, name: &str) -> Arc<User> {
        if let Some(user) = self.users.get(name) {
            return Arc::clone(user);
        }
        let name: Arc<str> = name.into();
        let user = Arc::new(User { name: Arc::clone(&name), is_removed: AtomicBool::new(false) });
        self.users.insert(name, Arc::clone(&user));
        user
    }

    /// Removes tokens that have ended, as far as the queue shows them. Returns whether it stopped before the last one.
    fn remove_some_expired(&mut self, ttl: Nanos, now: Nanos) -> bool {
        for _ in 0..LOOKS_MAX {
            let Some((token, _)) = self.queue.pop_front_if(|(_, used)| has_passed(ttl, *used, now)) else {
                return false;
            };
            let entry = &self.by_token[&token];
            if entry.is_alive(ttl, now) {
                let used = entry.last_use.load(Relaxed);
                self.queue.push_back((token, used));
            } else {
                self.by_token.remove(&token);
            }
        }
        true
    }

    /// Removes one token, best one that is not used.
    fn make_room(&mut self, ttl: Nanos, now: Nanos) {
        for pass in 0..=PASSES_MAX {
            let Some((token, queued)) = self.queue.pop_front() else { return };
            let entry = &self.by_token[&token];
            let used = entry.last_use.load(Relaxed);
            if used > queued && entry.is_alive(ttl, now) && pass < PASSES_MAX {
                self.queue.push_back((token, used));
            } else {
                self.by_token.remove(&token);
                return;
            }
        }
    }
}

impl Entry {
    fn is_alive(&self, ttl: Nanos, now: Nanos) -> bool {
        !self.user.is_removed.load(Relaxed) && !has_passed(ttl, self.last_use.load(Relaxed), now)
    }
}

/// Whether more than the time to live has passed since a use.
fn has_passed(ttl: Nanos, used: Nanos, now: Nanos) -> bool {
    now.saturating_sub(used) > ttl
}

/// The longest time is some 584 years.
fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The text of a token from its letters and the raft index of the entry before its own.
pub fn simple_token(prefix: &str, index: u64) -> String {
    format!("{prefix}.{index}")
}

/// The raft index in a token. A member can know the token only when it has applied a later entry. `None` if it is no simple
/// token: other than one dot, or no number of 64 bits behind it. The letters are not looked at.
pub fn simple_token_index(token: &[u8]) -> Option<u64> {
    let dot = token.iter().position(|byte| *byte == b'.')?;
    let digits = &token[dot + 1..];
    // `parse` takes a sign, too.
    let is_number = digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

/// The letters of a new token. `random` returns independent random bytes, from a generator that is fit for secrets; 19
/// or 20 of them are needed as a rule. All letters are equally likely.
pub fn simple_token_prefix(mut random: impl FnMut() -> u8) -> String {
    // Bytes above the last multiple of the number of letters would favour the first ones.
    const BOUND: usize = 256 / LETTERS.len() * LETTERS.len();
    let bytes = std::iter::repeat_with(|| usize::from(random())).filter(|byte| *byte < BOUND);
    bytes.take(N_LETTERS).map(|byte| char::from(LETTERS[byte % LETTERS.len()])).collect()
}

/// What may stand in a log for a token of any kind: it tells tokens apart, and proves nothing.
pub fn token_fingerprint(token: &[u8]) -> String {
    HEXLOWER.encode(&digest(&SHA256, token).as_ref()[..6])
}

#[cfg(test)]
mod tests {
    mod room;

    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn token(number: u64) -> String {
        simple_token("abcdefghijklmnop", number)
    }

    #[test]
    fn the_index_of_a_token() {
        fn check(token: &str, expected: Option<u64>) {
            assert_eq!(simple_token_index(token.as_bytes()), expected, "{token}");
        }
        check(&token(42), Some(42));
        check("a.0", Some(0));
        check(".5", Some(5));
        check("a.007", Some(7));
        check("a.18446744073709551615", Some(u64::MAX));
        for token in ["", ".", "a", "a.", "5", "a.b.5", "a.5.", "a.18446744073709551616"] {
            check(token, None);
        }
        for token in ["a.+5", "a.-5", "a. 5", "a.5 ", "a.1_000", "a.0x5", "a.5e1", "a.٥"] {
            check(token, None);
        }
        assert_eq!(simple_token_index(b"\xff.5"), Some(5));
        assert_eq!(simple_token_index(b"a.\xff"), None);
    }

    #[test]
    fn letters_are_equally_likely() {
        let mut counts = [0; 52];
        for byte in 0..208 {
            let prefix = simple_token_prefix(|| byte);
            assert_eq!(prefix.len(), N_LETTERS);
            let letter = prefix.as_bytes()[0];
            counts[LETTERS.iter().position(|it| *it == letter).expect("a letter")] += 1;
        }
        assert_eq!(counts, [4; 52]);
        let mut bytes = (208..=255).chain(0..16);
        assert_eq!(simple_token_prefix(|| bytes.next().expect("16 are used")), "abcdefghijklmnop");
    }

    #[test]
    fn users_have_names_of_their_own() {
        let now = Instant::now();
        let tokens = SimpleTokens::new(TTL, now);
        tokens.assign("a", token(1), now);
        tokens.assign("b", token(2), now);
        tokens.assign("c", token(2), now);
        let user_of = |number| tokens.user_of(token(number).as_bytes(), now);
        assert_eq!([1, 2, 3].map(user_of), [Some("a".into()), Some("c".into()), None]);
        assert_eq!(tokens.len(), 2);
    }

    #[test]
    fn a_use_prolongs_the_life() {
        let start = Instant::now();
        let tokens = SimpleTokens::new(TTL, start);
        let is_known = |now| tokens.user_of(token(1).as_bytes(), now).is_some();
        tokens.assign("a", token(1), start);
        assert!(is_known(start + TTL));
        assert!(is_known(start + TTL / 2), "a thread that is late does not shorten it");
        assert!(is_known(start + TTL * 2));
        let nanosecond = Duration::from_nanos(1);
        assert!(!is_known(start + TTL * 3 + nanosecond));
        assert_eq!(tokens.len(), 1);
        tokens.remove_expired(start + TTL * 3);
        assert_eq!(tokens.len(), 1);
        tokens.remove_expired(start + TTL * 3 + nanosecond);
        assert!(tokens.is_empty());
        assert!(tokens.shards.iter().all(|shard| shard.read().users.is_empty()));
    }

    fn n_queued(tokens: &SimpleTokens) -> usize {
        tokens.shards.iter().map(|shard| shard.read().queue.len()).sum()
    }

    /// However many there are, and however often they are used.
    #[test]
    fn the_queue_has_each_token_once() {
        const TOKENS: u64 = 10_000;
        let start = Instant::now();
        let tokens = SimpleTokens::new(TTL, start);
        (0..TOKENS).for_each(|number| tokens.assign("a", token(number), start));
        for round in 1..10 {
            let now = start + TTL / 2 * round;
            for number in 0..TOKENS / 2 {
                assert!(tokens.user_of(token(number).as_bytes(), now).is_some());
            }
            tokens.remove_expired(now);
            let expected = if round <= 2 { TOKENS } else { TOKENS / 2 } as usize;
            assert_eq!((tokens.len(), n_queued(&tokens)), (expected, expected), "{round}");
        }
        tokens.clear();
        assert_eq!((tokens.len(), n_queued(&tokens)), (0, 0));
    }

    #[test]
    fn a_flood_leaves_tokens_in_use() {
        const MAX: usize = 50;
        let start = Instant::now();
        let tokens = SimpleTokens::with_max(TTL, start, MAX);
        tokens.assign("victim", token(0), start);
        for number in 1..10_000 {
            let now = start + Duration::from_micros(number);
            tokens.assign("flood", token(number), now);
            assert!(tokens.user_of(token(0).as_bytes(), now).is_some(), "{number}");
            assert!(tokens.user_of(token(number).as_bytes(), now).is_some(), "the latest is there");
        }
        assert_eq!((tokens.len(), n_queued(&tokens)), (MAX * N_SHARDS, MAX * N_SHARDS));
    }

    /// When the tokens begin, and the clock of a test.
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn debug_shows_no_token() {
        let now = Instant::now();
        let tokens = SimpleTokens::new(TTL, now);
        tokens.assign("a", token(1), now);
        assert_eq!(format!("{tokens:?}"), "SimpleTokens { ttl: 300s, len: 1, .. }");
    }
}
