//! Addresses of mail, taken apart as RFC 2821 has it, with what Go tolerates.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mailbox {
    local: String,
    /// In small letters.
    pub(super) domain: String,
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// `None` if it is no such address.
pub(super) fn parse(text: &str) -> Option<Mailbox> {
    let mut rest = text.bytes();
    let local = match text.strip_prefix('"') {
        Some(quoted) => {
            rest = quoted.bytes();
            quoted_part(&mut rest)?
        }
        None => atoms(&mut rest)?,
    };
    let rest = String::from_utf8(rest.collect()).ok()?;
    let domain = rest.strip_prefix('@').filter(|domain| is_domain(domain))?.to_ascii_lowercase();
    Some(Mailbox { local, domain })
}

/// The form of a domain, as Go demands it. Nothing is one, too.
pub(super) fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_graphic());
    domain.is_empty() || domain.split('.').all(is_label)
}

/// What is in quotes, up to and with the second one.
fn quoted_part(rest: &mut std::str::Bytes<'_>) -> Option<String> {
    let is_text = |byte: u8| byte.is_ascii() && !matches!(byte, 0 | b'\n' | b'\r');
    let mut local = String::new();
    loop {
        let byte = match rest.next()? {
            b'"' => return Some(local),
            b'\\' => rest.next().filter(|byte| is_text(*byte))?,
            b'\t' => return None,
            byte => Some(byte).filter(|byte| is_text(*byte))?,
        };
        local.push(char::from(byte));
    }
}

/// Words with single dots between them.
fn atoms(rest: &mut std::str::Bytes<'_>) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    let mut local = String::new();
    loop {
        let mut ahead = rest.clone();
        match ahead.next() {
            Some(b'\\') => local.push(char::from(ahead.next()?)),
            Some(byte) if is_plain(byte) => local.push(char::from(byte)),
            _ => break,
        }
        *rest = ahead;
    }
    let has_bad_dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    (!local.is_empty() && !has_bad_dots).then_some(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes() {
        fn check(text: &str, expected: Option<(&str, &str)>) {
            let found = parse(text);
            let found = found.as_ref().map(|it| (it.local.as_str(), it.domain.as_str()));
            assert_eq!(found, expected, "{text}");
        }
        check("a.b@Example.com", Some(("a.b", "example.com")));
        check("\"a b\\\"\"@x", Some(("a b\"", "x")));
        check("a\\@b@x", Some(("a@b", "x")));
        check("a@", Some(("a", "")));
        check("a..b@x", None);
        check(".a@x", None);
        check("a.@x", None);
        check("@x", None);
        check("a", None);
        check("a@b c", None);
        check("a@.x", None);
        check("a@x.", None);
        check("\"a@x", None);
        check("a\\", None);
        check("", None);
    }
}
