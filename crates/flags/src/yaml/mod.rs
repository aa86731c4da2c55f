//! YAML as etcd's configuration file has it: YAML 1.1 with the types of Go's library, on its way into JSON.
//!
//! The parser gives the texts of scalars, their tags and whether they are quoted; what they mean is decided in
//! `scalar` alone. `value` puts maps and lists together, with aliases and merged keys.

mod error;
mod node;
mod scalar;
mod value;

use std::borrow::Cow;

pub use error::YamlError;
pub(crate) use value::Yaml;

/// Reads the first document of a file, and whether something follows it, which is not looked at. A file without a
/// document is [`Yaml::Null`].
pub(crate) fn read(bytes: &[u8]) -> Result<(Yaml, bool), YamlError> {
    let tree = node::parse(&decode(bytes)?)?;
    Ok((value::compose(&tree)?, tree.has_more))
}

/// The text of a file in UTF-8, or in UTF-16 with a byte order mark; without the mark.
// The parser's own way with UTF-16 loses bytes.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, YamlError> {
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, []) = bytes.as_chunks::<2>() else {
            return Err(YamlError::Bytes("incomplete UTF-16 character"));
        };
        let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect::<Result<String, _>>();
        text.map(Cow::Owned).map_err(|_| YamlError::Bytes("unexpected low surrogate area"))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => {
            str::from_utf8(rest).map(Cow::Borrowed).map_err(|_| YamlError::Bytes("invalid UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECES: [&str; 52] = [
        "a",
        "b: ",
        ": ",
        ":",
        "- ",
        "-",
        "? ",
        "?",
        "[",
        "]",
        "{",
        "}",
        ",",
        ", ",
        "\n",
        "\n  ",
        "\n ",
        "\t",
        " ",
        "!",
        "!a",
        "!!str ",
        "!<",
        ">",
        "!e!",
        "%",
        "%YAML 1.1\n",
        "%TAG !e! x\n",
        "%41",
        "%ff",
        "&a ",
        "*a",
        "<<: ",
        "|",
        "|+1\n",
        ">-\n",
        "'",
        "\"",
        "\\",
        "\\x",
        "\\u00",
        "#",
        " # c",
        "---",
        "...",
        "@",
        "~",
        "\r",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "é",
    ];

    #[test]
    fn what_looks_like_a_tag_before_a_comma_is_none() {
        for text in [
            "a: '[!c, d'",
            "a: \"[!c, d\"",
            "[a]: [b]\n# !c, d",
            "# [ !c, d",
            "a: |\n  [!c, d\n",
            "[!c , d]",
            "[a # !b, c\n]",
        ] {
            let error = node::parse(text).err().map(|error| error.to_string());
            assert!(error.is_none_or(|text| !text.contains("comma")), "{text}");
        }
    }

    fn check_error(text: &str, expected: &str) {
        assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
    }

    #[test]
    fn errors_read_as_in_etcd() {
        check_error("a: b\nc: [d", "yaml: line 3: did not find expected ',' or ']'");
        check_error("a: b: c", "yaml: line 1: mapping values are not allowed in this context");
        check_error("%YAML 1.2\n---\na: b", "yaml: found incompatible YAML document");
        check_error("a: *b", "yaml: unknown anchor 'b' referenced");
        check_error("a: &b [*b]", "yaml: anchor 'b' value contains itself");
        check_error("<<: a", "yaml: map merge requires map or sequence of maps as the value");
        check_error("a: !!int b", "yaml: cannot decode !!str `b` as a !!int");
        check_error("a: !!binary '*'", "yaml: !!binary value contains invalid base64 data");
        check_error("[a]: b", "yaml: invalid map key: a list");
        check_error("a: .inf", "json: unsupported value: +Inf");
        check_error("a: \u{1}", "yaml: control characters are not allowed");
        assert_eq!(read(b"a: \xff").unwrap_err().to_string(), "yaml: invalid UTF-8");
    }

    #[test]
    fn small_files_stay_small() {
        for depth in [101, 200_000] {
            check_error(&"[".repeat(depth), "yaml: exceeded max depth of 100");
            check_error(&format!("# !a, b\n{}", "[".repeat(depth)), "yaml: exceeded max depth of 100");
        }
        assert_eq!(
            read(format!("a: b # {}", "!".repeat(1_000_000)).as_bytes()).map(|(_, more)| more),
            Ok(false)
        );
        assert_eq!(
            read(format!("a: b # {}", "!b, ".repeat(200_000)).as_bytes()).map(|(_, more)| more),
            Ok(false)
        );
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            text += &format!("a{n}: &a{n} [{aliases}]\n");
        }
        check_error(&text, "yaml: document contains excessive aliasing");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([-a-b0-9:.,&*!|>'\"%@`#?{}~_\t\\[\\]\\\\ \n\r]|<<: |\\PC){0,60}") {
            let _ = read(text.as_bytes());
        }

        #[test]
        fn no_order_of_pieces_makes_it_panic(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12)) {
            let _ = read(pieces.concat().as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for mark in [&b""[..], b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"] {
                let _ = read(&[mark, &bytes].concat());
            }
        }
    }
}
