//! What a delivery says, reduced to what can select an object: ref, commit, tag, digest, repository.
//!
//! Facts are hints. Nothing in them is ever fetched; they only pick among objects that are already configured.

use serde::{Deserialize, Serialize};

use crate::model::{is_digest, is_tag};

/// What happened at the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FactKind {
    /// A ref, image or chart now has this content.
    Push,
    /// A ref was created; a push follows on its own.
    Create,
    /// A ref, image or chart is gone.
    Delete,
    /// The sender tries the hook.
    Ping,
    /// Anything else: nothing that can be reconciled is known to have changed.
    #[default]
    Other,
}

/// One change of a delivery that may carry several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// What happened.
    pub kind: FactKind,
    /// The full git ref.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// The commit before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The commit after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The image or chart repository, where each change of several has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The image or chart tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The manifest digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// History was rewritten.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

/// What a delivery says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The change that counts: the first push, else the first of all.
    #[serde(flatten)]
    pub change: Change,
    /// Git: the HTTP clone URL, else the web URL, else `PROJECT/slug`. Images: `host/path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Every form of the git URL in the payload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repository_urls: Vec<String>,
    /// Every change, when there is not exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Change>>,
    /// The tag of a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The git repository an image belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_repository: Option<String>,
    /// A registry's own report: every image that changed is named, and what is neither push nor deletion (a pull, a
    /// scan) changed none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub registry: bool,
}

impl Facts {
    /// Nothing but a kind.
    pub(super) fn of(kind: FactKind) -> Self {
        Self { change: Change { kind, ..Change::default() }, ..Self::default() }
    }

    /// From all changes of a delivery.
    pub(super) fn from_changes(changes: Vec<Change>) -> Self {
        let first = changes.iter().find(|change| change.kind == FactKind::Push).or(changes.first());
        Self {
            change: first.cloned().unwrap_or_default(),
            changes: (changes.len() != 1).then_some(changes),
            ..Self::default()
        }
    }

    /// A registry's own report of these changes, each with its repository.
    pub(super) fn images(changes: Vec<Change>) -> Self {
        let mut facts = Self { registry: true, ..Self::from_changes(changes) };
        facts.repository = facts.change.repository.take();
        facts
    }

    /// A registry's own report that changes nothing, about this repository.
    pub(super) fn no_images(repository: Option<String>) -> Self {
        Self { repository, ..Self::images(Vec::new()) }
    }

    /// The same for a git repository with these URLs, best first.
    pub(super) fn git(mut self, urls: impl IntoIterator<Item = Option<String>>) -> Self {
        for url in urls.into_iter().flatten().filter(|url| !url.is_empty()) {
            if !self.repository_urls.contains(&url) {
                self.repository_urls.push(url);
            }
        }
        self.repository = self.repository_urls.first().cloned();
        self
    }

    /// Every change there is.
    pub fn all_changes(&self) -> &[Change] {
        self.changes.as_deref().unwrap_or(std::slice::from_ref(&self.change))
    }

    /// Every change with the image repository it concerns, as the payload names it.
    pub(super) fn image_changes(&self) -> impl Iterator<Item = (&str, &Change)> {
        let common = self.repository.as_deref();
        self.all_changes()
            .iter()
            .filter_map(move |change| Some((change.repository.as_deref().or(common)?, change)))
    }
}

/// The body is authentic but cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) String);

impl Malformed {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A commit id, or nothing: forges write zeros for "none".
pub(super) fn commit(text: Option<String>) -> Option<String> {
    text.filter(|text| {
        matches!(text.len(), 40 | 64)
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            && text.bytes().any(|byte| byte != b'0')
    })
}

/// A manifest digest that is whole: a masked or shortened one is compared with nothing.
pub(super) fn digest(text: Option<String>) -> Option<String> {
    text.filter(|text| is_digest(text))
}

/// A tag as registries allow it; anything else would not be one in an address either.
pub(super) fn tag(text: Option<String>) -> Option<String> {
    text.filter(|text| is_tag(text))
}

/// A repository below a registry's host, where one is known.
pub(super) fn below(host: Option<&str>, path: &str) -> String {
    match host.map(|host| host.trim_end_matches('/')).filter(|host| !host.is_empty()) {
        Some(host) => format!("{host}/{path}"),
        None => path.to_owned(),
    }
}

/// The host of a URL as written, with its port.
pub(super) fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    Some(rest.split(['/', '?', '#']).next()?).filter(|host| !host.is_empty())
}

/// A ref as git allows it to be written; control characters are nothing a forge sends.
pub(super) fn git_ref(text: Option<String>) -> Result<Option<String>, Malformed> {
    match text {
        Some(text) if text.chars().any(char::is_control) => {
            Err(Malformed::new("the ref holds control characters"))
        }
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}

/// An image reference cut into repository, tag and digest: `host/path:tag@digest`.
pub(super) fn image(reference: &str) -> (String, Option<String>, Option<String>) {
    let (rest, digest_part) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.to_owned())),
        None => (reference, None),
    };
    // A colon before the last slash is a port.
    let slash = rest.rfind('/').unwrap_or(0);
    let (repository, tag) = match rest[slash..].find(':') {
        Some(colon) => (&rest[..slash + colon], Some(rest[slash + colon + 1..].to_owned())),
        None => (rest, None),
    };
    (repository.to_owned(), self::tag(tag), digest(digest_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_references_are_cut_at_tag_and_digest_not_at_the_port() {
        let cut = |text: &str| {
            let (repository, tag, digest) = image(text);
            format!("{repository} {} {}", tag.unwrap_or_default(), digest.unwrap_or_default())
        };
        assert_eq!(cut("localhost:5000/a/b:1.0"), "localhost:5000/a/b 1.0 ");
        assert_eq!(cut("localhost:5000/a/b"), "localhost:5000/a/b  ");
        let whole = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(cut(&format!("ghcr.io/a/b@{whole}")), format!("ghcr.io/a/b  {whole}"));
        assert_eq!(cut(&format!("ghcr.io/a/b:1@{whole}")), format!("ghcr.io/a/b 1 {whole}"));
        assert_eq!(cut("ghcr.io/a/b:1@sha256:ab12"), "ghcr.io/a/b 1 ");
        assert_eq!(cut("b:1"), "b 1 ");
    }

    #[test]
    fn zeros_and_nonsense_are_no_commit() {
        assert_eq!(commit(Some("0".repeat(40))), None);
        assert_eq!(commit(Some("main".into())), None);
        assert_eq!(commit(Some("a".repeat(40))), Some("a".repeat(40)));
    }

    #[test]
    fn facts_survive_the_store() {
        let change = |repository: &str, tag: &str| Change {
            kind: FactKind::Push,
            repository: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            ..Change::default()
        };
        for changes in [vec![change("h/a", "1")], vec![change("h/a", "1"), change("h/b", "2")], Vec::new()] {
            let facts = Facts::images(changes);
            let stored = serde_json::to_value(&facts).unwrap();
            assert_eq!(serde_json::from_value::<Facts>(stored).unwrap(), facts);
        }
        let one = Facts::images(vec![change("h/a", "1")]);
        assert_eq!(one.image_changes().map(|(name, _)| name).collect::<Vec<_>>(), ["h/a"]);
    }
}
