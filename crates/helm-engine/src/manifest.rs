//! From rendered files to documents: split, told apart into manifests and hooks, put in order.

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::gostring::{base_name, trim_left_space, trim_space};
use crate::head::{Head, HeadError};
use crate::ordering::install_order;
use crate::profile::{HelmProfile, SplitRule};

/// A rendered document that is no hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The template it came from, from the chart's name on.
    pub path: String,
    /// `apiVersion`; empty when the document has none.
    pub api_version: String,
    /// `kind`; empty when the document has none.
    pub kind: String,
    /// `metadata.name`; empty when the document has none.
    pub name: String,
    /// The document.
    pub content: String,
}

/// A rendered document with a `helm.sh/hook` annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// `metadata.name`
    pub name: String,
    /// `kind`
    pub kind: String,
    /// The template it came from, from the chart's name on.
    pub path: String,
    /// The document.
    pub manifest: String,
    /// When it runs.
    pub events: Vec<HookEvent>,
    /// `helm.sh/hook-weight`; 0 if absent or no number.
    pub weight: i64,
    /// `helm.sh/hook-delete-policy`: `hook-succeeded`, `hook-failed`, `before-hook-creation`.
    pub delete_policies: Vec<String>,
    /// `helm.sh/hook-output-log-policy`: `hook-succeeded`, `hook-failed`.
    pub output_log_policies: Vec<String>,
}

/// A point in a release's life at which hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HookEvent {
    /// Before the first objects are created.
    PreInstall,
    /// After an install.
    PostInstall,
    /// Before objects are removed.
    PreDelete,
    /// After objects were removed.
    PostDelete,
    /// Before an upgrade.
    PreUpgrade,
    /// After an upgrade.
    PostUpgrade,
    /// Before a rollback.
    PreRollback,
    /// After a rollback.
    PostRollback,
    /// When the release is tested.
    Test,
}

impl HookEvent {
    const ALL: [Self; 9] = [
        Self::PreInstall,
        Self::PostInstall,
        Self::PreDelete,
        Self::PostDelete,
        Self::PreUpgrade,
        Self::PostUpgrade,
        Self::PreRollback,
        Self::PostRollback,
        Self::Test,
    ];

    /// The text in annotations and release records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreInstall => "pre-install",
            Self::PostInstall => "post-install",
            Self::PreDelete => "pre-delete",
            Self::PostDelete => "post-delete",
            Self::PreUpgrade => "pre-upgrade",
            Self::PostUpgrade => "post-upgrade",
            Self::PreRollback => "pre-rollback",
            Self::PostRollback => "post-rollback",
            Self::Test => "test",
        }
    }

    /// The event of an annotation; Helm 2's `test-success` is a test.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "test-success" {
            return Some(Self::Test);
        }
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }
}

impl Serialize for HookEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HookEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown hook event `{text}`")))
    }
}

/// A rendered file that is no YAML; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("YAML parse error on {path}: {source}")]
pub struct ManifestError {
    /// The template the document came from.
    pub path: String,
    /// What is wrong with it.
    pub source: HeadError,
}

/// Cuts a rendered file into its documents.
#[must_use]
pub fn split_documents(text: &str, rule: SplitRule) -> Vec<&str> {
    match rule {
        SplitRule::LineStart => split_at_lines(trim_left_space(text))
            .into_iter()
            .map(trim_left_space)
            .filter(|doc| !doc.is_empty())
            .collect(),
        SplitRule::TrimLeft => split_at_separators(trim_left_space(text))
            .into_iter()
            .filter(|doc| !doc.is_empty())
            .map(trim_left_space)
            .collect(),
        SplitRule::TrimBoth => split_at_separators(trim_space(text))
            .into_iter()
            .filter(|doc| !doc.is_empty())
            .map(trim_space)
            .collect(),
    }
}

/// `(?m)^---[ \t]*`
fn split_at_lines(text: &str) -> Vec<&str> {
    let mut docs = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at <= text.len() {
        if text[at..].starts_with("---") {
            docs.push(&text[start..at]);
            start = at + 3 + text[at + 3..].bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
            at = start;
        }
        match memchr::memchr(b'\n', &text.as_bytes()[at..]) {
            Some(line) => at += line + 1,
            None => break,
        }
    }
    docs.push(&text[start..]);
    docs
}

static SEPARATOR: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(r"(?:^|[\t\n\x0c\r ]*\n)---[\t\n\x0c\r ]*").expect("the pattern is fixed")
});

/// `(?:^|\s*\n)---\s*`, the separator of older versions, with Go's ASCII `\s`.
fn split_at_separators(text: &str) -> Vec<&str> {
    SEPARATOR.split(text).collect()
}

