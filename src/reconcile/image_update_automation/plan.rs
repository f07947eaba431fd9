//! What an automation is to do, from its spec and its GitRepository; or why it cannot be done.
//!
//! Pure: asks nobody and writes nothing. Reasons and texts are image-automation-controller's.

use flux_api::{GitRepository, GitTarget, ImageRef, ImageUpdateAutomation, Kind, SourceRef, reason};

use crate::image::Pinned;
use crate::model::ObjectKey;
use crate::source::GitReference;

/// Where Flux looks when neither the automation nor the GitRepository names a reference.
const DEFAULT_BRANCH: &str = "master";

/// What stands in the way, in Flux's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// Only a change of the object helps.
    pub(super) stalled: bool,
}

impl Problem {
    pub(super) fn stalled(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stalled: true }
    }

    pub(super) fn failed(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stalled: false }
    }

    /// Of what Flux calls the source manager.
    pub(super) fn source(message: impl std::fmt::Display) -> Self {
        Self::failed(reason::SOURCE_MANAGER_FAILED, format!("failed configuring source manager: {message}"))
    }
}

/// Where to read and where to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// What to check out.
    pub(super) checkout: GitReference,
    /// The branch that is, if it is one.
    pub(super) checkout_branch: Option<String>,
    /// The branch to push to.
    pub(super) push_branch: String,
    /// What a commit is put on, and what becomes of what that branch holds.
    pub(super) onto: Onto,
    /// Pushed besides.
    pub(super) refspec: Option<Refspec>,
    /// Push options.
    pub(super) options: Vec<(String, String)>,
    /// The directory to change files below.
    pub(super) path: String,
}

/// What a commit is put on, and what becomes of what the push branch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onto {
    /// On what was checked out. The branch is others' too: it only ever grows, or the push is refused.
    Checkout,
    /// On what was checked out, in place of what the branch holds: it is automation's own.
    Anew,
    /// On what the branch holds, if it is there: no branch was checked out, or it is the GitRepository's own branch, so
    /// nothing says that its commits may go.
    PushBranch,
}

/// `[+]source:destination`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refspec {
    /// As written.
    pub(super) text: String,
    /// The reference it writes.
    pub(super) destination: String,
    /// Whether it may throw commits away.
    pub(super) force: bool,
}

impl Plan {
    /// Whether what is pushed goes to another branch than what was checked out.
    pub(super) fn switches_branch(&self) -> bool {
        self.checkout_branch.as_deref() != Some(self.push_branch.as_str())
    }

    /// The same with a push branch of its own, as a pull request wants it: one commit on top of what was checked out.
    pub(super) fn for_a_pull_request(self) -> Self {
        let onto = match self.onto {
            Onto::PushBranch => Onto::Anew,
            other => other,
        };
        Self { onto, ..self }
    }
}

/// The GitRepository an automation writes to.
pub(super) fn source(
    automation: &ImageUpdateAutomation,
    no_cross_namespace: bool,
) -> Result<ObjectKey, Problem> {
    let SourceRef { kind, name, .. } = &automation.spec.source_ref;
    let invalid = |text: String| {
        let message = format!("{text}: invalid source configuration");
        Problem::stalled(reason::INVALID_SOURCE_CONFIGURATION, message)
    };
    if *kind != Kind::GitRepository {
        return Err(invalid(format!("source kind '{kind}' not supported")));
    }
    if automation.spec.git.is_none() {
        return Err(invalid("source kind 'GitRepository' necessitates field .spec.git".to_owned()));
    }
    let own = &automation.metadata.namespace;
    let namespace = automation.spec.source_ref.namespace(own);
    if no_cross_namespace && namespace != own {
        return Err(Problem::stalled(
            reason::ACCESS_DENIED,
            format!(
                "can't access 'GitRepository/{namespace}/{name}', cross-namespace references have been blocked"
            ),
        ));
    }
    Ok(ObjectKey::new(Kind::GitRepository, namespace, name))
}

