//! `spec.ref` and what the server has: which reference, which commit, which revision. Pure.

use git2::Oid;
use masterminds_semver::{Constraints, Version};

use super::error::{GitErrorKind, shown};
use super::protocol::RemoteRef;
use super::request::GitReference;
use crate::model::Revision;

/// What to look for, by Flux's precedence.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// `reference` only shapes the revision.
    Commit {
        commit: Oid,
        branch: Option<String>,
        reference: Option<String>,
    },
    /// A full reference name, as configured by `ref.name`.
    Name(String),
    Semver {
        text: String,
        range: Constraints,
    },
    Tag(String),
    Branch(String),
}

impl Target {
    /// Reads `spec.ref`: commit before name before semver before tag before branch.
    pub(crate) fn choose(reference: &GitReference) -> Result<Self, GitErrorKind> {
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let (branch, name) = (set(&reference.branch), set(&reference.name));
        if let Some(commit) = set(&reference.commit) {
            let commit =
                parse_commit(&commit).ok_or_else(|| GitErrorKind::InvalidReference(shown(&commit, 100)))?;
            if let Some(branch) = &branch {
                checked(&format!("refs/heads/{branch}"))?;
            }
            return Ok(Target::Commit { commit, branch, reference: name });
        }
        if let Some(name) = name {
            checked(name.strip_suffix("^{}").unwrap_or(&name))?;
            return Ok(Target::Name(name));
        }
        if let Some(text) = set(&reference.semver) {
            let range = Constraints::parse(&text).map_err(|error| GitErrorKind::InvalidSemver {
                constraint: shown(&text, 100),
                reason: error.to_string(),
            })?;
            return Ok(Target::Semver { text, range });
        }
        if let Some(tag) = set(&reference.tag) {
            checked(&format!("refs/tags/{tag}"))?;
            return Ok(Target::Tag(tag));
        }
        let branch = branch.unwrap_or_else(|| "master".to_owned());
        checked(&format!("refs/heads/{branch}"))?;
        Ok(Target::Branch(branch))
    }

    /// For error texts: `branch `main``.
    pub(crate) fn describe(&self) -> String {
        match self {
            Target::Commit { commit, .. } => format!("commit `{commit}`"),
            Target::Name(name) => format!("reference `{}`", shown(name, 200)),
            Target::Semver { text, .. } => format!("tag `{}`", shown(text, 200)),
            Target::Tag(tag) => format!("tag `{}`", shown(tag, 200)),
            Target::Branch(branch) => format!("branch `{}`", shown(branch, 200)),
        }
    }

    /// The one reference it names, where it names one.
    pub(crate) fn reference(&self) -> Option<String> {
        match self {
            Target::Commit { .. } | Target::Semver { .. } => None,
            Target::Name(name) => Some(name.strip_suffix("^{}").unwrap_or(name).to_owned()),
            Target::Tag(tag) => Some(format!("refs/tags/{tag}")),
            Target::Branch(branch) => Some(format!("refs/heads/{branch}")),
        }
    }

    /// What to ask the server for.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        match self {
            Target::Commit { branch: Some(branch), .. } => vec![format!("refs/heads/{branch}")],
            Target::Commit { branch: None, .. } => vec!["refs/heads/".to_owned(), "refs/tags/".to_owned()],
            Target::Semver { .. } => vec!["refs/tags/".to_owned()],
            Target::Name(_) | Target::Tag(_) | Target::Branch(_) => self.reference().into_iter().collect(),
        }
    }

    /// The references that fit best: one, or several tags of equal precedence (they differ in build metadata).
    pub(crate) fn pick(&self, references: &[RemoteRef]) -> Result<Vec<RemoteRef>, GitErrorKind> {
        if let Target::Semver { text, range } = self {
            let mut best: Vec<(Version, &RemoteRef)> = Vec::new();
            for reference in references {
                let Some(version) = reference.name.strip_prefix("refs/tags/").and_then(parse_version) else {
                    continue;
                };
                if !range.check(&version) {
                    continue;
                }
                match best.first().map(|(known, _)| version.cmp(known)) {
                    Some(std::cmp::Ordering::Less) => continue,
                    Some(std::cmp::Ordering::Equal) => {}
                    Some(std::cmp::Ordering::Greater) | None => best.clear(),
                }
                best.push((version, reference));
            }
            return match best.is_empty() {
                true => Err(GitErrorKind::NoSemverMatch(shown(text, 100))),
                false => Ok(best.into_iter().map(|(_, reference)| reference.clone()).collect()),
            };
        }
        let name = self.reference().unwrap_or_default();
        match references.iter().find(|reference| reference.name == name) {
            Some(found) => Ok(vec![found.clone()]),
            None => Err(GitErrorKind::ReferenceNotFound(shown(&name, 200))),
        }
    }

    /// Flux's revision for a commit of `reference`.
    pub(crate) fn revision(&self, reference: &str, commit: Oid) -> Revision {
        let name = match self {
            Target::Commit { reference: Some(name), .. } | Target::Name(name) => Some(name.as_str()),
            Target::Commit { branch, .. } => branch.as_deref(),
            Target::Semver { .. } | Target::Tag(_) | Target::Branch(_) => reference.splitn(3, '/').nth(2),
        };
        match name {
            Some(name) => Revision::new(format!("{name}@sha1:{commit}")),
            None => Revision::new(format!("sha1:{commit}")),
        }
    }
}

