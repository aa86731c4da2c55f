//! From the events of the parser to a tree.

use std::borrow::Cow;
use std::collections::HashMap;

use libyaml_safer::{Error, ErrorKind, EventData, Parser, ScalarStyle, Scanner, TokenData};

use super::YamlError;

/// Lists and maps in each other, at most; a configuration needs four.
pub(super) const DEPTH_MAX: usize = 100;

/// The nodes of a document, by their numbers.
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// `None` if the text has no document.
    pub(super) root: Option<usize>,
    /// Whether something follows the document.
    pub(super) has_more: bool,
}

pub(super) enum Node {
    Scalar(Scalar),
    /// The name of an anchor, and the node behind it.
    Alias(String, usize),
    List(Vec<usize>),
    /// Keys and values by turns.
    Map(Vec<usize>),
}

/// A scalar as it is written.
pub(super) struct Scalar {
    pub(super) text: String,
    /// Empty if there is none.
    pub(super) tag: String,
    /// Not quoted, and without a tag.
    pub(super) is_plain: bool,
}

/// Parses the first document of a text.
pub(super) fn parse(text: &str) -> Result<Tree, YamlError> {
    // The parser takes lines that are whole.
    let original = text;
    let text = &if text.ends_with('\n') { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}\n")) };
    reject_commas_behind_tags(text)?;
    let mut parser = Parser::new();
    parser.set_input(text.as_bytes());
    let mut builder = Builder::default();
    loop {
        match parser.parse().map_err(|error| problem(&error))?.data {
            EventData::StreamStart { .. } | EventData::DocumentStart { version_directive: None, .. } => {}
            EventData::DocumentStart { version_directive: Some(version), .. } => {
                // The parser takes 1.2 for 1.1; Go's does not.
                if (version.major, version.minor) != (1, 1) {
                    return Err(YamlError::Bytes("found incompatible YAML document"));
                }
            }
            EventData::StreamEnd => return Ok(builder.finish(false)),
            EventData::DocumentEnd { .. } => {
                let is_end = matches!(parser.parse(), Ok(event) if event.data == EventData::StreamEnd);
                if text.len() > original.len() {
                    builder.end_within_line(original);
                }
                return Ok(builder.finish(!is_end));
            }
            event => builder.add(event)?,
        }
    }
}

/// Stands for the exclamation mark of what may be a tag. It may be in a plain scalar, and is in no text of a language.
const MARKER: char = '\u{e000}';

/// Rejects tags between brackets with a comma directly behind them, which the parser does not take. The text is scanned
/// with such tags spelled as plain scalars, to see which of them are tags and which are parts of comments and scalars.
fn reject_commas_behind_tags(text: &str) -> Result<(), YamlError> {
    let ends_word = |c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}');
    let is_suspect = |word: &&str| word.ends_with(',') && word.contains('!');
    if !text.split_inclusive(ends_word).any(|word| is_suspect(&word)) {
        return Ok(());
    }
    let marked = |word: &str| {
        if is_suspect(&word) { word.replace('!', MARKER.encode_utf8(&mut [0; 4])) } else { word.to_owned() }
    };
    let text: String = text.split_inclusive(ends_word).map(marked).collect();
    let mut scanner = Scanner::new();
    scanner.set_input(text.as_bytes());
    let mut depth = 0_usize;
    loop {
        let token = Scanner::scan(&mut scanner).map_err(|error| problem(&error))?;
        match token.data {
            TokenData::StreamEnd => return Ok(()),
            TokenData::FlowSequenceStart | TokenData::FlowMappingStart if depth == DEPTH_MAX => {
                return Err(YamlError::Depth(DEPTH_MAX));
            }
            TokenData::FlowSequenceStart | TokenData::FlowMappingStart => depth += 1,
            TokenData::FlowSequenceEnd | TokenData::FlowMappingEnd => depth = depth.saturating_sub(1),
            TokenData::Scalar { value, style: ScalarStyle::Plain }
                if depth > 0 && value.starts_with(MARKER) =>
            {
                let line = token.start_mark.line + 1;
                return Err(YamlError::Syntax { line, problem: "found a comma directly behind a tag" });
            }
            _ => {}
        }
    }
}

fn problem(error: &Error) -> YamlError {
    match error.problem_mark() {
        Some(mark) if error.kind() != ErrorKind::Reader => {
            YamlError::Syntax { line: mark.line + 1, problem: error.problem() }
        }
        _ => YamlError::Bytes(error.problem()),
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    /// The lists and maps that are not closed yet.
    open: Vec<usize>,
    anchors: HashMap<String, usize>,
    /// The last scalar, if it is one of those that begin with `|` or `>`.
    last_block: Option<usize>,
}

impl Builder {
    fn add(&mut self, event: EventData) -> Result<(), YamlError> {
        match event {
            EventData::Alias { anchor } => match self.anchors.get(&anchor) {
                Some(&node) => self.push(None, Node::Alias(anchor, node)),
                None => return Err(YamlError::UnknownAnchor(anchor)),
            },
            EventData::Scalar { anchor, tag, value, plain_implicit, style, .. } => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                self.last_block = is_block.then_some(self.nodes.len());
                let tag = tag.unwrap_or_default();
                self.push(anchor, Node::Scalar(Scalar { text: value, tag, is_plain: plain_implicit }));
            }
            EventData::SequenceStart { anchor, .. } => self.open(anchor, Node::List(Vec::new()))?,
            EventData::MappingStart { anchor, .. } => self.open(anchor, Node::Map(Vec::new()))?,
            EventData::SequenceEnd | EventData::MappingEnd => drop(self.open.pop()),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, anchor: Option<String>, node: Node) -> Result<(), YamlError> {
        // Here as well as with the aliases, because the parser takes time with the square of the depth.
        if self.open.len() == DEPTH_MAX {
            return Err(YamlError::Depth(DEPTH_MAX));
        }
        let id = self.nodes.len();
        self.push(anchor, node);
        self.open.push(id);
        Ok(())
    }

    fn push(&mut self, anchor: Option<String>, node: Node) {
        let id = self.nodes.len();
        if let Some(Node::List(children) | Node::Map(children)) =
            self.open.last().map(|&parent| &mut self.nodes[parent])
        {
            children.push(id);
        }
        self.nodes.push(node);
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, id);
        }
    }

    /// Takes the line break that the text was given off the scalar that has it.
    fn end_within_line(&mut self, text: &str) {
        let last = self.last_block.map(|id| &mut self.nodes[id]);
        if let Some(Node::Scalar(scalar)) = last
            && scalar.text.ends_with('\n')
            && scalar.text.split_whitespace().last().is_some_and(|word| text.ends_with(word))
        {
            scalar.text.pop();
        }
    }

    fn finish(self, has_more: bool) -> Tree {
        Tree { root: (!self.nodes.is_empty()).then_some(0), nodes: self.nodes, has_more }
    }
}
