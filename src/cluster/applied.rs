//! What an apply is told and what it tells: options, changes, failures.
//!
//! Plain data; `apply` does the work.

use std::fmt;

use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::managed::FieldManager;
use super::object::ObjectId;
use super::order::Order;

/// How to apply.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// The field manager (`helm-controller`, `kustomize-controller`).
    pub field_manager: String,
    /// Take fields from other managers instead of failing with a conflict.
    pub force_conflicts: bool,
    /// The namespace of namespaced objects that name none.
    pub default_namespace: Option<String>,
    /// Delete and create anew what cannot be changed in place.
    pub recreate_on_immutable: bool,
    /// Only ask what would happen.
    pub dry_run: bool,
    /// Objects of one group applied at once; the cluster's own limit holds besides.
    pub concurrency: usize,
    /// In whose order.
    pub order: Order,
    /// Former field managers whose fields become ours, and stray metadata to remove.
    pub cleanup: Cleanup,
    /// Labels and annotations with special meaning.
    pub rules: Rules,
    /// Ends the apply between two objects.
    pub cancel: CancellationToken,
}

impl Default for ApplyOptions {
    /// As helm-controller applies.
    fn default() -> Self {
        Self {
            field_manager: "helm-controller".to_owned(),
            force_conflicts: true,
            default_namespace: None,
            recreate_on_immutable: false,
            dry_run: false,
            concurrency: 16,
            order: Order::Helm,
            cleanup: Cleanup::default(),
            rules: Rules::default(),
            cancel: CancellationToken::new(),
        }
    }
}

/// What to clear away on live objects.
#[derive(Clone, Debug, Default)]
pub struct Cleanup {
    /// Managers whose fields become ours.
    pub managers: Vec<FieldManager>,
    /// Annotations to remove.
    pub annotations: Vec<String>,
    /// Labels to remove.
    pub labels: Vec<String>,
}

/// Labels or annotations (key, value) that change how an object is treated. Values compare without case.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// On the manifest or the live object: leave the object alone. Costs a read per object.
    pub skip: Vec<(String, String)>,
    /// On the manifest: create the object, never change it.
    pub if_not_present: Vec<(String, String)>,
    /// On the manifest: as `recreate_on_immutable`, for this object.
    pub recreate: Vec<(String, String)>,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was not there.
    Created,
    /// It was changed.
    Configured,
    /// It was as it should be.
    Unchanged,
    /// It was deleted and created anew.
    Recreated,
    /// It was left alone, as a label or annotation asks.
    Skipped,
}

impl Action {
    /// Flux's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Configured => "configured",
            Action::Unchanged => "unchanged",
            Action::Recreated => "recreated",
            Action::Skipped => "skipped",
        }
    }
}

/// One object after its apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which object, with its namespace filled in.
    pub object: ObjectId,
    /// What became of it.
    pub action: Action,
    /// Its uid; empty after a skip.
    pub uid: String,
    /// Its resource version.
    pub resource_version: String,
    /// Its generation.
    pub generation: i64,
    /// As [`super::LiveMetadata::footprint`], to prove later that nobody touched the object.
    pub footprint: String,
    /// Whether the answer already shows it ready, so that there is nothing to wait for.
    pub ready: bool,
}

/// A warning the server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// About which object.
    pub object: ObjectId,
    /// Its words.
    pub text: String,
}

/// What an apply did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// One entry per object, in the order of the manifests.
    pub changes: Vec<Change>,
    /// The server's warnings, each once.
    pub warnings: Vec<Warning>,
}

impl Applied {
    /// The objects that are not ready yet.
    pub fn unready(&self) -> Vec<ObjectId> {
        self.changes
            .iter()
            .filter(|c| !c.ready && c.action != Action::Skipped)
            .map(|c| c.object.clone())
            .collect()
    }
}

/// An object that could not be applied or deleted.
#[derive(Clone, Debug)]
pub struct ObjectFailure {
    /// Which object.
    pub object: ObjectId,
    /// Why.
    pub error: ApiError,
}

/// An apply did not get to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ApplyError {
    /// The objects that failed, in the order of the manifests. Never empty.
    pub failures: Vec<ObjectFailure>,
    /// What was applied; it stays.
    pub applied: Applied,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A cluster that cannot be reached fails every object in the same way: say it once.
        for (index, failure) in self.failures.iter().take(3).enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}", failure.error)?;
        }
        match self.failures.len().saturating_sub(3) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl ApplyError {
    /// Whether trying again later has a chance.
    pub fn is_retryable(&self) -> bool {
        self.failures.iter().all(|failure| failure.error.is_retryable())
    }
}
