//! Wires the rooms together and supervises them: one task set, one shutdown order, no detached tasks.
//!
//! When a long-running task ends before it was asked to, the whole agent stops with that task's error rather than
//! limping on. No decision about any Kubernetes object is made here.

mod agent;
mod callbacks;
mod store;

pub use agent::{Agent, AgentOptions, OpenStore};
pub use callbacks::callbacks;
