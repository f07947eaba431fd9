//! Mistakes of whoever typed the command, apart from commands that failed: they end with exit code 2. Judges nothing.

use crate::config::ConfigError;

/// A command line that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(String);

/// That error, for `map_err` and `bail`.
pub(super) fn usage(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(text.into()))
}

/// Whether an error is one of usage: the command line's, or a setting's wherever it was written.
pub(super) fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Usage>() || cause.is::<ConfigError>())
}
