//! Images: scans beside the registry's own list, hooks, and the commit of many policies.
//!
//!     scripts/bench-images [--tags 10000] [--runs 20] [--rounds 5]

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod commits;
mod scans;
#[path = "../support/mod.rs"]
mod support;

use support::{argument, load};

fn main() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let (tags, runs, rounds) = (argument("tags", 10_000), argument("runs", 20), argument("rounds", 5));
    println!("load before: {}", load());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(scans::scans_and_hooks(tags, runs));
    runtime.block_on(commits::one_commit_of_many_policies(rounds));
    println!("load after: {}", load());
}