/// What to do with that GitRepository.
pub(super) fn plan(automation: &ImageUpdateAutomation, git: &GitRepository) -> Result<Plan, Problem> {
    let settings = automation.spec.git.clone().unwrap_or_default();
    let wanted = settings.checkout.map(|checkout| checkout.reference).or(git.spec.reference.clone());
    let checkout = match &wanted {
        Some(reference) => GitReference {
            branch: reference.branch.clone().filter(|branch| !branch.is_empty()),
            tag: reference.tag.clone(),
            semver: reference.semver.clone(),
            name: reference.name.clone(),
            commit: reference.commit.clone(),
        },
        None => GitReference { branch: Some(DEFAULT_BRANCH.to_owned()), ..GitReference::default() },
    };
    let checkout_branch = match &wanted {
        Some(reference) => branch_of(reference),
        None => Some(DEFAULT_BRANCH.to_owned()),
    };
    // A reference may name a branch and mean a commit or a tag: the branch is others' all the same.
    let named = checkout.branch.clone();
    let push = settings.push.unwrap_or_default();
    let push_branch = push.branch.filter(|branch| !branch.is_empty());
    let push_branch = push_branch.or_else(|| wanted.as_ref().and(named.clone())).ok_or_else(|| {
        Problem::source(
            "push spec not provided, and cannot be inferred from .spec.git.checkout.ref or GitRepository .spec.ref",
        )
    })?;
    let onto = match &checkout_branch {
        Some(branch) if *branch == push_branch => Onto::Checkout,
        _ if named.as_ref() == Some(&push_branch) => Onto::Checkout,
        Some(_) if !is_branch_of(git, &push_branch) => Onto::Anew,
        Some(_) | None => Onto::PushBranch,
    };
    let refspec = match push.refspec.filter(|text| !text.is_empty()) {
        Some(text) => Some(refspec(&text, &push_branch)?),
        None => None,
    };
    Ok(Plan {
        checkout_branch,
        checkout,
        push_branch,
        onto,
        refspec,
        options: push.options.into_iter().collect(),
        path: automation.spec.path().to_owned(),
    })
}

/// The branch that a reference means, if it means one.
fn branch_of(reference: &flux_api::GitReference) -> Option<String> {
    match reference.target() {
        GitTarget::Branch(branch) => Some(branch.to_owned()),
        GitTarget::Name(name) => name.strip_prefix("refs/heads/").map(str::to_owned),
        GitTarget::Commit { .. } | GitTarget::Semver(_) | GitTarget::Tag(_) => None,
    }
}

/// Whether the GitRepository names that branch, or means it.
fn is_branch_of(git: &GitRepository, branch: &str) -> bool {
    let names = git.spec.reference.as_ref().and_then(|reference| reference.branch.as_deref());
    match git.spec.target() {
        GitTarget::Branch(means) => means == branch,
        GitTarget::Name(name) => name.strip_prefix("refs/heads/") == Some(branch) || names == Some(branch),
        GitTarget::Commit { .. } | GitTarget::Semver(_) | GitTarget::Tag(_) => names == Some(branch),
    }
}

/// What is pushed besides. It is the commit that was made, so the source can only be where that one stands.
fn refspec(text: &str, push_branch: &str) -> Result<Refspec, Problem> {
    let (force, rest) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let malformed = |why: &str| {
        Problem::failed(
            reason::GIT_OPERATION_FAILED,
            format!("failed to update source: malformed refspec `{text}`: {why}"),
        )
    };
    let (from, destination) =
        rest.split_once(':').ok_or_else(|| malformed("it has no `:` between source and destination"))?;
    if from.is_empty() {
        return Err(malformed("it has no source; nothing is ever deleted"));
    }
    if from != "HEAD" && from.strip_prefix("refs/heads/").unwrap_or(from) != push_branch {
        return Err(malformed(&format!("its source is not the branch that is pushed, `{push_branch}`")));
    }
    if !destination.starts_with("refs/") || destination.contains(['*', ':', ' ']) {
        return Err(malformed("the destination is not the full name of one reference"));
    }
    Ok(Refspec { text: text.to_owned(), destination: destination.to_owned(), force })
}

