//! `sluice`, the program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Only fails when another provider was installed before, and this is the first line of the program.
    rustls::crypto::ring::default_provider().install_default().ok();
    sluice::cli::run()
}
