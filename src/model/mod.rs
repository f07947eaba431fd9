//! The words every room shares: object keys, repositories, revisions, delivery and job ids, causes, events, tags, time.
//!
//! Plain data only: no I/O, no async, nothing that belongs to a single room.

mod clock;
mod cluster;
mod event;
mod ids;
mod image;
mod network;
mod object;
mod repository;

pub use clock::{Clock, Timestamp};
pub use cluster::{cluster_name, cluster_of, short_cluster_name};
pub use event::{Event, Severity};
pub use ids::{Cause, CauseKind, DeliveryId, Digest, JobId, Revision};
pub use image::{is_digest, is_tag};
pub use network::{Network, ParseNetworkError};
pub use object::{Kind, ObjectKey, ParseObjectKeyError};
pub use repository::{RepositoryId, last_name, short_name};
