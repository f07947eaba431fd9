//! Helm releases on member clusters: which action a release needs, and performing it.
//!
//! [`state`] and [`next`] decide over plain data and hold no client; [`actions`] performs Helm's verbs through
//! `cluster`; [`storage`] keeps Helm's own records. [`mod@run`] is the loop of the two, as in fluxcd/helm-controller
//! `internal/reconcile/atomic_release.go`. No Flux object is read or written here: outcome and status come back as
//! values.

pub mod actions;
mod hooks;
pub mod names;
pub mod next;
pub mod run;
pub mod snapshot;
pub mod state;
pub mod storage;
mod uninstall;

pub use run::{ReleaseEvent, ReleaseOutcome, ReleaseRequest, ReleaseStep, Verdict, diff, run};
pub use uninstall::uninstall;

/// The field manager of everything applied: the same as Flux's, so that ownership goes on when one replaces the other.
pub const FIELD_MANAGER: &str = "helm-controller";
