//! Why a registry could not be asked: what was attempted, where, why, and what to do about it.

use std::net::IpAddr;
use std::time::Duration;

/// A failed request. Its text goes to the condition, the event and the chat as it stands; it holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempted} `{image}`: {kind}{}", self.kind.hint())]
pub struct RegistryError {
    /// The verb and its object: `list the tags of`.
    pub attempted: String,
    /// The image's canonical name.
    pub image: String,
    /// What went wrong.
    pub kind: RegistryErrorKind,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryErrorKind {
    /// The Secret holds something unusable. Change the Secret.
    #[error("{0}")]
    InvalidCredentials(String),
    /// The registry, or who gives out its tokens, does not accept the credentials, or wants some.
    #[error("the registry refused the credentials ({0})")]
    Unauthorized(String),
    /// The registry sends for tokens to a place that may not see the credentials.
    #[error("the registry sends for tokens to `{realm}`, and {reason}")]
    Realm {
        /// The address it named.
        realm: String,
        /// Why that is no good.
        reason: String,
    },
    /// No such repository, or not for us.
    #[error("repository not found ({0})")]
    NotFound(String),
    /// The answer leads to a place that may not be asked.
    #[error("the registry redirects to `{0}`, which is plain http")]
    Redirect(String),
    /// The name leads to an address that the policy forbids.
    #[error("address {0} is not allowed")]
    ForbiddenAddress(IpAddr),
    /// The registry asked us to slow down.
    #[error("the registry limits requests (HTTP 429{})", .words.as_deref().map(|words| format!(": {words}")).unwrap_or_default())]
    Throttled {
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
        /// What it said.
        words: Option<String>,
    },
    /// Another HTTP status.
    #[error("the registry answered HTTP {status}{}", .words.as_deref().map(|words| format!(": {words}")).unwrap_or_default())]
    Status {
        /// The status.
        status: u16,
        /// What it said.
        words: Option<String>,
    },
    /// No connection: refused, DNS, TLS.
    #[error("failed to connect: {0}")]
    Connect(String),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Connection(String),
    /// Not finished in time.
    #[error("no result within {}s", .0.as_secs_f64())]
    Timeout(Duration),
    /// More than a limit allows.
    #[error("{what} exceeds the limit of {limit}")]
    TooLarge {
        /// What was too large.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The pages of a list lead nowhere.
    #[error("the pages of the list do not end: {0}")]
    Pagination(String),
    /// The answer is not a registry's.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// Content that is not what its digest says, or a digest that is none.
    #[error("{0}")]
    Digest(String),
}

use RegistryErrorKind as Kind;

impl RegistryErrorKind {
    fn hint(&self) -> &'static str {
        match self {
            Kind::Unauthorized(_) => "\nhint: check `spec.secretRef`",
            Kind::Realm { .. } => {
                "\nhint: credentials are sent to the registry and, over https, to hosts of its own domain"
            }
            Kind::Connect(_) => {
                "\nhint: a registry without https needs `spec.insecure: true`, one with its own certificate `spec.certSecretRef`"
            }
            Kind::Timeout(_) => "\nhint: raise `spec.timeout` if the registry is slow",
            _ => "",
        }
    }

    /// Whether asking once more at once may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Kind::Connect(_) | Kind::Connection(_) => true,
            Kind::Status { status, .. } => passes(*status),
            _ => false,
        }
    }
}

/// Answers of an overloaded or restarting server, or of what stands before it.
pub(super) fn passes(status: u16) -> bool {
    matches!(status, 408 | 500 | 502 | 503 | 504)
}

impl RegistryError {
    /// Flux's reason word for the condition.
    pub fn reason(&self) -> &'static str {
        match &self.kind {
            Kind::InvalidCredentials(_) => "AuthenticationFailed",
            _ => "ReadOperationFailed",
        }
    }

    /// Whether the same request may succeed later without anybody changing the object or its Secret.
    pub fn is_retryable(&self) -> bool {
        !matches!(self.kind, Kind::InvalidCredentials(_) | Kind::ForbiddenAddress(_))
    }

    /// How long the registry asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Throttled { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_attempt_place_cause_and_hint() {
        let error = RegistryError {
            attempted: "list the tags of".into(),
            image: "ghcr.io/org/app".into(),
            kind: Kind::Unauthorized("UNAUTHORIZED: authentication required".into()),
        };
        insta::assert_snapshot!(error, @r"
        failed to list the tags of `ghcr.io/org/app`: the registry refused the credentials (UNAUTHORIZED: authentication required)
        hint: check `spec.secretRef`
        ");
        assert_eq!((error.reason(), error.is_retryable()), ("ReadOperationFailed", true));
    }
}
