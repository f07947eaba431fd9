//! Member clusters: from a kubeconfig to applied, awaited and deleted objects.
//!
//! The only room that writes to member clusters. It knows manifests and field managers, not HelmReleases; what to
//! apply and what a failure means for a release is decided elsewhere. Each cluster has its own client, in-flight limit,
//! deadlines and circuit breaker, so that a dead member delays no other.
//!
//! * [`Clusters::connect`]: kubeconfig → [`Cluster`], one client per kubeconfig.
//! * [`Cluster::apply`], [`Cluster::delete`], [`Cluster::wait`]: what a release does.
//! * [`Cluster::get`], [`Cluster::list`], [`Cluster::list_metadata`], secrets: what it reads.

mod answer;
mod applied;
mod apply;
mod breaker;
mod connection;
mod delete;
mod diff;
mod discovery;
mod drift;
mod error;
mod expiry;
mod explain;
mod gate;
mod inventory;
mod kinds;
mod kstatus;
mod kubeconfig;
mod managed;
mod mask;
mod member;
mod object;
mod order;
mod patch;
mod pool;
mod read;
mod seen;
mod selector;
mod tls;
mod wait;
mod warm;
mod watch;
mod write;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod live_tests;

pub use applied::{
    Action, Applied, ApplyError, ApplyOptions, Change, Cleanup, ObjectFailure, Rules, Warning,
};
pub use breaker::{BreakerSettings, BreakerState};
pub use delete::{DeleteOptions, Deleted, Propagation};
pub use diff::{DiffOptions, FieldChange, ObjectDiff};
pub use drift::{Corrected, Drift, DriftIgnore, DriftOptions, Drifted};

pub use error::{ApiError, FieldCause, FieldOwner, Reason};
pub use inventory::{Inventory, InventoryEntry};
pub use kinds::{Capabilities, Kinds, KubeVersion, Resource};
pub use kstatus::{Health, Status, compute, compute_hook, compute_with_jobs};
pub use kubeconfig::{KubeconfigError, KubeconfigPolicy, KubeconfigReason};
pub use managed::{FieldManager, ManagerOperation};
pub use object::{Manifest, ManifestError, ObjectId};
pub use order::Order;
pub use patch::{Operation, Verb};
pub use pool::{Cluster, ClusterIdentity, ClusterSettings, Clusters, ServiceAccount};
pub use read::{ListScope, LiveMetadata};
pub use selector::Selection;
pub use wait::{ObjectState, StatusReader, WaitEnd, WaitError, WaitFor, WaitOptions};
pub use write::Patch;

/// Bytes that must not be shown, such as a kubeconfig: `SecretBytes::from(vec)`.
pub type SecretBytes = secrecy::SecretSlice<u8>;
