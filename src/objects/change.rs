//! What subscribers hear.

use std::fmt;

use crate::model::ObjectKey;

/// Something changed. It says what to look at, not what it looks like: read it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub target: ChangeTarget,
    /// In which way.
    pub what: ChangeKind,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeTarget {
    /// A Flux object.
    Object(ObjectKey),
    /// A Secret, by namespace and name.
    Secret(String, String),
    /// A ConfigMap, by namespace and name.
    ConfigMap(String, String),
    /// A Namespace, by name.
    Namespace(String),
}

/// In which way something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its spec changed, and with it its generation; for Secrets and ConfigMaps their content.
    SpecChanged,
    /// Its labels, annotations or deletion timestamp changed.
    MetadataChanged,
    /// Its status changed.
    StatusChanged,
    /// It is gone.
    Removed,
    /// Its manifest is no longer valid; what was valid before, if anything was, stays in force.
    Invalid,
}

impl fmt::Display for ChangeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeTarget::Object(key) => key.fmt(f),
            ChangeTarget::Secret(namespace, name) => write!(f, "Secret/{namespace}/{name}"),
            ChangeTarget::ConfigMap(namespace, name) => write!(f, "ConfigMap/{namespace}/{name}"),
            ChangeTarget::Namespace(name) => write!(f, "Namespace/{name}"),
        }
    }
}
