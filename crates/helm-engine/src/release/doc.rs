//! A stored manifest cut into its documents.

use crate::manifest::split_documents;
use crate::profile::SplitRule;

/// One document of a stored manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doc<'a> {
    /// The template it came from, if its first line says so.
    pub source: Option<&'a str>,
    /// The document, with its `# Source:` line.
    pub text: &'a str,
}

/// Cuts a release's `manifest` into its documents, in their order.
#[must_use]
pub fn split_manifest(manifest: &str) -> Vec<Doc<'_>> {
    split_documents(manifest, SplitRule::LineStart)
        .into_iter()
        .map(|text| Doc {
            source: text.lines().next().and_then(|line| line.strip_prefix("# Source: ")),
            text,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_their_templates() {
        let docs = split_manifest("---\n# Source: a/templates/x.yaml\nkind: A\n---\nkind: B\n--- \n\n");
        assert_eq!(docs.len(), 2);
        assert_eq!(docs[0].source, Some("a/templates/x.yaml"));
        assert_eq!(docs[1], Doc { source: None, text: "kind: B\n" });
    }
}
