//! What a delivery says, reduced to what can select an object: ref, commit, tag, digest, repository.
//!
//! Facts are hints. Nothing in them is ever fetched; they only pick among objects that are already configured.

use serde::{Deserialize, Serialize};

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

/// A manifest digest that is whole.
pub(super) fn digest(text: Option<String>) -> Option<String> {
    text.filter(|text| {
        text.split_once(':').is_some_and(|(algorithm, hex)| {
            !algorithm.is_empty() && !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    })
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
    (repository.to_owned(), tag.filter(|tag| !tag.is_empty()), digest(digest_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_references_are_cut_at_tag_and_digest_not_at_the_port() {
        let cut = |text| {
            let (repository, tag, digest) = image(text);
            format!("{repository} {} {}", tag.unwrap_or_default(), digest.unwrap_or_default())
        };
        assert_eq!(cut("localhost:5000/a/b:1.0"), "localhost:5000/a/b 1.0 ");
        assert_eq!(cut("localhost:5000/a/b"), "localhost:5000/a/b  ");
        assert_eq!(cut("ghcr.io/a/b@sha256:ab12"), "ghcr.io/a/b  sha256:ab12");
        assert_eq!(cut("ghcr.io/a/b:1@sha256:ab12..."), "ghcr.io/a/b 1 ");
        assert_eq!(cut("b:1"), "b 1 ");
    }

    #[test]
    fn zeros_and_nonsense_are_no_commit() {
        assert_eq!(commit(Some("0".repeat(40))), None);
        assert_eq!(commit(Some("main".into())), None);
        assert_eq!(commit(Some("a".repeat(40))), Some("a".repeat(40)));
    }
}
