//! The story of each kind: what a job does to an object, from reading its spec to writing its status.
//!
//! The only room that knows a whole story; it composes the rooms below and alone writes statuses and emits events. No
//! HTTP, no SQL, no YAML here. A job may run twice without harm: everything is compared with what is there first.

mod alert;
mod at_revision;
mod chart;
mod context;
mod dependents;
mod diff;
mod examine;
mod git_repository;
mod git_verify;
mod helm_chart;
mod helm_release;
mod image_policy;
mod image_repository;
mod image_update_automation;
mod known_tags;
mod kubeconfig;
mod outbox;
mod passive;
mod receiver;
mod secrets;
mod sweep;
mod turns;
mod unsupported;
mod values_from;
mod worker;

pub use context::{HookPaths, Reconciler, ReconcilerParts, ReconcilerSettings};
pub use diff::{Reach, ReleaseDiff};
pub use examine::examine;
pub use outbox::send_messages;
pub use passive::passive_problem;
pub use sweep::follow_changes;
pub use worker::work;
