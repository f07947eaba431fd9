//! What is wrong with manifests, and with what was asked of us.

use std::fmt;

use crate::model::{ObjectKey, Timestamp};

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestProblem {
    /// The file, relative to the directory.
    pub file: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// The object, where it is known.
    pub key: Option<ObjectKey>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ManifestProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// A Flux object whose manifest is not valid: it is stalled, its neighbours run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidObject {
    /// The object.
    pub key: ObjectKey,
    /// All its problems, each with file and line: `app.yaml:12: unknown field "spec.intervall"`.
    pub message: String,
    /// Whether an earlier, valid manifest of it is still in force.
    pub last_good: bool,
    /// Since when it has been wrong in this way.
    pub since: Timestamp,
}

/// A Secret or ConfigMap is there but cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is SOPS-encrypted; it is never used as it stands.
    #[error("`{object}` in `{file}` is encrypted with SOPS and cannot be used as it is")]
    Encrypted {
        /// `Secret/ns/name`.
        object: String,
        /// Where.
        file: String,
    },
    /// Its manifest is not valid.
    #[error("`{object}` is not valid: {message}")]
    Invalid {
        /// `Secret/ns/name`.
        object: String,
        /// Its problems, with file and line.
        message: String,
    },
}

/// A change that was asked for could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The object is not there (any more).
    #[error("`{0}` does not exist")]
    NotFound(ObjectKey),
    /// Another object has taken the name since.
    #[error("`{key}` is another object now: uid `{found}` instead of `{expected}`")]
    UidMismatch {
        /// The object.
        key: ObjectKey,
        /// The uid asked for.
        expected: String,
        /// The uid it has.
        found: String,
    },
    /// The status has not the form its kind has.
    #[error("failed to read the new status of `{key}`: {reason}")]
    BadStatus {
        /// The object.
        key: ObjectKey,
        /// Why.
        reason: String,
    },
    /// The name belongs to somebody else's object.
    #[error("`{key}` is not `{owner}`'s to change\nhint: give one of the two another name")]
    NotOwned {
        /// The object.
        key: ObjectKey,
        /// Who wanted to change it.
        owner: String,
    },
    /// The kind has nothing of the sort.
    #[error("`{0}` cannot be suspended")]
    NotSuspendable(ObjectKey),
    /// The store did not take it.
    #[error("failed to store the change of `{key}`: {source:#}")]
    Store {
        /// The object.
        key: ObjectKey,
        /// What the store said.
        source: anyhow::Error,
    },
}

/// The directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error("failed to read `{path}`: {reason}")]
    Unreadable {
        /// The directory, or what is in it.
        path: String,
        /// Why.
        reason: String,
    },
    /// What was kept of earlier runs cannot be read.
    #[error("failed to load statuses: {0:#}")]
    Store(anyhow::Error),
}
