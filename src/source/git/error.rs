//! Why a fetch failed: what was attempted, where, why, and what to do about it.

use std::net::IpAddr;
use std::time::Duration;

/// A failed git operation. Its text goes to the condition, the event and the chat as it stands; it holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempted} `{url}`: {kind}{}", self.kind.hint())]
pub struct GitError {
    /// The verb and its object: `fetch branch `main` from`.
    pub attempted: String,
    /// The URL without userinfo.
    pub url: String,
    /// What went wrong.
    pub kind: GitErrorKind,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitErrorKind {
    /// Not a URL we fetch from. Change the object.
    #[error("{0}")]
    InvalidUrl(String),
    /// A reference that git itself would not accept. Change the object.
    #[error("`{0}` is not a valid git reference")]
    InvalidReference(String),
    /// `ref.semver` cannot be read. Change the object.
    #[error("`{constraint}` is not a version range: {reason}")]
    InvalidSemver {
        /// As written.
        constraint: String,
        /// The parser's words.
        reason: String,
    },
    /// A path that leaves the repository or could not exist in one. Change the object or the repository.
    #[error("path `{0}` is not allowed in a git tree")]
    ForbiddenPath(String),
    /// A commit that nobody can make. A mistake of whoever asks for it.
    #[error("{0}")]
    InvalidCommit(String),
    /// A path to change that is no plain file of the commit: missing, a link, a directory, a submodule.
    #[error("`{0}` is no regular file of the commit")]
    NotAFile(String),
    /// A push that no server would take. Change the object.
    #[error("{0}")]
    InvalidPush(String),
    /// The secret holds something unusable. Change the secret.
    #[error("{0}")]
    InvalidCredentials(String),
    /// The server does not accept the credentials.
    #[error("the server refused the credentials ({0})")]
    Unauthorized(String),
    /// The ssh server is not the one in `known_hosts`.
    #[error("{0}")]
    HostKey(String),
    /// No such repository, or not for us.
    #[error("repository not found ({0})")]
    RepositoryNotFound(String),
    /// The repository has no reference at all.
    #[error("git repository is empty")]
    Empty,
    /// The branch, tag or name is not there.
    #[error("couldn't find remote ref `{0}`")]
    ReferenceNotFound(String),
    /// The commit is not there.
    #[error("commit `{0}` not found")]
    CommitNotFound(String),
    /// No tag lies in the range.
    #[error("no match found for semver: {0}")]
    NoSemverMatch(String),
    /// A directory of `sparseCheckout` is not in the commit.
    #[error("sparse checkout dir `{0}` does not exist in repository")]
    SparseDirectory(String),
    /// The server sent us elsewhere.
    #[error("the server redirects to `{0}`, which is another place")]
    Redirect(String),
    /// The URL leads to an address that the policy forbids.
    #[error("address {0} is not allowed")]
    ForbiddenAddress(IpAddr),
    /// The server asked us to slow down.
    #[error("the server limits requests (HTTP 429)")]
    Throttled {
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The host is in trouble, and somebody else will find out when that is over.
    #[error("{why}\nhint: the host is left alone, and asked again in {}", seconds(*.left))]
    Resting {
        /// What happened to whoever asked before.
        why: String,
        /// How long it is still left alone.
        left: Duration,
    },
    /// Another HTTP status.
    #[error("the server answered HTTP {0}")]
    Status(u16),
    /// No connection: refused, DNS, TLS.
    #[error("failed to connect: {0}")]
    Connect(String),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Connection(String),
    /// Not finished in time.
    #[error("no result within {}", seconds(*.0))]
    Timeout(Duration),
    /// More than a limit allows.
    #[error("{what} exceeds the limit of {limit}")]
    TooLarge {
        /// What was too large.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The server said so (its words, control characters escaped).
    #[error("the server reports: {0}")]
    Remote(String),
    /// The answer is not git's protocol.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// Objects that do not hold together.
    #[error("the repository is damaged: {0}")]
    Corrupt(String),
    /// A submodule could not be fetched.
    #[error("submodule `{path}`: {source}")]
    Submodule {
        /// Where it is mounted.
        path: String,
        /// Why.
        #[source]
        source: Box<GitError>,
    },
    /// A file that only points at Git LFS.
    #[error("`{0}` is a Git LFS pointer, its content is not in the repository")]
    LfsPointer(String),
    /// What we hold on disk cannot be read; the next fetch starts afresh.
    #[error("the kept repository is damaged: {0}")]
    Damaged(String),
    /// Our own disk.
    #[error("failed to use the kept repository: {0}")]
    Storage(String),
}

fn seconds(duration: Duration) -> String {
    format!("{}s", (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

impl GitErrorKind {
    fn hint(&self) -> &'static str {
        match self {
            Self::InvalidUrl(_) => {
                "\nhint: write `https://host/path`, `http://host/path` or `ssh://git@host/path`"
            }
            Self::Unauthorized(_) => "\nhint: check `spec.secretRef`",
            Self::HostKey(_) => {
                "\nhint: compare with `ssh-keyscan` and put the line into the secret's `known_hosts`"
            }
            Self::Redirect(_) => {
                "\nhint: credentials are not sent elsewhere; put the new address into `spec.url`"
            }
            Self::Empty => "\nhint: push a first commit",
            Self::LfsPointer(_) => "\nhint: keep charts and values out of Git LFS",
            Self::Timeout(_) => "\nhint: raise `spec.timeout` if the repository is large",
            _ => "",
        }
    }
}

impl GitError {
    /// Flux's reason word for the condition.
    pub fn reason(&self) -> &'static str {
        match &self.kind {
            GitErrorKind::InvalidUrl(_) => "URLInvalid",
            GitErrorKind::InvalidCredentials(_)
            | GitErrorKind::Unauthorized(_)
            | GitErrorKind::HostKey(_) => "AuthenticationFailed",
            GitErrorKind::Empty => "EmptyGitRepository",
            GitErrorKind::Submodule { source, .. } => source.reason(),
            _ => "GitOperationFailed",
        }
    }

    /// Whether the same request may succeed later without anybody changing the object or its secret.
    pub fn is_retryable(&self) -> bool {
        match &self.kind {
            GitErrorKind::InvalidUrl(_)
            | GitErrorKind::InvalidReference(_)
            | GitErrorKind::InvalidSemver { .. }
            | GitErrorKind::InvalidCredentials(_)
            | GitErrorKind::InvalidCommit(_)
            | GitErrorKind::InvalidPush(_)
            | GitErrorKind::NotAFile(_)
            | GitErrorKind::ForbiddenPath(_)
            | GitErrorKind::ForbiddenAddress(_) => false,
            GitErrorKind::Submodule { source, .. } => source.is_retryable(),
            _ => true,
        }
    }

    /// Whether the whole host is in trouble, so that its other repositories should wait too.
    pub fn concerns_host(&self) -> bool {
        match &self.kind {
            GitErrorKind::Connect(_)
            | GitErrorKind::Connection(_)
            | GitErrorKind::Timeout(_)
            | GitErrorKind::HostKey(_)
            | GitErrorKind::Resting { .. }
            | GitErrorKind::Throttled { .. } => true,
            GitErrorKind::Status(status) => *status >= 500,
            _ => false,
        }
    }

    /// How long the server asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.kind {
            GitErrorKind::Throttled { retry_after } => *retry_after,
            GitErrorKind::Resting { left, .. } => Some(*left),
            GitErrorKind::Submodule { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// `host:port` the operation talked to: backoff is counted per host.
    pub fn host(&self) -> Option<String> {
        let url = url::Url::parse(&self.url).ok()?;
        let host = url.host_str()?.to_owned();
        let port = url.port_or_known_default().unwrap_or(22);
        Some(format!("{host}:{port}"))
    }
}

impl From<std::io::Error> for GitErrorKind {
    fn from(error: std::io::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Text from the other end, made safe to show: control characters escaped, length bounded.
pub(crate) fn shown(text: &str, characters: usize) -> String {
    let mut out = String::new();
    for (count, character) in text.trim_end().chars().enumerate() {
        if count == characters {
            out.push('…');
            break;
        }
        if character.is_control() { out.extend(character.escape_default()) } else { out.push(character) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_attempt_place_cause_and_hint() {
        let error = GitError {
            attempted: "fetch branch `main` from".into(),
            url: "https://git.example.com/team/app".into(),
            kind: GitErrorKind::Unauthorized("HTTP 401".into()),
        };
        insta::assert_snapshot!(error, @r"
        failed to fetch branch `main` from `https://git.example.com/team/app`: the server refused the credentials (HTTP 401)
        hint: check `spec.secretRef`
        ");
        assert_eq!(error.reason(), "AuthenticationFailed");
        assert_eq!(error.host().as_deref(), Some("git.example.com:443"));
    }

    #[test]
    fn h77_terminal_escapes_from_the_server_are_shown_not_obeyed() {
        assert_eq!(shown("a\u{1b}[31mred\n", 40), "a\\u{1b}[31mred");
        assert_eq!(shown(&"x".repeat(50), 3), "xxx…");
    }
}
