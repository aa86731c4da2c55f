//! Passwords as bcrypt hashes, in the form that etcd stores.
//!
//! bcrypt is that of Provos and Mazières, "A Future-Adaptable Password Scheme" (USENIX 1999), with the conventions of
//! Go's golang.org/x/crypto/bcrypt, which etcd uses: the key is the password and a NUL byte, 72 bytes of it count, and
//! the last of the 24 bytes that come out is dropped.
//!
//! ```text
//!   $2a$10$  ......................  ...............................
//!   version  salt: 16 bytes in 22    hash: 23 bytes in 31 characters
//!   and cost characters
//! ```
//!
//! The cipher repeats its key until it has 72 bytes. So the hash of a password `p` is also that of `p`, NUL, `p`, as
//! in every bcrypt that takes NUL bytes.

use std::sync::LazyLock;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use blowfish::Blowfish;
use data_encoding::{Encoding, Specification};
use zeroize::Zeroizing;

/// The lowest cost of a hash.
pub const COST_MIN: u32 = 4;
/// The highest cost of a hash.
pub const COST_MAX: u32 = 31;
/// The cost of a hash if no other is configured.
pub const COST_DEFAULT: u32 = 10;

/// Bytes of a key that the cipher looks at.
const KEY_BYTES_MAX: usize = 72;
const SALT_CHARACTERS: usize = 22;
const HASH_CHARACTERS: usize = 31;
/// Bytes of the result that are kept.
const HASH_BYTES: usize = 23;

/// What is encrypted again and again: "OrpheanBeholderScryDoubt".
const TEXT: [[u32; 2]; 3] =
    [[0x4f72_7068, 0x6561_6e42], [0x6568_6f6c, 0x6465_7253], [0x6372_7944, 0x6f75_6274]];

/// The base64 of bcrypt. As in Go, bits that fill the last character up do not matter.
static BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut base64 = Specification::new();
    base64.symbols.push_str("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    base64.check_trailing_bits = false;
    base64.encoding().expect("it is well-formed")
});

/// Why a password was not hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password has more bytes than bcrypt looks at. The text is Go's, and reaches clients.
    #[error("bcrypt: password length exceeds 72 bytes")]
    TooLong,
    /// The cost is out of range.
    #[error("hash a password: the bcrypt cost {0} is not one of {COST_MIN} to {COST_MAX}")]
    Cost(u32),
    /// The caller gave up between two rounds.
    #[error("hash a password: given up")]
    GivenUp,
}

/// The hash of a password, as text that begins with `$2a$`. `salt` must be random, and another one for each call.
///
/// Keeps the thread busy for as long as all 2^`cost` rounds take: some 70 ms at cost 10, twice that with each step.
/// `go_on` is called before each round; the hash is given up when it returns `false`. The password may be empty and
/// have any bytes, at most 72.
pub fn hash_password(
    password: &[u8],
    cost: u32,
    salt: [u8; 16],
    go_on: impl FnMut() -> bool,
) -> Result<String, PasswordError> {
    if password.len() > KEY_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    if !(COST_MIN..=COST_MAX).contains(&cost) {
        return Err(PasswordError::Cost(cost));
    }
    let hash = bcrypt(password, cost, &salt, go_on).ok_or(PasswordError::GivenUp)?;
    Ok(format!("$2a${cost:02}${}{}", BASE64.encode(&salt), BASE64.encode(&hash)))
}

/// A text in the form of a hash that is that of no known password; to verify one against it takes as long as against a
/// hash of this cost. Cheap.
pub fn decoy_hash(cost: u32, random: [u8; 39]) -> String {
    let (salt, hash) = random.split_at(16);
    format!("$2a${cost:02}${}{}", BASE64.encode(salt), BASE64.encode(hash))
}

/// Whether `hash` is that of the password; `false` for a hash that is malformed, and when `go_on` has returned `false`.
///
/// Of a longer password the first 72 bytes are compared, as in Go. Takes as long as [`hash_password`] with the cost
/// that the hash names, and calls `go_on` as that does. How long it takes does not depend on how much of the hashes is
/// equal.
pub fn verify_password(password: &[u8], hash: &[u8], go_on: impl FnMut() -> bool) -> bool {
    let Some(stored) = Stored::parse(hash) else { return false };
    bcrypt(password, stored.cost, &stored.salt, go_on)
        .is_some_and(|hash| verify_slices_are_equal(BASE64.encode(&hash).as_bytes(), stored.hash).is_ok())
}

