//! Errors of YAML.

/// Why a text is not YAML, or YAML that JSON has no form for. The texts are those of etcd's library, which people look
/// up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// The text breaks the rules of YAML.
    #[error("yaml: line {line}: {problem}")]
    Syntax {
        /// Where, from 1 on.
        line: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// The text has bytes that no YAML has.
    #[error("yaml: {0}")]
    Bytes(&'static str),
    /// An alias names no anchor before it.
    #[error("yaml: unknown anchor '{0}' referenced")]
    UnknownAnchor(String),
    /// An alias is inside of what it stands for.
    #[error("yaml: anchor '{0}' value contains itself")]
    Cycle(String),
    /// Aliases blow a small file up.
    #[error("yaml: document contains excessive aliasing")]
    Aliasing,
    /// Lists and maps in each other, deeper than any configuration.
    #[error("yaml: exceeded max depth of {0}")]
    Depth(usize),
    /// `<<` stands before something that is no map.
    #[error("yaml: map merge requires map or sequence of maps as the value")]
    Merge,
    /// A scalar does not have the type of its tag.
    #[error("yaml: cannot decode {found} `{text}` as a {wanted}")]
    Tag {
        /// The tag of what the text is.
        found: &'static str,
        /// The text.
        text: String,
        /// The tag that stands before it.
        wanted: String,
    },
    /// The text behind `!!binary` is not base64.
    #[error("yaml: !!binary value contains invalid base64 data")]
    Binary,
    /// A key is a list, a map, nothing, or a number above those with a sign.
    #[error("yaml: invalid map key: {0}")]
    Key(&'static str),
    /// A number that is infinite or none.
    #[error("json: unsupported value: {0}")]
    Number(&'static str),
}
