//! What a render looked at besides the chart and its values: noted while it runs.

use std::collections::BTreeSet;

/// One `lookup` call a render made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookupRead {
    /// `apiVersion` argument.
    pub api_version: String,
    /// `kind` argument.
    pub kind: String,
    /// `namespace` argument.
    pub namespace: String,
    /// `name` argument; empty for a list.
    pub name: String,
}

/// What a render looked at besides the chart and its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Parts of `.Capabilities`, as `KubeVersion` or `APIVersions/apps/v1`.
    pub capabilities: BTreeSet<String>,
    /// Objects looked up in the cluster.
    pub lookups: BTreeSet<LookupRead>,
    /// Whether time or randomness was used, so that a second render may differ.
    pub volatile: bool,
}

/// The notes of a render under way.
#[derive(Debug, Default)]
pub(crate) struct ReadLog(pub(crate) Reads);

impl ReadLog {
    pub(crate) fn capability(&mut self, part: String) {
        self.0.capabilities.insert(part);
    }

    pub(crate) fn lookup(&mut self, read: LookupRead) {
        self.0.lookups.insert(read);
    }
}
