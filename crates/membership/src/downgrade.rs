//! A downgrade of the cluster, and its JSON form on disk.

use serde::{Deserialize, Serialize};

use crate::member::escape_like_go;

/// Whether the cluster is on its way to the previous minor version. The fields are etcd's, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Downgrade {
    /// `X.Y.0`; empty if there is no downgrade.
    #[serde(rename = "target-version")]
    target_version: String,
    enabled: bool,
}

impl Downgrade {
    pub(crate) fn to(target: String) -> Self {
        Self { target_version: target, enabled: true }
    }

    pub(crate) fn target(&self) -> Option<&str> {
        self.enabled.then_some(self.target_version.as_str())
    }

    pub(crate) fn to_json(&self) -> String {
        escape_like_go(&serde_json::to_string(self).expect("a string and a truth value have a JSON form"))
    }

    /// Reads [`Self::to_json`]; unknown fields are ignored.
    pub(crate) fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}
