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

/// One request, as somebody sees it who stands beside the server. See [`crate::ClusterHandle::on_request`].
#[derive(Debug, Clone, Copy)]
pub struct Passing<'r> {
    /// `GET`, `PATCH` …
    pub method: &'r str,
    /// The path below the cluster, without the query.
    pub path: &'r str,
    /// Where the request is.
    pub moment: Moment,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has arrived, nothing was done about it.
    Arrived,
    /// What it asked for is done, the answer is not sent yet.
    Done,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// The connection is closed without an answer.
    Cut,
}

/// Somebody who stands beside the server.
pub type Observer = std::sync::Arc<dyn Fn(&Passing<'_>) -> Verdict + Send + Sync>;
