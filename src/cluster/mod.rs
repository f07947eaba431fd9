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
mod breaker;
mod connection;
mod discovery;
mod error;
mod gate;
mod kubeconfig;
mod mask;
mod member;
mod object;
mod pool;
mod read;
mod seen;
mod tls;

pub use breaker::{BreakerSettings, BreakerState};
pub use discovery::{Capabilities, Kinds, KubeVersion, Resource};
pub use error::{ApiError, FieldCause, FieldOwner, Reason};
pub use kubeconfig::{KubeconfigError, KubeconfigPolicy, KubeconfigReason};
pub use object::{Manifest, ManifestError, ObjectId};
pub use pool::{Cluster, ClusterIdentity, ClusterSettings, Clusters, ServiceAccount};
pub use read::{ListScope, LiveMetadata};

/// Bytes that must not be shown, such as a kubeconfig: `SecretBytes::from(vec)`.
pub type SecretBytes = secrecy::SecretSlice<u8>;
