//! One pull request for a branch that automation pushes to: opened once, kept up to date, never opened twice.
//!
//! Speaks to GitHub, GitLab and Gitea (and what descends from it) over REST. Pushes nothing, merges nothing, and does not
//! open again what a person closed, as long as the branch stands at the same commit.

mod forge;
mod http;
mod text;

use std::time::Duration;

use secrecy::SecretString;

pub use forge::{Forge, Project};
pub use text::describe;

use crate::source::{AddressPolicy, Proxy, TlsMaterial};

/// What a pull request should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The branch with the changes.
    pub head: String,
    /// The commit that branch stands at.
    pub commit: String,
    /// The branch they are for.
    pub base: String,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
}

/// How to talk to a forge.
#[derive(Debug, Clone)]
pub struct Access {
    /// A token that may open pull requests.
    pub token: SecretString,
    /// More roots, a client certificate.
    pub tls: TlsMaterial,
    /// A proxy.
    pub proxy: Option<Proxy>,
    /// For all requests together.
    pub timeout: Duration,
    /// Which addresses the API may be at.
    pub addresses: AddressPolicy,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What was done.
    pub done: Done,
    /// The pull request's number.
    pub number: u64,
    /// Where people see it.
    pub url: String,
}

/// What was done about a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// There was none.
    Opened,
    /// Its title or text was another.
    Updated,
    /// It is as it should be.
    Unchanged,
    /// Somebody closed or merged it, and the branch has not changed since.
    LeftClosed,
}

/// Why there is no pull request.
#[derive(Debug, thiserror::Error)]
pub enum PullRequestError {
    /// The settings cannot work. Change the object.
    #[error("{0}")]
    Settings(String),
    /// The token is not accepted, or may not do this.
    #[error(
        "the forge refused the token (HTTP {status}){words}\nhint: it needs the right to write pull requests"
    )]
    Unauthorized {
        /// The status.
        status: u16,
        /// The forge's words.
        words: String,
    },
    /// The project is not there, or not for this token.
    #[error("project `{0}` not found\nhint: a token without access sees a project as absent")]
    NotFound(String),
    /// The forge asked us to slow down.
    #[error("the forge limits requests (HTTP {status})")]
    Throttled {
        /// 403 or 429.
        status: u16,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The forge said no.
    #[error("the forge refused (HTTP {status}){words}")]
    Refused {
        /// The status.
        status: u16,
        /// The forge's words.
        words: String,
    },
    /// Out of order, or out of reach.
    #[error("{0}")]
    Unavailable(String),
    /// Not the API we know.
    #[error("unexpected answer: {0}")]
    Answer(String),
}

impl PullRequestError {
    /// Whether trying again may help without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Settings(_))
    }

    /// How long the forge asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Sees to it that exactly one pull request for the branch is open and says what it should.
///
/// # Errors
/// When the forge cannot be asked or refuses; nothing is left half done that the next call does not mend.
pub async fn settle(
    project: &Project,
    access: &Access,
    wanted: &Wanted,
) -> Result<Settled, PullRequestError> {
    let work = attempt(project, access, wanted);
    match tokio::time::timeout(access.timeout, work).await {
        Ok(done) => done,
        Err(_) => Err(PullRequestError::Unavailable(format!(
            "no answer from `{}` within {}s",
            project.api,
            access.timeout.as_secs_f64()
        ))),
    }
}

async fn attempt(project: &Project, access: &Access, wanted: &Wanted) -> Result<Settled, PullRequestError> {
    let client = http::Client::new(project, access)?;
    let found = project.list(&client, wanted).await?;
    let refused = match decide(&found, wanted) {
        Action::Create => match project.create(&client, wanted).await {
            Ok(one) => return Ok(settled(&one, Done::Opened)),
            // Perhaps it was opened since the list was made: by another automation, or by ourselves before a crash.
            Err(error @ PullRequestError::Refused { status: 409 | 422, .. }) => error,
            Err(error) => return Err(error),
        },
        known => return act(project, &client, wanted, known).await,
    };
    let found = project.list(&client, wanted).await?;
    match decide(&found, wanted) {
        Action::Create => Err(refused),
        known => act(project, &client, wanted, known).await,
    }
}

async fn act(
    project: &Project,
    client: &http::Client,
    wanted: &Wanted,
    action: Action<'_>,
) -> Result<Settled, PullRequestError> {
    match action {
        Action::Create => project.create(client, wanted).await.map(|one| settled(&one, Done::Opened)),
        Action::Update(one) => {
            project.update(client, one.number, wanted).await?;
            Ok(settled(one, Done::Updated))
        }
        Action::Leave(one, done) => Ok(settled(one, done)),
    }
}

fn settled(one: &Found, done: Done) -> Settled {
    Settled { done, number: one.number, url: one.url.clone() }
}

/// A pull request as a forge lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    number: u64,
    open: bool,
    title: String,
    body: String,
    url: String,
    head: String,
    base: String,
    commit: String,
}

#[derive(Debug, PartialEq)]
enum Action<'f> {
    Create,
    Update(&'f Found),
    Leave(&'f Found, Done),
}

/// What to do, given all pull requests of the branch. Of several open ones the oldest is kept up to date.
fn decide<'f>(found: &'f [Found], wanted: &Wanted) -> Action<'f> {
    let ours = || found.iter().filter(|one| one.head == wanted.head && one.base == wanted.base);
    let open = ours().filter(|one| one.open).min_by_key(|one| one.number);
    if let Some(one) = open {
        let same = one.title == wanted.title && text::same(&one.body, &wanted.body);
        return if same { Action::Leave(one, Done::Unchanged) } else { Action::Update(one) };
    }
    match ours().filter(|one| one.commit == wanted.commit).max_by_key(|one| one.number) {
        Some(one) => Action::Leave(one, Done::LeftClosed),
        None => Action::Create,
    }
}

#[cfg(test)]
mod tests;
