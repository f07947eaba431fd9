//! GitRepository.

use std::time::Duration;

use super::common::{Artifact, CloudProvider, LocalRef, SOURCE_TIMEOUT};
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};

api! {
    /// A branch, tag or commit of a git repository.
    GitRepositorySpec {
        /// http, https or ssh.
        url: String,
        /// How often to look without being told.
        interval: GoDuration,
        /// Longest time for one git operation.
        timeout: Option<GoDuration>,
        /// What to check out.
        #[serde(rename = "ref")]
        reference: Option<GitReference>,
        /// Credentials.
        secret_ref: Option<LocalRef>,
        /// Whose login to use.
        provider: Option<CloudProvider>,
        /// Identity for a cloud's login.
        service_account_name: Option<String>,
        /// Address and credentials of a proxy.
        proxy_secret_ref: Option<LocalRef>,
        /// Whose signature is needed.
        verify: Option<GitVerification>,
        /// gitignore lines.
        ignore: Option<String>,
        /// Fetch submodules too.
        recurse_submodules: bool,
        /// Other repositories' artifacts to copy in.
        include: Vec<GitInclude>,
        /// Directories to check out; all when empty.
        sparse_checkout: Vec<String>,
        /// Leave it alone.
        suspend: bool,
    }

    /// What to check out; see [`GitReference::target`] for which field wins.
    GitReference {
        /// A branch.
        branch: Option<String>,
        /// A tag.
        tag: Option<String>,
        /// A range of tags.
        semver: Option<String>,
        /// A full reference name: `refs/pull/4/head`.
        name: Option<String>,
        /// A commit; with `branch`, one of that branch.
        commit: Option<String>,
    }

    /// Whose signature is needed on what.
    GitVerification {
        /// Absent: HEAD.
        mode: Option<GitVerificationMode>,
        /// Public keys.
        secret_ref: LocalRef,
    }

    /// Another repository's artifact, copied in.
    GitInclude {
        /// The GitRepository, same namespace.
        repository: LocalRef,
        /// What of it; everything when absent.
        from_path: Option<String>,
        /// Where to; the repository's name when absent.
        to_path: Option<String>,
    }

    /// What a GitRepository stands at.
    GitRepositoryStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// The last artifact stored.
        artifact: Option<Artifact>,
        /// The artifacts copied in.
        included_artifacts: Vec<Artifact>,
        /// `spec.ignore` of the artifact.
        observed_ignore: Option<String>,
        /// `spec.recurseSubmodules` of the artifact.
        observed_recurse_submodules: bool,
        /// `spec.include` of the artifact.
        observed_include: Vec<GitInclude>,
        /// `spec.sparseCheckout` of the artifact.
        observed_sparse_checkout: Vec<String>,
        /// What was verified.
        source_verification_mode: Option<GitVerificationMode>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }
}

words! {
    /// What of the history must be signed.
    GitVerificationMode {
        Legacy = "head",
        Head = "HEAD",
        Tag = "Tag",
        TagAndHead = "TagAndHEAD",
    }
}

/// The one thing a [`GitReference`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitTarget<'a> {
    /// A commit, on a branch if one is named.
    Commit {
        /// The commit.
        commit: &'a str,
        /// The branch it is on.
        branch: Option<&'a str>,
    },
    /// A full reference name.
    Name(&'a str),
    /// The highest tag in a range.
    Semver(&'a str),
    /// A tag.
    Tag(&'a str),
    /// A branch.
    Branch(&'a str),
}

/// The branch Flux takes when nothing is said.
const DEFAULT_BRANCH: &str = "master";

impl GitReference {
    /// Flux's precedence: commit, name, semver, tag, branch; `master` when nothing is set.
    pub fn target(&self) -> GitTarget<'_> {
        if let Some(commit) = filled(&self.commit) {
            return GitTarget::Commit { commit, branch: filled(&self.branch) };
        }
        filled(&self.name)
            .map(GitTarget::Name)
            .or_else(|| filled(&self.semver).map(GitTarget::Semver))
            .or_else(|| filled(&self.tag).map(GitTarget::Tag))
            .or_else(|| filled(&self.branch).map(GitTarget::Branch))
            .unwrap_or(GitTarget::Branch(DEFAULT_BRANCH))
    }
}

/// To Go an empty string is an absent one.
fn filled(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|text| !text.is_empty())
}

impl GitRepositorySpec {
    /// 60 s unless said otherwise.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(SOURCE_TIMEOUT, GoDuration::get)
    }

    /// What to check out.
    pub fn target(&self) -> GitTarget<'_> {
        self.reference.as_ref().map_or(GitTarget::Branch(DEFAULT_BRANCH), GitReference::target)
    }

    /// generic unless said otherwise.
    pub fn provider(&self) -> CloudProvider {
        self.provider.unwrap_or(CloudProvider::Generic)
    }
}

impl GitVerification {
    /// HEAD unless said otherwise; the old word `head` is HEAD.
    pub fn mode(&self) -> GitVerificationMode {
        match self.mode {
            None | Some(GitVerificationMode::Legacy) => GitVerificationMode::Head,
            Some(mode) => mode,
        }
    }
}

impl GitInclude {
    /// Where in this artifact the copy goes.
    pub fn to_path(&self) -> &str {
        match self.to_path.as_deref() {
            None | Some("") => &self.repository.name,
            Some(path) => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_precedence_is_flux() {
        let some = |text: &str| Some(text.to_owned());
        let mut reference = GitReference::default();
        assert_eq!(reference.target(), GitTarget::Branch("master"));
        reference.branch = some("dev");
        assert_eq!(reference.target(), GitTarget::Branch("dev"));
        reference.tag = some("v1");
        assert_eq!(reference.target(), GitTarget::Tag("v1"));
        reference.semver = some(">=1");
        assert_eq!(reference.target(), GitTarget::Semver(">=1"));
        reference.name = some("refs/pull/1/head");
        assert_eq!(reference.target(), GitTarget::Name("refs/pull/1/head"));
        reference.commit = some("abc");
        assert_eq!(reference.target(), GitTarget::Commit { commit: "abc", branch: Some("dev") });
        reference.commit = some("");
        assert_eq!(reference.target(), GitTarget::Name("refs/pull/1/head"));
    }
}
