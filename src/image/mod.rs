//! Images: when to look into a registry, which tag is the latest, and how it gets into a repository's files.
//!
//! Pure functions over plain data, but for `pull_request`, which talks to a forge. No registry is asked here, and no object,
//! Secret or repository is read or written; `reconcile` does that.

mod changes;
mod markers;
mod pinned;
pub mod policy;
pub mod pull_request;
pub mod scan;
mod setters;
mod template;

pub use changes::{Change, Changes, ObjectChanges, ObjectIdentifier};
pub use pinned::Pinned;
pub use setters::{File, Updated, has_marker, is_wanted, update};
pub use template::{MessageData, message};
