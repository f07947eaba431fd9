//! Which Flux object is meant: kind, namespace and name.

use std::fmt;
use std::str::FromStr;

pub use flux_api::Kind;
use serde::{Deserialize, Serialize};

/// One Flux object: `GitRepository/flux-system/app`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// The key of `kind` `namespace`/`name`.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// The text is no `Kind/namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not name an object\nhint: write `Kind/namespace/name`, for example `HelmRelease/apps/web`"
)]
pub struct ParseObjectKeyError(pub String);

impl FromStr for ObjectKey {
    type Err = ParseObjectKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseObjectKeyError(text.to_owned());
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(namespace), Some(name), None) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self::new(kind.parse::<Kind>().map_err(|_| refuse())?, namespace, name))
            }
            _ => Err(refuse()),
        }
    }
}