/// `v` in front is fine, anything else must be strict: Flux's `version.ParseVersion`.
fn parse_version(tag: &str) -> Option<Version> {
    let strict = Version::parse_strict(tag.strip_prefix('v').unwrap_or(tag));
    strict.ok()
}

/// 40 hex digits.
pub(crate) fn parse_commit(text: &str) -> Option<Oid> {
    match text.len() == 40 && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        true => Oid::from_str(&text.to_ascii_lowercase()).ok(),
        false => None,
    }
}

/// A name that git itself would accept, and that no program could take for an option.
pub(crate) fn checked(name: &str) -> Result<(), GitErrorKind> {
    let short = name.rsplit('/').next().unwrap_or_default();
    match name.len() <= 1024 && !short.starts_with('-') && git2::Reference::is_valid_name(name) {
        true => Ok(()),
        false => Err(GitErrorKind::InvalidReference(shown(name, 200))),
    }
}

/// A revision in today's form; before Flux 0.35 they were `master/<id>`, `HEAD/<id>` or a bare id.
pub(crate) fn modern(revision: &str) -> String {
    if revision.contains(':') {
        return revision.to_owned();
    }
    match revision.rsplit_once('/') {
        Some(("HEAD", id)) => format!("sha1:{id}"),
        Some((name, id)) => format!("{name}@sha1:{id}"),
        None => format!("sha1:{revision}"),
    }
}

