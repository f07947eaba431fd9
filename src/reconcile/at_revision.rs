//! What a person means by `--revision`: a commit, the beginning of one, a reference, a branch or a tag. Moves nothing: the
//! GitRepository stays at what it stands at.

use flux_api::GitRepository;

use super::context::Inner;
use crate::source::{GitCheckout, GitReference, PrefixMatch};

/// Shortest beginning of a commit: git's own default.
const SHORTEST_COMMIT: usize = 7;
/// Digits of a whole one.
const WHOLE_COMMIT: usize = 40;

/// How a text can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Commit(String),
    /// The beginning of a commit, or else a name.
    Prefix(String),
    /// A reference as the server calls it.
    Reference(String),
    /// A branch, or else a tag.
    Name(String),
}

/// Reads `8b1a9953…`, `8b1a995`, `main@sha1:8b1a9953…`, `1.0.0+8b1a9953c461.2`, `refs/pull/7/head`, `HEAD`, `main`, `v1.0`.
fn meaning(text: &str) -> Meaning {
    let text = text.rsplit_once("sha1:").map_or(text, |(_, commit)| commit);
    let is_commit = |text: &str| {
        (SHORTEST_COMMIT..=WHOLE_COMMIT).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    // The version of a chart ends in the commit it was built from.
    let of_chart = text.rsplit_once('+').map(|(_, build)| build.split('.').next().unwrap_or_default());
    let digits = if is_commit(text) { Some(text) } else { of_chart.filter(|build| is_commit(build)) };
    match digits {
        Some(digits) if digits.len() == WHOLE_COMMIT => Meaning::Commit(digits.to_ascii_lowercase()),
        Some(digits) => Meaning::Prefix(digits.to_ascii_lowercase()),
        None if text == "HEAD" || text.starts_with("refs/") => Meaning::Reference(text.to_owned()),
        None => Meaning::Name(text.to_owned()),
    }
}

impl Inner {
    /// The repository at what is meant by `text`.
    pub(super) async fn checkout_named(
        &self,
        git: &GitRepository,
        text: &str,
    ) -> Result<GitCheckout, String> {
        let reference = GitReference::default;
        let name = match meaning(text) {
            Meaning::Commit(commit) => {
                return self
                    .checkout_existing(git, GitReference { commit: Some(commit), ..reference() }, text)
                    .await;
            }
            Meaning::Reference(name) => {
                return self
                    .checkout_existing(git, GitReference { name: Some(name), ..reference() }, text)
                    .await;
            }
            Meaning::Prefix(prefix) => {
                let kept = self.source_checkout(git).await?.repository;
                match kept.commit_with_prefix(&prefix).await.map_err(|error| error.to_string())? {
                    PrefixMatch::One(commit) => {
                        let reference = GitReference { commit: Some(commit), ..reference() };
                        return self.checkout_existing(git, reference, text).await;
                    }
                    PrefixMatch::Several => {
                        return Err(format!(
                            "several objects of `{}` begin with `{prefix}`\nhint: give more of the commit",
                            git.spec.url
                        ));
                    }
                    PrefixMatch::None => prefix,
                }
            }
            Meaning::Name(name) => name,
        };
        let branch = GitReference { branch: Some(name.clone()), ..reference() };
        if let Some(checkout) = self.checkout_at(git, branch).await? {
            return Ok(checkout);
        }
        self.checkout_existing(git, GitReference { tag: Some(name), ..reference() }, text).await
    }

    async fn checkout_existing(
        &self,
        git: &GitRepository,
        reference: GitReference,
        text: &str,
    ) -> Result<GitCheckout, String> {
        self.checkout_at(git, reference).await?.ok_or_else(|| {
            format!(
                "`{text}` is no branch and no tag of `{}`, and begins no commit that is kept\nhint: give the full commit",
                git.spec.url
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_as_people_write_it() {
        let commit = "8b1a9953c4611296a827abf8c47804d7e6a5b2f0";
        for (text, read) in [
            (commit, Meaning::Commit(commit.into())),
            ("main@sha1:8b1a9953c4611296a827abf8c47804d7e6a5b2f0", Meaning::Commit(commit.into())),
            ("sha1:8B1A9953C4611296A827ABF8C47804D7E6A5B2F0", Meaning::Commit(commit.into())),
            ("8b1a9953c4", Meaning::Prefix("8b1a9953c4".into())),
            ("1.0.0+8b1a9953c461", Meaning::Prefix("8b1a9953c461".into())),
            ("1.0.0+8b1a9953c461.2", Meaning::Prefix("8b1a9953c461".into())),
            ("8b1a99", Meaning::Name("8b1a99".into())),
            ("refs/pull/7/head", Meaning::Reference("refs/pull/7/head".into())),
            ("HEAD", Meaning::Reference("HEAD".into())),
            ("main", Meaning::Name("main".into())),
            ("v1.0", Meaning::Name("v1.0".into())),
            ("release+candidate", Meaning::Name("release+candidate".into())),
        ] {
            assert_eq!(meaning(text), read, "{text}");
        }
    }
}