/// Splits rendered files and tells hooks from manifests; both come in install order.
///
/// # Errors
/// With the first document, by path and position, that is no YAML or has no usable head.
pub fn sort_manifests<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    profile: &HelmProfile,
) -> Result<(Vec<Hook>, Vec<Manifest>), ManifestError> {
    let mut files: Vec<(&str, &str)> = files.into_iter().collect();
    files.sort_unstable_by_key(|(path, _)| *path);
    let mut hooks = Vec::new();
    let mut manifests = Vec::new();
    for (path, text) in files {
        if base_name(path).starts_with('_') || trim_space(text).is_empty() {
            continue;
        }
        for doc in split_documents(text, profile.split) {
            let head = Head::parse(doc).map_err(|source| ManifestError { path: path.to_owned(), source })?;
            let Some(annotation) = head.annotations.get(HOOK) else {
                manifests.push(Manifest {
                    path: path.to_owned(),
                    api_version: head.api_version,
                    kind: head.kind,
                    name: head.name,
                    content: doc.to_owned(),
                });
                continue;
            };
            let events: Option<Vec<HookEvent>> =
                annotation.split(',').map(|event| HookEvent::parse(&lower(event))).collect();
            let Some(events) = events else { continue };
            let list = |annotation: &str| -> Vec<String> {
                head.annotations
                    .get(annotation)
                    .map(|list| list.split(',').map(lower).collect())
                    .unwrap_or_default()
            };
            hooks.push(Hook {
                path: path.to_owned(),
                manifest: doc.to_owned(),
                events,
                weight: head.annotations.get(HOOK_WEIGHT).and_then(|weight| weight.parse().ok()).unwrap_or(0),
                delete_policies: list(HOOK_DELETE_POLICY),
                output_log_policies: list(HOOK_OUTPUT_LOG_POLICY),
                name: head.name,
                kind: head.kind,
            });
        }
    }
    install_order(&mut hooks, profile, |hook| &hook.kind);
    install_order(&mut manifests, profile, |manifest| &manifest.kind);
    Ok((hooks, manifests))
}

/// The annotation that makes a document a hook.
pub const HOOK: &str = "helm.sh/hook";

/// The annotation with a hook's weight.
pub const HOOK_WEIGHT: &str = "helm.sh/hook-weight";

/// The annotation that says when a hook's object is deleted.
pub const HOOK_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";

/// The annotation that says when a hook's logs are shown.
pub const HOOK_OUTPUT_LOG_POLICY: &str = "helm.sh/hook-output-log-policy";

fn lower(text: &str) -> String {
    trim_space(text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_split_where_a_line_starts_with_dashes() {
        let text = "\n\n---\na: 1\n---   \n\n---\n  # c\n--- b: 2\nx: ---\n\n";
        assert_eq!(split_documents(text, SplitRule::LineStart), ["a: 1\n", "# c\n", "b: 2\nx: ---\n\n"]);
        assert_eq!(split_documents("a: 1\n---b: 2", SplitRule::LineStart), ["a: 1\n", "b: 2"]);
        assert_eq!(split_documents("---", SplitRule::LineStart), Vec::<&str>::new());
    }

    #[test]
    fn older_versions_trim() {
        let text = "---\na: 1  \n\n---\nb: 2\n\n";
        assert_eq!(split_documents(text, SplitRule::TrimBoth), ["a: 1", "b: 2"]);
        assert_eq!(split_documents(text, SplitRule::TrimLeft), ["a: 1", "b: 2\n\n"]);
    }

    fn sort(files: &[(&str, &str)]) -> (Vec<Hook>, Vec<Manifest>) {
        sort_manifests(files.iter().copied(), &HelmProfile::default()).unwrap()
    }

    #[test]
    fn hooks_are_told_from_manifests() {
        let hook = "kind: Job\nmetadata:\n  name: j\n  annotations:\n    helm.sh/hook: Pre-Install, test-success\n    helm.sh/hook-weight: -5\n    helm.sh/hook-delete-policy: hook-succeeded,before-hook-creation\n";
        let dropped = "kind: Job\nmetadata:\n  annotations:\n    helm.sh/hook: pre-install,someday\n";
        let (hooks, manifests) = sort(&[
            ("c/templates/b.yaml", hook),
            ("c/templates/a.yaml", "kind: Widget\n---\nkind: Service\nmetadata: {name: s}\n"),
            ("c/templates/z.yaml", dropped),
            ("c/templates/_x.yaml", "kind: Pod"),
        ]);
        assert_eq!(hooks.len(), 1);
        assert_eq!(hooks[0].events, [HookEvent::PreInstall, HookEvent::Test]);
        assert_eq!((hooks[0].weight, hooks[0].name.as_str()), (-5, "j"));
        assert_eq!(hooks[0].delete_policies, ["hook-succeeded", "before-hook-creation"]);
        let kinds: Vec<_> = manifests.iter().map(|manifest| manifest.kind.as_str()).collect();
        assert_eq!(kinds, ["Service", "Widget"]);
    }

    #[test]
    fn what_is_no_yaml_is_named() {
        let files = [("c/templates/a.yaml", "a: b: c")];
        let error = sort_manifests(files, &HelmProfile::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "YAML parse error on c/templates/a.yaml: error converting YAML to JSON: yaml: mapping values are not allowed in this context"
        );
    }
}