/// The parts of a stored hash.
struct Stored<'a> {
    cost: u32,
    salt: [u8; 16],
    /// As text.
    hash: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Takes every version that Go takes in the form `$2a$`: it calculates the same for all of them.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let (version, rest) = split(text.strip_prefix(b"$2")?)?;
        let (cost, rest) = split(rest)?;
        let (salt, hash) = rest.split_at_checked(SALT_CHARACTERS)?;
        if version.len() > 1 || hash.len() != HASH_CHARACTERS {
            return None;
        }
        let &[tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = cost else { return None };
        let cost = u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
        let salt = BASE64.decode(salt).ok()?.try_into().ok()?;
        (COST_MIN..=COST_MAX).contains(&cost).then_some(Self { cost, salt, hash })
    }
}

/// What is before the next dollar sign, and what is behind it.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'$')?;
    Some((&text[..at], &text[at + 1..]))
}

/// `None` if it is given up. The cost must be below 32.
fn bcrypt(
    password: &[u8],
    cost: u32,
    salt: &[u8; 16],
    mut go_on: impl FnMut() -> bool,
) -> Option<[u8; HASH_BYTES]> {
    let n_bytes = password.len().min(KEY_BYTES_MAX);
    let mut key = Zeroizing::new([0; KEY_BYTES_MAX]);
    key[..n_bytes].copy_from_slice(&password[..n_bytes]);
    // With the NUL byte behind the password, if there is room for it.
    let key = &key[..(n_bytes + 1).min(KEY_BYTES_MAX)];

    let mut cipher = Blowfish::bc_init_state();
    cipher.salted_expand_key(salt, key);
    for _ in 0..1_u32 << cost {
        if !go_on() {
            return None;
        }
        cipher.bc_expand_key(key);
        cipher.bc_expand_key(salt);
    }
    let encrypt = |block| (0..64).fold(block, |block, _| cipher.bc_encrypt(block));
    let words = TEXT.map(encrypt);
    let mut bytes = words.as_flattened().iter().flat_map(|word| word.to_be_bytes());
    Some(std::array::from_fn(|_| bytes.next().expect("there are 24")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(password: &[u8], cost: u32, salt: [u8; 16]) -> Result<String, PasswordError> {
        hash_password(password, cost, salt, || true)
    }

    fn verify(password: &[u8], hash: &[u8]) -> bool {
        verify_password(password, hash, || true)
    }

    const ALPHABET: &[u8] =
        b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzab";

    /// Passwords and the hashes that Go made of them.
    const VECTORS: &[(&[u8], &str)] = &[
        (b"", "$2a$04$.jwa1128cezyCDKvSQJh8OZR6MdHVruAfOB/FgQZUzzZ2Y.reoQWC"),
        (b"", "$2a$05$OgoPezAhXuz80Zy34VbLpuFu7ZjWTS6StlbrgLmQZGp9UpLXWo.Ki"),
        (b"a\0b", "$2a$04$GDYJ.tvXt5F.mLkQKtBo8OB.8sBrvGAaj4w3snYai7khku1N5TVPe"),
        (b"a\0b", "$2a$05$dM6ASZw./vFRAuazri9EIu8qxiEhcqzwBiJdwUFr2JxsJsz4kABd6"),
        (ALPHABET.split_at(72).0, "$2a$04$0hxj0TXJzMOVPxyKHMnke.cnkm6QyDwpzczd6AhIALGJYY8cKXcS."),
        (ALPHABET.split_at(72).0, "$2a$05$jbFM69X4jDzk9jI0OGWwxO7W.FbgucGLDj7jAlis02cP7RE/tC7tG"),
        (b"pass", "$2a$04$aPciu79zCNp8WTJZ3YC1JebIOV.taNMZOhG9mRjJNFNX9MP91LVQW"),
        (b"pass", "$2a$05$bwTr2YLVZjJnmpJLbd7wQu0JmcUiB0OBlNWEhXRgD4jvuyJxCEQl6"),
        (b"\xff\xfe\x80", "$2a$04$PmX9rrITALxSWXgxTwesW.YsoX8qajYkGbz2pT307znvkDlYnqNFi"),
        (b"\xff\xfe\x80", "$2a$05$8Im0aUWenlrPaWMin/qXq.BC3nnTlfIpGUUoBvVvSPsnPORpwQbfa"),
    ];

    #[test]
    fn decoy_is_verified_as_a_hash_is() {
        let decoy = decoy_hash(COST_MIN, [7; 39]);
        let stored = Stored::parse(decoy.as_bytes()).expect("the form of a hash");
        assert_eq!((stored.cost, stored.salt), (COST_MIN, [7; 16]));
        assert!(!verify(b"", decoy.as_bytes()));
    }

    #[test]
    fn hashes_are_those_of_go() {
        for (password, hash) in VECTORS {
            assert!(verify(password, hash.as_bytes()), "{hash}");
            let stored = Stored::parse(hash.as_bytes()).expect("Go made it");
            assert_eq!(hashed(password, stored.cost, stored.salt).as_deref(), Ok(*hash));
        }
    }

    #[test]
    fn other_passwords_are_rejected() {
        for (i, (password, _)) in VECTORS.iter().enumerate() {
            for (j, (other, hash)) in VECTORS.iter().enumerate() {
                assert_eq!(verify(password, hash.as_bytes()), password == other, "{i} {j}");
            }
        }
        assert!(!verify(b"a", VECTORS[2].1.as_bytes()), "a NUL byte does not end a password");
    }

    #[test]
    fn bytes_after_the_72nd_do_not_matter_to_a_comparison() {
        let (_, hash) = VECTORS[4];
        for n_bytes in [71, 72, 73, 80] {
            assert_eq!(verify(&ALPHABET[..n_bytes], hash.as_bytes()), n_bytes >= 72, "{n_bytes}");
        }
    }

    /// A property of bcrypt, which Go's has too.
    #[test]
    fn a_password_is_repeated_after_its_nul_byte() {
        let hash = hashed(b"a", COST_MIN, [7; 16]).expect("it is short");
        assert!(verify(b"a\0a", hash.as_bytes()));
        assert!(!verify(b"a\0b", hash.as_bytes()));
    }

    #[test]
    fn what_is_not_hashed() {
        let length = |n_bytes, cost| hashed(&ALPHABET[..n_bytes], cost, [0; 16]).map(|hash| hash.len());
        assert_eq!(length(72, 4), Ok(60));
        assert_eq!(length(73, 4), Err(PasswordError::TooLong));
        assert_eq!(PasswordError::TooLong.to_string(), "bcrypt: password length exceeds 72 bytes");
        assert_eq!(length(1, 3), Err(PasswordError::Cost(3)));
        assert_eq!(length(1, 32), Err(PasswordError::Cost(32)));
    }

    /// The rounds of the highest cost take more than a day.
    #[test]
    fn a_hash_is_given_up_between_two_rounds() {
        let rounds = |n: u32| {
            let mut left = n;
            move || left.checked_sub(1).inspect(|rest| left = *rest).is_some()
        };
        assert_eq!(hash_password(b"a", COST_MAX, [7; 16], rounds(2)), Err(PasswordError::GivenUp));
        let stored = hashed(b"a", COST_MIN, [7; 16]).expect("it is short");
        assert!(verify_password(b"a", stored.as_bytes(), rounds(16)), "2^4 rounds");
        assert!(!verify_password(b"a", stored.as_bytes(), rounds(15)));
    }

    #[test]
    fn forms_of_a_hash() {
        fn check(from: &str, to: &str, expected: bool) {
            let hash = VECTORS[6].1.replacen(from, to, 1);
            assert_eq!(verify(b"pass", hash.as_bytes()), expected, "{hash}");
        }
        check("", "", true);
        for version in ["$2$", "$2b$", "$2x$", "$2y$"] {
            check("$2a$", version, true);
        }
        for version in ["$3a$", "$2aa$", "2a$", "$a$", "$2a", ""] {
            check("$2a$", version, false);
        }
        for cost in ["$03$", "$32$", "$05$", "$4$", "$004$", "$+4$", "$$", "$ 4$", "4"] {
            check("$04$", cost, false);
        }
        check("aPciu", "aP\nciu", false);
        check("aPciu", "aP=iu", false);
        check("LVQW", "LVQ", false);
        check("LVQW", "LVQX", false);
        check("LVQW", "LVQWa", false);
        assert!(!verify(b"", b""));
        assert!(!verify(b"", b"\xff$2a$04$"));
    }
}
