//! A simulated Kubernetes API server: many clusters in one process, stateful, over TLS.
//!
//! It serves what a continuous-delivery agent, `helm` and `kubectl` need of a member cluster: discovery, create, read,
//! update, the four kinds of patch, server-side apply with managed fields and conflicts, delete with propagation,
//! list and watch with bookmarks and resume, namespaces, custom resources, and workloads that become ready. Faults can
//! be switched on per cluster (refuse, hang, delay, answer 429 or 5xx), and every write is counted.
//!
//! What it does **not** do: schemas and admission beyond a few rules, RBAC, pods that run anything. One contract suite
//! runs against this server and a real kube-apiserver, so that it cannot drift.

mod apply;
mod discovery;
mod faults;
mod fields;
mod handlers;
mod patch;
mod resources;
mod select;
mod server;
mod status;
mod store;
mod watch;
mod workloads;

pub use faults::{Fault, Moment, Observer, Passing, Verdict};
pub use server::{ClusterHandle, ServeError, Simulator};
