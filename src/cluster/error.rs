//! What went wrong with a call to a member cluster, and what the caller may do about it.
//!
//! Every text names the cluster's host and port, so that a status tells which member it was. Values of Secrets never
//! get in here: `mask` goes over the server's words first.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Timestamp;

/// A call to a cluster failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("failed to {attempt} on `{server}`: {reason}")]
pub struct ApiError {
    /// Host and port of the cluster's API server.
    pub server: Arc<str>,
    /// What was attempted: ``apply Deployment `shop/web` ``.
    pub attempt: String,
    /// Why it failed.
    pub reason: Reason,
}

/// Why a call failed. One variant per thing a caller may want to treat differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No connection: refused, no route, name not found.
    Unreachable {
        /// The operating system's words.
        detail: String,
    },
    /// The TLS handshake failed: unknown CA, wrong name, expired.
    Tls {
        /// The TLS library's words.
        detail: String,
    },
    /// The server did not answer within the call's deadline.
    TimedOut {
        /// The deadline.
        after: Duration,
    },
    /// The connection broke before the answer was complete: the request may or may not have been carried out.
    ConnectionLost {
        /// The library's words.
        detail: String,
    },
    /// The circuit breaker is open: the cluster is not asked at all before `retry_at`.
    CircuitOpen {
        /// Since when.
        since: Timestamp,
        /// When the next probe may go out.
        retry_at: Timestamp,
        /// The failure that opened it.
        why: Arc<str>,
    },
    /// 429, or 503 with `Retry-After`, until the deadline ran out.
    Throttled {
        /// How long the server asked to wait, if it said so.
        retry_after: Option<Duration>,
    },
    /// 401: the credentials are wrong or expired.
    Unauthorized {
        /// The server's words.
        message: String,
    },
    /// 403 by authorisation.
    Forbidden {
        /// The user the server saw, if it named one.
        user: Option<String>,
        /// The server's words: user, verb and resource.
        message: String,
    },
    /// 403 because the namespace is being deleted.
    NamespaceTerminating {
        /// The server's words.
        message: String,
    },
    /// 404.
    NotFound {
        /// The server's words.
        message: String,
    },
    /// 409 on create: it is there already.
    AlreadyExists {
        /// The server's words.
        message: String,
    },
    /// 409: a field belongs to somebody else, or the object changed in between.
    Conflict {
        /// The server's words.
        message: String,
        /// The field managers in the way and the fields they own.
        managers: Vec<FieldOwner>,
    },
    /// 422, and 400 or 500 where the API server says so for an object it cannot take.
    Invalid {
        /// The server's words.
        message: String,
        /// The fields in question.
        causes: Vec<FieldCause>,
    },
    /// 410: the resource version is too old, list again.
    Gone {
        /// The server's words.
        message: String,
    },
    /// Any other 4xx.
    Refused {
        /// HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// 5xx.
    Server {
        /// HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// The answer is larger than we take in.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer is not what the API promises.
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// The cluster does not know the kind.
    UnknownKind {
        /// `group/version`.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// The caller gave up.
    Cancelled,
}

/// A field manager and a field it owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOwner {
    /// The manager (`kubectl-client-side-apply`).
    pub manager: String,
    /// The field (`.spec.replicas`).
    pub field: String,
}

/// One field the server objects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCause {
    /// The field (`spec.containers[0].image`).
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unreachable { detail } => write!(f, "cannot connect: {detail}"),
            Reason::Tls { detail } => write!(f, "TLS handshake failed: {detail}"),
            Reason::TimedOut { after } => write!(f, "no answer within {}", seconds(*after)),
            Reason::ConnectionLost { detail } => write!(f, "connection lost before the answer: {detail}"),
            Reason::CircuitOpen { since: _, retry_at, why } => {
                write!(
                    f,
                    "the cluster is given a rest until {retry_at:.0} after repeated failures, the last: {why}"
                )
            }
            Reason::Throttled { retry_after: Some(wait) } => {
                write!(f, "the server asks to slow down and to come back in {}", seconds(*wait))
            }
            Reason::Throttled { retry_after: None } => f.write_str("the server asks to slow down"),
            Reason::Unauthorized { message } => write!(f, "credentials refused (401): {message}"),
            Reason::Forbidden { user: _, message }
            | Reason::NamespaceTerminating { message }
            | Reason::NotFound { message }
            | Reason::AlreadyExists { message }
            | Reason::Gone { message }
            | Reason::Invalid { message, causes: _ } => f.write_str(message),
            Reason::Conflict { message, managers } if managers.is_empty() => f.write_str(message),
            Reason::Conflict { message: _, managers } => {
                write!(f, "conflict with ")?;
                for (index, owner) in managers.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}`{}` over {}", owner.manager, owner.field)?;
                }
                Ok(())
            }
            Reason::Refused { code, message } | Reason::Server { code, message } => {
                write!(f, "{message} ({code})")
            }
            Reason::TooLarge { limit } => write!(f, "the answer is larger than {} MiB", limit >> 20),
            Reason::Malformed { detail } => write!(f, "the answer makes no sense: {detail}"),
            Reason::UnknownKind { api_version, kind } => {
                write!(f, "no matches for kind \"{kind}\" in version \"{api_version}\"")
            }
            Reason::Cancelled => f.write_str("cancelled"),
        }
    }
}

fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

impl ApiError {
    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.reason, Reason::NotFound { .. })
    }

    /// Whether trying again later, with nothing changed on our side, has a chance.
    pub fn is_retryable(&self) -> bool {
        match &self.reason {
            Reason::Unreachable { .. }
            | Reason::TimedOut { .. }
            | Reason::ConnectionLost { .. }
            | Reason::CircuitOpen { .. }
            | Reason::Throttled { .. }
            | Reason::NamespaceTerminating { .. }
            | Reason::Gone { .. }
            | Reason::Server { .. }
            | Reason::Malformed { .. } => true,
            Reason::Conflict { managers, .. } => managers.is_empty(),
            Reason::Tls { .. }
            | Reason::Unauthorized { .. }
            | Reason::Forbidden { .. }
            | Reason::NotFound { .. }
            | Reason::AlreadyExists { .. }
            | Reason::Invalid { .. }
            | Reason::Refused { .. }
            | Reason::TooLarge { .. }
            | Reason::UnknownKind { .. }
            | Reason::Cancelled => false,
        }
    }

    /// Whether it is the cluster that cannot be used, rather than this one object.
    pub fn is_about_the_cluster(&self) -> bool {
        matches!(
            self.reason,
            Reason::Unreachable { .. }
                | Reason::Tls { .. }
                | Reason::TimedOut { .. }
                | Reason::ConnectionLost { .. }
                | Reason::CircuitOpen { .. }
                | Reason::Throttled { .. }
                | Reason::Unauthorized { .. }
        )
    }

    /// When the caller should try again, if the failure says so.
    pub fn retry_at(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.reason {
            Reason::CircuitOpen { retry_at, .. } => Some(*retry_at),
            Reason::Throttled { retry_after: Some(wait) } => now.saturating_add(*wait).ok(),
            _ => None,
        }
    }
}