/// The strategy is the only one there is, or was left to the default.
pub(super) fn check_strategy(automation: &ImageUpdateAutomation) -> Result<(), Problem> {
    let strategy = automation.spec.update.as_ref().and_then(|update| update.strategy.as_deref());
    match strategy {
        None | Some("" | "Setters") => Ok(()),
        Some(other) => Err(Problem::stalled(
            reason::INVALID_UPDATE_STRATEGY,
            format!("unsupported update strategy: {other}"),
        )),
    }
}

/// A policy as the setters take it.
pub(super) fn pinned(namespace: &str, policy: &str, image: &ImageRef) -> Pinned {
    Pinned {
        namespace: namespace.to_owned(),
        policy: policy.to_owned(),
        image: image.name.clone(),
        tag: image.tag.clone(),
        digest: image.digest.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use flux_api::{GitCheckout, GitSettings, PushSettings};

    use super::*;

    fn reference(branch: &str) -> flux_api::GitReference {
        flux_api::GitReference { branch: Some(branch.to_owned()), ..flux_api::GitReference::default() }
    }

    fn automation(checkout: Option<flux_api::GitReference>, push: Option<&str>) -> ImageUpdateAutomation {
        let mut automation = ImageUpdateAutomation::default();
        automation.spec.git = Some(GitSettings {
            checkout: checkout.map(|reference| GitCheckout { reference }),
            push: push
                .map(|branch| PushSettings { branch: Some(branch.to_owned()), ..PushSettings::default() }),
            ..GitSettings::default()
        });
        automation
    }

    #[test]
    fn branches_to_read_and_to_write_are_found_as_flux_finds_them() {
        let tag = flux_api::GitReference { tag: Some("v1".into()), ..flux_api::GitReference::default() };
        let named = flux_api::GitReference {
            name: Some("refs/heads/main".into()),
            ..flux_api::GitReference::default()
        };
        let of_main = |change: fn(&mut flux_api::GitReference)| {
            let mut reference = reference("main");
            change(&mut reference);
            Some(reference)
        };
        let commit = of_main(|it| it.commit = Some("0123456789012345678901234567890123456789".into()));
        let tag_too = of_main(|it| it.tag = Some("v1".into()));
        let empty = of_main(|it| {
            it.tag = Some(String::new());
            it.commit = Some(String::new());
        });
        use Onto::{Anew, Checkout, PushBranch};
        let cases = [
            // checkout of the automation, of the GitRepository, push branch → branch checked out, pushed, onto
            (Some(reference("dev")), Some(reference("main")), None, Some((Some("dev"), "dev", Checkout))),
            (None, Some(reference("main")), None, Some((Some("main"), "main", Checkout))),
            (None, Some(reference("main")), Some("auto"), Some((Some("main"), "auto", Anew))),
            (None, None, Some("master"), Some((Some("master"), "master", Checkout))),
            (None, None, Some("auto"), Some((Some("master"), "auto", Anew))),
            (None, None, None, None),
            (Some(tag.clone()), None, None, None),
            // a tag says of no branch that it may be overwritten
            (Some(tag.clone()), None, Some("main"), Some((None, "main", PushBranch))),
            (Some(tag), Some(reference("main")), Some("auto"), Some((None, "auto", PushBranch))),
            (Some(named), None, Some("main"), Some((Some("main"), "main", Checkout))),
            // nor does another branch say it of the one the source follows
            (
                Some(reference("dev")),
                Some(reference("main")),
                Some("main"),
                Some((Some("dev"), "main", PushBranch)),
            ),
            (Some(reference("dev")), None, Some("master"), Some((Some("dev"), "master", PushBranch))),
            (Some(reference("dev")), commit.clone(), Some("main"), Some((Some("dev"), "main", PushBranch))),
            (Some(reference("dev")), None, Some("main"), Some((Some("dev"), "main", Anew))),
            // a source that is pinned, on the branch it is pinned on
            (None, commit.clone(), None, Some((None, "main", Checkout))),
            (None, commit.clone(), Some("main"), Some((None, "main", Checkout))),
            (None, commit, Some("auto"), Some((None, "auto", PushBranch))),
            (None, tag_too.clone(), None, Some((None, "main", Checkout))),
            (tag_too, None, Some("main"), Some((None, "main", Checkout))),
            (None, empty.clone(), None, Some((Some("main"), "main", Checkout))),
            (None, empty, Some("auto"), Some((Some("main"), "auto", Anew))),
        ];
        for (own, of_source, push, expected) in cases {
            let mut git = GitRepository::default();
            git.spec.reference = of_source.clone();
            let found = plan(&automation(own.clone(), push), &git);
            let found = found
                .as_ref()
                .map(|plan| (plan.checkout_branch.as_deref(), plan.push_branch.as_str(), plan.onto));
            assert_eq!(found.ok(), expected, "{own:?} {of_source:?} {push:?}");
        }
    }

    #[test]
    fn a_refspec_names_one_reference_to_write() {
        for (text, expected) in [
            ("refs/heads/main:refs/for/main", Some(("refs/for/main", false))),
            ("+refs/heads/main:refs/heads/auto", Some(("refs/heads/auto", true))),
            ("HEAD:refs/for/main%topic=x", Some(("refs/for/main%topic=x", false))),
            ("main:refs/heads/review", Some(("refs/heads/review", false))),
            // the commit was made for `main`: it is no release
            ("refs/heads/release:refs/heads/release-2", None),
            ("refs/tags/main:refs/heads/review", None),
            ("main", None),
            (":refs/heads/main", None),
            ("main:auto", None),
            ("refs/heads/*:refs/heads/*", None),
        ] {
            let found = refspec(text, "main");
            let found = found.as_ref().map(|refspec| (refspec.destination.as_str(), refspec.force));
            assert_eq!(found.ok(), expected, "{text}");
        }
        assert_eq!(
            refspec("refs/heads/main:refs/heads/release", "auto").unwrap_err().message,
            "failed to update source: malformed refspec `refs/heads/main:refs/heads/release`: its source is not the branch that is pushed, `auto`"
        );
    }

    #[test]
    fn settings_that_cannot_work_stall_in_flux_s_words() {
        let mut automation = automation(None, None);
        automation.metadata.namespace = "apps".to_owned();
        automation.spec.source_ref.name = "repo".to_owned();
        automation.spec.source_ref.namespace = Some("infra".to_owned());
        let problem = source(&automation, true).unwrap_err();
        assert_eq!(
            (problem.reason, problem.message.as_str(), problem.stalled),
            (
                "AccessDenied",
                "can't access 'GitRepository/infra/repo', cross-namespace references have been blocked",
                true
            )
        );
        assert_eq!(source(&automation, false).unwrap(), ObjectKey::new(Kind::GitRepository, "infra", "repo"));
        automation.spec.git = None;
        let problem = source(&automation, false).unwrap_err();
        assert_eq!(
            (problem.reason, problem.message.as_str()),
            (
                "InvalidSourceConfiguration",
                "source kind 'GitRepository' necessitates field .spec.git: invalid source configuration"
            )
        );
        automation.spec.source_ref.kind = Kind::Bucket;
        let problem = source(&automation, false).unwrap_err();
        assert_eq!(problem.message, "source kind 'Bucket' not supported: invalid source configuration");
        automation.spec.update = Some(flux_api::UpdateStrategy {
            strategy: Some("Magic".to_owned()),
            ..flux_api::UpdateStrategy::default()
        });
        let problem = check_strategy(&automation).unwrap_err();
        assert_eq!(
            (problem.reason, problem.message.as_str()),
            ("InvalidUpdateStrategy", "unsupported update strategy: Magic")
        );
    }
}
