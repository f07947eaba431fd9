//! Faults a test or a demonstration can switch on for one cluster.

use std::time::Duration;

/// How a cluster misbehaves. Switched on with [`crate::ClusterHandle::set_fault`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Accepts the connection and the request, and never answers.
    Hang,
    /// Closes the connection without an answer.
    Cut,
    /// Answers every request with this status code; `retry_after` in seconds goes into the header.
    Answer {
        /// The HTTP status code.
        code: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// Answers like `Answer`, but only writes (POST, PUT, PATCH, DELETE) to this plural resource.
    RefuseWrites {
        /// The plural resource name, for example `deployments`.
        resource: String,
        /// The HTTP status code.
        code: u16,
    },
    /// Answers correctly, but only after this long.
    Delay(Duration),
}
