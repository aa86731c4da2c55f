//! From the tree of a document to a value.

use std::collections::BTreeMap;

use super::YamlError;
use super::node::{DEPTH_MAX, Node, Scalar, Tree};
use super::scalar::resolve;

/// Nodes that are visited before the share of those that come from aliases is looked at.
const FREE_VISITS: usize = 1_000;
/// Nodes visited at most by way of aliases for each one that stands in the file.
const ALIASED_PER_NODE: usize = 99;

/// A value with a form in JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    /// Above [`i64::MAX`].
    Uint(u64),
    /// Finite.
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    /// By the bytes of the keys, the order in which etcd looks at them.
    Map(BTreeMap<String, Yaml>),
}

/// The value of a document.
pub(super) fn compose(tree: &Tree) -> Result<Yaml, YamlError> {
    let mut composer = Composer { tree, path: Vec::new(), visited: 0, aliased: 0 };
    tree.root.map_or(Ok(Yaml::Null), |root| composer.value(root))
}

struct Composer<'a> {
    tree: &'a Tree,
    /// The nodes around the one that is being looked at, aliases among them.
    path: Vec<usize>,
    visited: usize,
    aliased: usize,
}

impl Composer<'_> {
    fn value(&mut self, id: usize) -> Result<Yaml, YamlError> {
        match self.node(id)? {
            Yaml::Float(number) if !number.is_finite() => Err(YamlError::Number(match number {
                f64::INFINITY => "+Inf",
                f64::NEG_INFINITY => "-Inf",
                _ => "NaN",
            })),
            value => Ok(value),
        }
    }

    fn node(&mut self, id: usize) -> Result<Yaml, YamlError> {
        self.enter(id)?;
        let tree = self.tree;
        let value = match &tree.nodes[id] {
            Node::Scalar(scalar) => resolve(scalar),
            Node::Alias(_, target) => self.node(*target),
            Node::List(items) => {
                items.iter().map(|item| self.value(*item)).collect::<Result<_, _>>().map(Yaml::List)
            }
            Node::Map(children) => {
                let mut map = BTreeMap::new();
                self.fill(&mut map, children).map(|()| Yaml::Map(map))
            }
        }?;
        self.path.pop();
        Ok(value)
    }

    /// Counts a node, and rejects what would not come to an end soon.
    fn enter(&mut self, id: usize) -> Result<(), YamlError> {
        if let Node::Alias(name, _) = &self.tree.nodes[id]
            && self.path.contains(&id)
        {
            return Err(YamlError::Cycle(name.clone()));
        }
        if self.path.len() >= DEPTH_MAX {
            return Err(YamlError::Depth(DEPTH_MAX));
        }
        self.visited += 1;
        if self.path.iter().any(|&outer| matches!(self.tree.nodes[outer], Node::Alias(..))) {
            self.aliased += 1;
        }
        if self.visited > FREE_VISITS && self.aliased > ALIASED_PER_NODE * (self.visited - self.aliased) {
            return Err(YamlError::Aliasing);
        }
        self.path.push(id);
        Ok(())
    }

    /// Adds keys and values in their order; one that comes again replaces the one before, also one that is merged in.
    fn fill(&mut self, map: &mut BTreeMap<String, Yaml>, children: &[usize]) -> Result<(), YamlError> {
        for pair in children.chunks_exact(2) {
            let (key, value) = (pair[0], pair[1]);
            if is_merge(&self.tree.nodes[key]) {
                self.merge(map, value)?;
            } else {
                let key = key_text(self.node(key)?)?;
                let value = self.value(value)?;
                map.insert(key, value);
            }
        }
        Ok(())
    }

    /// Adds the entries of a map, or of a list of maps, of which the first counts most.
    fn merge(&mut self, map: &mut BTreeMap<String, Yaml>, id: usize) -> Result<(), YamlError> {
        let tree = self.tree;
        let sources = match &tree.nodes[id] {
            Node::List(items) => items.iter().rev().copied().collect(),
            _ => vec![id],
        };
        for source in sources {
            let target = match tree.nodes[source] {
                Node::Alias(_, target) => target,
                _ => source,
            };
            if !matches!(tree.nodes[target], Node::Map(_)) {
                return Err(YamlError::Merge);
            }
            let Yaml::Map(entries) = self.node(source)? else { return Err(YamlError::Merge) };
            map.extend(entries);
        }
        Ok(())
    }
}

fn is_merge(node: &Node) -> bool {
    matches!(node, Node::Scalar(Scalar { text, tag, is_plain })
        if text == "<<" && (*is_plain || tag == "tag:yaml.org,2002:merge"))
}

/// A key as JSON has it.
fn key_text(key: Yaml) -> Result<String, YamlError> {
    Ok(match key {
        Yaml::Text(text) => text,
        Yaml::Bool(bool) => bool.to_string(),
        Yaml::Int(number) => number.to_string(),
        Yaml::Float(number) => number.to_string(),
        Yaml::Null => return Err(YamlError::Key("null")),
        Yaml::Uint(_) => return Err(YamlError::Key("a number above 9223372036854775807")),
        Yaml::List(_) => return Err(YamlError::Key("a list")),
        Yaml::Map(_) => return Err(YamlError::Key("a map")),
    })
}
