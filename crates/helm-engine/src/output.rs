//! The text `helm template` prints and the text a release stores as its manifest.

use std::fmt::Write as _;

use crate::chart::CrdFile;
use crate::engine::Rendered;
use crate::gopath::match_path;
use crate::gostring::{text, trim_space};
use crate::manifest::{HookEvent, Manifest, split_documents};
use crate::profile::SplitRule;

/// What `helm template` is asked to print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateOutput {
    /// Files of `crds/` first (`--include-crds`).
    pub include_crds: bool,
    /// Leave all hooks out (`--no-hooks`).
    pub no_hooks: bool,
    /// Leave test hooks out (`--skip-tests`).
    pub skip_tests: bool,
    /// Only documents of these templates (`--show-only`); all if empty.
    pub show_only: Vec<String>,
}

/// A template named with `--show-only` that gave no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not find template {0} in chart")]
pub struct UnknownTemplate(pub String);

/// What stands around path and content of a document.
const HEADER: usize = "---\n# Source: \n\n".len();

fn document(out: &mut String, path: &str, content: &str) {
    for part in ["---\n# Source: ", path, "\n", content, "\n"] {
        out.push_str(part);
    }
}

/// Manifests as a release stores them.
pub(crate) fn manifest_text(crds: &[CrdFile], manifests: &[Manifest]) -> String {
    manifests_and_room(crds, manifests, 0)
}

/// As [`manifest_text`], with room for more behind it.
fn manifests_and_room(crds: &[CrdFile], manifests: &[Manifest], more: usize) -> String {
    let size = |path: &String, content: usize| path.len() + content + HEADER;
    let crd_size: usize = crds.iter().map(|crd| size(&crd.filename, crd.data.len())).sum();
    let manifest_size: usize =
        manifests.iter().map(|manifest| size(&manifest.path, manifest.content.len())).sum();
    let mut out = String::with_capacity(crd_size + manifest_size + more);
    for crd in crds {
        document(&mut out, &crd.filename, &text(&crd.data));
    }
    for manifest in manifests {
        document(&mut out, &manifest.path, &manifest.content);
    }
    out
}

impl Rendered {
    /// The `manifest` field of the release: every document but hooks, without CRDs.
    #[must_use]
    pub fn manifest_text(&self) -> String {
        manifest_text(&[], &self.manifests)
    }

    /// What `helm template` prints to stdout.
    ///
    /// # Errors
    /// When a template of `show_only` gave no document.
    pub fn template_output(&self, options: &TemplateOutput) -> Result<String, UnknownTemplate> {
        let crds = if options.include_crds { self.crds.as_slice() } else { &[] };
        let hooks: usize = self.hooks.iter().map(|hook| hook.path.len() + hook.manifest.len() + HEADER).sum();
        let mut out = manifests_and_room(crds, &self.manifests, hooks + 1);
        // It begins with `---`, so there is nothing to trim but the end.
        out.truncate(trim_space(&out).len());
        out.push('\n');
        if !options.no_hooks {
            for hook in &self.hooks {
                if !(options.skip_tests && hook.events.contains(&HookEvent::Test)) {
                    document(&mut out, &hook.path, &hook.manifest);
                }
            }
        }
        if options.show_only.is_empty() { Ok(out) } else { show_only(&out, &options.show_only) }
    }
}

/// Cuts the whole output up again and keeps what the patterns name, in the order of the patterns.
fn show_only(output: &str, patterns: &[String]) -> Result<String, UnknownTemplate> {
    let docs: Vec<(&str, &str)> = split_documents(output, SplitRule::LineStart)
        .into_iter()
        .filter_map(|doc| source_below_chart(doc).map(|source| (source, doc)))
        .collect();
    let mut out = String::new();
    for pattern in patterns {
        let mut missing = true;
        for (source, doc) in &docs {
            if match_path(pattern, source).unwrap_or(false) {
                write!(out, "---\n{doc}\n").expect("writing to memory cannot fail");
                missing = false;
            }
        }
        if missing {
            return Err(UnknownTemplate(pattern.clone()));
        }
    }
    Ok(out)
}

/// The first match of `# Source: [^/]+/(.+)`.
fn source_below_chart(doc: &str) -> Option<&str> {
    doc.match_indices("# Source: ").find_map(|(at, marker)| {
        let rest = &doc[at + marker.len()..];
        let (chart, below) = rest.split_once('/')?;
        let line = below.split('\n').next().unwrap_or(below);
        (!chart.is_empty() && !line.is_empty()).then_some(line)
    })
}
