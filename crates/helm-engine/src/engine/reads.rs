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
    /// Values, by their path from the root chart on: `image.tag` for one that was asked for, there or
    /// not; `resources.*` for a table that was gone through, printed or copied, with all below it. A
    /// subchart's globals stand there under both names, `sub.global.x` and `global.x`. Values that only
    /// conditions, tags, imports or schemas look at are not among them. Empty unless
    /// [`RenderContext::note_values`](super::RenderContext::note_values) asks for it.
    pub values: BTreeSet<String>,
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

    /// Paths that charts' templates asked for; a global of a subchart is the root chart's as well.
    pub(crate) fn values(&mut self, paths: BTreeSet<String>) {
        for path in paths {
            if let Some(at) = path.find(".global.") {
                self.0.values.insert(path[at + 1..].to_owned());
            }
            self.0.values.insert(path);
        }
    }

    pub(crate) fn lookup(&mut self, read: LookupRead) {
        self.0.lookups.insert(read);
    }
}
