//! The values of flags that were set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ferretcd_membership::Url;

use crate::table::{self, FLAGS};
use crate::{FeatureGates, Flag, Nanos, Status, Value, ValueError};

/// The flags that were set and their values; every other flag has the default of the table.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    set: BTreeMap<&'static str, Value>,
    /// The configuration file that the values come from.
    file: Option<PathBuf>,
}

/// Defines a getter for one variant of [`Value`].
macro_rules! getter {
    ($name:ident, $variant:ident, $type:ty, $kinds:literal) => {
        #[doc = concat!("The value of a flag of kind ", $kinds, ".")]
        ///
        /// # Panics
        ///
        /// If the table has no flag of this name, or one of another kind.
        pub fn $name(&self, name: &str) -> $type {
            match self.value(name) {
                Value::$variant(value) => value,
                other => panic!("flag {name} has the value {other:?}"),
            }
        }
    };
}

impl Settings {
    /// No values, to be filled from a configuration file. There the defaults of some flags do not depend on whether others
    /// are set.
    pub(crate) fn for_file(path: &Path) -> Self {
        Self { set: BTreeMap::new(), file: Some(path.to_owned()) }
    }

    pub(crate) fn insert(&mut self, flag: &'static Flag, value: Value) {
        self.set.insert(flag.name, value);
    }

    /// Sets a flag by a text in the notation of the command line. The last text counts, but for feature gates, which add
    /// up.
    pub(crate) fn set(&mut self, flag: &'static Flag, text: &str) -> Result<(), ValueError> {
        if let Some(Value::Gates(gates)) = self.set.get_mut(flag.name) {
            return Ok(gates.set(text)?);
        }
        self.insert(flag, flag.kind.parse(text, flag.default)?);
        Ok(())
    }

    /// Takes over what `other` has set of these flags.
    pub(crate) fn adopt(&mut self, other: &Self, names: &[&'static str]) {
        let values = names.iter().filter_map(|name| Some((*name, other.set.get(name)?.clone())));
        self.set.extend(values);
    }

    /// Whether no flag was set.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Whether a flag was set, be it to its default.
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// The configuration file that the values come from, if it is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The flags that have other values in `other`.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static Flag> + 'a {
        FLAGS.iter().filter(|flag| self.value(flag.name) != other.value(flag.name))
    }

    /// The flags that were set to another value than their default and have no effect here.
    pub fn without_effect(&self) -> impl Iterator<Item = &'static Flag> {
        FLAGS.iter().filter(|flag| {
            flag.status == Status::NoEffect
                && self.set.get(flag.name).is_some_and(|value| *value != flag.default_value())
        })
    }

    /// The warnings about the flags that were set and that etcd gives up.
    pub fn retiring(&self) -> impl Iterator<Item = &'static str> {
        FLAGS.iter().filter(|flag| self.is_set(flag.name)).filter_map(|flag| match flag.status {
            Status::Retiring(warning) => Some(warning),
            _ => None,
        })
    }

    /// The flags that were set and that etcd ignores, too.
    pub fn ignored(&self) -> impl Iterator<Item = &'static Flag> {
        FLAGS.iter().filter(|flag| flag.status == Status::Ignored && self.is_set(flag.name))
    }

    getter!(text, Text, String, "[`Text`](crate::Kind::Text) or of certain texts");
    getter!(uint, Uint, u64, "[`Uint`](crate::Kind::Uint) or [`Uint32`](crate::Kind::Uint32)");
    getter!(int, Int, i64, "[`Int`](crate::Kind::Int)");
    getter!(bool, Bool, bool, "[`Bool`](crate::Kind::Bool)");
    getter!(duration, Duration, Nanos, "[`Duration`](crate::Kind::Duration)");
    getter!(list, List, Vec<String>, "[`List`](crate::Kind::List) or another one with lists");
    getter!(gates, Gates, FeatureGates, "[`Gates`](crate::Kind::Gates)");
    getter!(urls, Urls, Vec<Url>, "[`Urls`](crate::Kind::Urls)");

    /// The value of any flag, in the notation of the command line.
    ///
    /// # Panics
    ///
    /// If the table has no flag of this name.
    pub fn display(&self, name: &str) -> String {
        self.value(name).to_string()
    }

    fn value(&self, name: &str) -> Value {
        match self.set.get(name) {
            Some(value) => value.clone(),
            None => table::find(name).expect("the caller asks for a flag of the table").default_value(),
        }
    }
}
