//! `sluice`, the program.

use std::process::ExitCode;

// A render makes many small values: this allocator takes a tenth off it, and is as quick in a static build, where the
// system's is not. Without huge pages, which double the memory of a small agent and make the kernel tidy up for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Only fails when another provider was installed before, and this is the first line of the program.
    rustls::crypto::ring::default_provider().install_default().ok();
    sluice::cli::run()
}
