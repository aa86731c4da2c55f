//! From the events of the parser to a tree.

use std::collections::HashMap;

use libyaml_safer::{Error, ErrorKind, EventData, Parser};

use super::YamlError;

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
                return Ok(builder.finish(!is_end));
            }
            event => builder.add(event)?,
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
}

impl Builder {
    fn add(&mut self, event: EventData) -> Result<(), YamlError> {
        match event {
            EventData::Alias { anchor } => match self.anchors.get(&anchor) {
                Some(&node) => self.push(None, Node::Alias(anchor, node)),
                None => return Err(YamlError::UnknownAnchor(anchor)),
            },
            EventData::Scalar { anchor, tag, value, plain_implicit, .. } => {
                let tag = tag.unwrap_or_default();
                self.push(anchor, Node::Scalar(Scalar { text: value, tag, is_plain: plain_implicit }));
            }
            EventData::SequenceStart { anchor, .. } => self.open(anchor, Node::List(Vec::new())),
            EventData::MappingStart { anchor, .. } => self.open(anchor, Node::Map(Vec::new())),
            EventData::SequenceEnd | EventData::MappingEnd => drop(self.open.pop()),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, anchor: Option<String>, node: Node) {
        let id = self.nodes.len();
        self.push(anchor, node);
        self.open.push(id);
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

    fn finish(self, has_more: bool) -> Tree {
        Tree { root: (!self.nodes.is_empty()).then_some(0), nodes: self.nodes, has_more }
    }
}