/// The commit within a revision.
pub(crate) fn commit_of(revision: &str) -> Option<Oid> {
    modern(revision).rsplit_once("sha1:").and_then(|(_, id)| parse_commit(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "d0dd1ee6cb5b5c4ad2b5d3d50a3a3a2e7ab5d9a1";

    fn remote(name: &str, id: &str) -> RemoteRef {
        RemoteRef { name: name.into(), id: Oid::from_str(id).unwrap(), peeled: None }
    }

    fn choose(set: impl FnOnce(&mut GitReference)) -> Result<Target, GitErrorKind> {
        let mut reference = GitReference::default();
        set(&mut reference);
        Target::choose(&reference)
    }

    #[test]
    fn precedence_is_commit_name_semver_tag_branch() {
        let mut reference = GitReference {
            branch: Some("b".into()),
            tag: Some("t".into()),
            semver: Some(">=1.0.0".into()),
            name: Some("refs/pull/1/head".into()),
            commit: Some(ID.into()),
        };
        let mut described = Vec::new();
        for step in 0..6 {
            described.push(Target::choose(&reference).unwrap().describe());
            match step {
                0 => reference.commit = None,
                1 => reference.name = None,
                2 => reference.semver = None,
                3 => reference.tag = None,
                _ => reference.branch = None,
            }
        }
        assert_eq!(
            described,
            [
                &format!("commit `{ID}`"),
                "reference `refs/pull/1/head`",
                "tag `>=1.0.0`",
                "tag `t`",
                "branch `b`",
                "branch `master`"
            ]
        );
    }

    #[test]
    fn revisions_are_written_as_flux_does() {
        let id = Oid::from_str(ID).unwrap();
        let write = |target: Target, reference: &str| target.revision(reference, id).to_string();
        let branch = choose(|r| r.branch = Some("feat/x".into())).unwrap();
        assert_eq!(write(branch, "refs/heads/feat/x"), format!("feat/x@sha1:{ID}"));
        let tag = choose(|r| r.tag = Some("v1".into())).unwrap();
        assert_eq!(write(tag, "refs/tags/v1"), format!("v1@sha1:{ID}"));
        let semver = choose(|r| r.semver = Some("1.x".into())).unwrap();
        assert_eq!(write(semver, "refs/tags/v1.2.3"), format!("v1.2.3@sha1:{ID}"));
        let name = choose(|r| r.name = Some("refs/heads/main".into())).unwrap();
        assert_eq!(write(name, "refs/heads/main"), format!("refs/heads/main@sha1:{ID}"));
        let commit = choose(|r| r.commit = Some(ID.into())).unwrap();
        assert_eq!(write(commit, ""), format!("sha1:{ID}"));
        let both = choose(|r| {
            r.commit = Some(ID.to_uppercase());
            r.branch = Some("main".into());
        });
        assert_eq!(write(both.unwrap(), ""), format!("main@sha1:{ID}"));
        for (old, new) in [
            (format!("master/{ID}"), format!("master@sha1:{ID}")),
            (format!("feat/x/{ID}"), format!("feat/x@sha1:{ID}")),
            (format!("HEAD/{ID}"), format!("sha1:{ID}")),
            (ID.to_owned(), format!("sha1:{ID}")),
            (format!("main@sha1:{ID}"), format!("main@sha1:{ID}")),
        ] {
            assert_eq!(modern(&old), new);
            assert_eq!(commit_of(&old), Some(id));
        }
    }

    #[test]
    fn semver_takes_the_highest_tag_in_range_and_all_of_equal_precedence() {
        let tags: Vec<RemoteRef> =
            ["v1.2.3", "1.10.0", "1.9.0", "2.0.0-rc.1", "2.0.0", "latest", "1.11", "v01.12.0"]
                .iter()
                .map(|tag| remote(&format!("refs/tags/{tag}"), ID))
                .collect();
        let pick = |range: &str, tags: &[RemoteRef]| {
            let target = choose(|r| r.semver = Some(range.into())).unwrap();
            target.pick(tags).map(|found| found.into_iter().map(|one| one.name).collect::<Vec<_>>())
        };
        assert_eq!(pick("1.x", &tags).unwrap(), ["refs/tags/1.10.0"]);
        assert_eq!(pick(">=1.0.0", &tags).unwrap(), ["refs/tags/2.0.0"]);
        assert_eq!(pick(">=2.0.0-0 <2.0.0", &tags).unwrap(), ["refs/tags/2.0.0-rc.1"]);
        assert!(matches!(pick("3.x", &tags), Err(GitErrorKind::NoSemverMatch(_))));
        let built = [remote("refs/tags/1.0.0+a", ID), remote("refs/tags/1.0.0+b", ID)];
        assert_eq!(pick("*", &built).unwrap().len(), 2);
        assert!(matches!(
            choose(|r| r.semver = Some("not a range".into())),
            Err(GitErrorKind::InvalidSemver { .. })
        ));
    }

    #[test]
    fn h74_names_that_git_refuses_are_refused_without_a_question_to_the_server() {
        let long = "x".repeat(4096);
        for name in [
            "../../x", "a..b", "a b", "a~1", "a^", "a:b", "-x", "a.lock", "a//b", "/a", "a/", "@{", "a\0",
            &long,
        ] {
            assert!(choose(|r| r.branch = Some(name.into())).is_err(), "branch {name:?}");
            assert!(choose(|r| r.tag = Some(name.into())).is_err(), "tag {name:?}");
        }
        for name in ["refs/heads/-x", "refs/heads/../../x", "refs/heads/a b"] {
            assert!(choose(|r| r.name = Some(name.into())).is_err(), "{name:?}");
        }
        for commit in ["abc", "--upload-pack=x", &"g".repeat(40)] {
            assert!(choose(|r| r.commit = Some(commit.into())).is_err(), "{commit:?}");
        }
    }
}
