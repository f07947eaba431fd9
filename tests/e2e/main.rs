//! The scenario on real control planes: real kube-apiservers, controllers and etcd, the real `git` pushing over HTTP, the
//! real `helm` reading the releases, a real registry that `crane` pushes to, and an HTTP sink for every chat format.
//!
//! Runs when `SLUICE_E2E=1`, with the binaries in `TESTCLUSTER`, `HELM`, `DOCKER_REGISTRY` and `CRANE` (`scripts/test` sets them all). Otherwise each
//! test says that it was skipped.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../contract/client.rs"]
mod client;
mod failures;
mod hooks;
mod images;
mod killed;
mod outage;
mod planes;
mod polling;
#[path = "../../benches/support/mod.rs"]
mod process;
mod registry;
mod scenario;
mod stage;
mod tools;

/// The control planes, or `None` and a line that says why not.
fn planes() -> Option<&'static planes::Planes> {
    if std::env::var_os("SLUICE_E2E").is_none() {
        eprintln!("SKIPPED: SLUICE_E2E is not set\nhint: scripts/test builds what is needed and runs this");
        return None;
    }
    Some(planes::Planes::shared())
}
