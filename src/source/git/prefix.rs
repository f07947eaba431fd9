//! The beginning of a commit's id, looked up among the commits that are kept. Asks no server.

use git2::ErrorCode;

use super::checkout::RepositoryHandle;
use super::error::GitError;
use super::kept::damaged;

/// The kept commits whose ids begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefixMatch {
    /// There is none.
    None,
    /// The one there is.
    One(String),
    /// Something else begins so, too.
    Several,
}

impl RepositoryHandle {
    /// The kept commits that begin with `prefix`; a text that is not of hexadecimal digits begins none.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub async fn commit_with_prefix(&self, prefix: &str) -> Result<PrefixMatch, GitError> {
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(PrefixMatch::None);
        }
        let wanted = prefix.to_ascii_lowercase();
        self.read(prefix, move |view| {
            view.kept.with(|repository| match repository.find_commit_by_prefix(&wanted) {
                Ok(commit) => Ok(PrefixMatch::One(commit.id().to_string())),
                Err(error) => match error.code() {
                    ErrorCode::NotFound => Ok(PrefixMatch::None),
                    ErrorCode::Ambiguous => Ok(PrefixMatch::Several),
                    _ => Err(damaged(error)),
                },
            })
        })
        .await
    }
}
