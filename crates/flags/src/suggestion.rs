//! Suggestions for misspelt flags.

use crate::{FLAGS, Status};

/// How similar (0 to 1) a flag's name has to be to be suggested.
const SIMILAR_ENOUGH: f64 = 0.7;

/// A sentence naming the flag that was probably meant, with a line break in front; empty if none is near.
pub(crate) fn suggestion(name: &str) -> String {
    // etcd 3.6 dropped this prefix. Some of these flags kept the rest of their name, others became gates.
    if let Some(rest) = name.strip_prefix("experimental-") {
        return match nearest(rest) {
            Some(flag) if flag == rest => format!("\ndid you mean -{flag}? It has lost its prefix"),
            _ => "\nflags named experimental-* are gone; see -feature-gates".to_owned(),
        };
    }
    nearest(name).map_or_else(String::new, |flag| format!("\ndid you mean -{flag}?"))
}

/// The most similar name in the table, if it is similar enough.
fn nearest(name: &str) -> Option<&'static str> {
    let name = name.replace('_', "-").to_ascii_lowercase();
    FLAGS
        .iter()
        .filter(|flag| flag.status != Status::Ignored)
        .map(|flag| (strsim::normalized_damerau_levenshtein(&name, flag.name), flag.name))
        .filter(|(similarity, _)| *similarity >= SIMILAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_flags_get_a_suggestion() {
        fn check(name: &str, expected: &str) {
            assert_eq!(suggestion(name).trim_start(), expected, "{name}");
        }
        check("data_dir", "did you mean -data-dir?");
        check("datadir", "did you mean -data-dir?");
        check("listen-client-url", "did you mean -listen-client-urls?");
        check("advertise-clients-urls", "did you mean -advertise-client-urls?");
        check(
            "experimental-warning-apply-duration",
            "did you mean -warning-apply-duration? It has lost its prefix",
        );
        check(
            "experimental-initial-corrupt-check",
            "flags named experimental-* are gone; see -feature-gates",
        );
        check("proxy", "");
    }
}
