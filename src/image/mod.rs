//! Images: which is the latest, and how it gets into a repository's files.
//!
//! Automation's part is pure: markers and setters edit files that are handed in, a template makes the commit's message.
//! Does not read or write a repository, a status or a Secret.

mod changes;
mod markers;
mod pinned;
pub mod pull_request;
mod setters;
mod template;

pub use changes::{Change, Changes, ObjectChanges, ObjectIdentifier};
pub use pinned::Pinned;
pub use setters::{File, Updated, has_marker, is_wanted, update};
pub use template::{MessageData, message};
