//! Setters: files and policies in, edited files and a list of what changed out.
//!
//! Only the marked scalar's bytes change; comments, quotes, indentation, line ends, a byte order mark and everything else
//! stay as they are. Which scalars those are, and how the new text is quoted, is kyaml's way (`kio.ByteReader` and the
//! setters of image-automation-controller). Reads no repository and writes none.

use std::collections::BTreeMap;

use goyaml::node::{Content, Edit, Node, NodeDocument, parse_nodes, string_edit};
use goyaml::{Options, Schema};
use memchr::memmem;

use super::changes::{Change, Changes, ObjectIdentifier, PolicyImage};
use super::markers::{TOKEN, marked};
use super::pinned::Pinned;

/// A file as it stands in the repository.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Its path below `update.path`.
    pub path: &'a str,
    /// Its bytes.
    pub content: &'a [u8],
}

/// What the setters made of some files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Updated {
    /// The new content of each file that changed, by the path it was given under.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What changed.
    pub changes: Changes,
    /// Files with a marker that were left alone because they cannot be read, and why.
    pub skipped: Vec<(String, String)>,
}

/// Whether a file of this name is looked at.
pub fn is_wanted(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name == "Kustomization" || name.ends_with(".yaml") || name.ends_with(".yml")
}

/// Whether a file holds a marker at all: cheap, and spares most files the parser.
pub fn has_marker(content: &[u8]) -> bool {
    memmem::find(content, TOKEN.as_bytes()).is_some()
}

/// Sets what the markers of `files` name to what `policies` stand at.
///
/// A marker of a policy that is not among them is left alone, and so is a file that cannot be read.
///
/// # Errors
/// When a policy's image is no reference: then nothing is changed at all.
pub fn update<'a>(files: impl IntoIterator<Item = File<'a>>, policies: &[Pinned]) -> Result<Updated, String> {
    let setters = Setters::of(policies)?;
    let mut updated = Updated::default();
    for file in files {
        if !has_marker(file.content) {
            continue;
        }
        match edits(file.content, &setters) {
            Ok(found) if found.is_empty() => {}
            Ok(found) => apply(file, found, &setters, &mut updated),
            Err(why) => updated.skipped.push((file.path.to_owned(), why)),
        }
    }
    Ok(updated)
}

/// The value of each setter, and the image behind it.
struct Setters {
    values: BTreeMap<String, (String, PolicyImage)>,
}

impl Setters {
    fn of(policies: &[Pinned]) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for pinned in policies {
            let image = PolicyImage {
                reference: pinned.parts()?,
                namespace: pinned.namespace.clone(),
                policy: pinned.policy.clone(),
            };
            let setter = pinned.setter();
            for (part, value) in [
                ("", pinned.reference()),
                (":tag", pinned.tag.clone()),
                (":name", pinned.image.clone()),
                (":digest", pinned.digest.clone()),
            ] {
                values.insert(format!("{setter}{part}"), (value, image.clone()));
            }
        }
        Ok(Self { values })
    }
}

/// One scalar to set, and the object it stands in.
struct Found {
    edit: Edit,
    object: ObjectIdentifier,
    change: Change,
}

fn apply(file: File<'_>, found: Vec<Found>, setters: &Setters, updated: &mut Updated) {
    let mut content = Vec::with_capacity(file.content.len() + 64 * found.len());
    let mut at = 0;
    let objects = updated.changes.files.entry(file.path.to_owned()).or_default();
    for Found { edit, object, change } in found {
        content.extend_from_slice(&file.content[at..edit.span.start]);
        content.extend_from_slice(edit.text.as_bytes());
        at = edit.span.end;
        if let Some((_, image)) = setters.values.get(&change.setter) {
            updated.changes.images.insert(change.setter.clone(), image.clone());
        }
        objects.entry(object).or_default().push(change);
    }
    content.extend_from_slice(&file.content[at..]);
    updated.files.insert(file.path.to_owned(), content);
}

/// The scalars of a file that a setter gives another value, in the order of the text; or why the file is left alone.
fn edits(content: &[u8], setters: &Setters) -> Result<Vec<Found>, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())?;
    let pieces = pieces(text)?;
    let mut found = Vec::new();
    for (start, piece) in &pieces {
        let options = Options { schema: Schema::V3, ..Options::default() };
        // kyaml reads one document of each piece.
        let Some(document) =
            parse_nodes(piece, options).map_err(|error| error.to_string())?.into_iter().next()
        else {
            continue;
        };
        if is_nothing(&document) {
            continue;
        }
        can_hold_annotations(&document.root)?;
        for object in objects(&document.root, pieces.len() == 1) {
            let identifier = identifier(object);
            for marked in marked(object) {
                let Some((value, _)) = setters.values.get(&marked.setter) else { continue };
                let old = marked.scalar.as_scalar().unwrap_or_default();
                if old == value {
                    continue;
                }
                let mut edit = string_edit(piece, marked.scalar, value).map_err(|error| error.to_string())?;
                edit.span = edit.span.start + start..edit.span.end + start;
                let change =
                    Change { old_value: old.to_owned(), new_value: value.clone(), setter: marked.setter };
                found.push(Found { edit, object: identifier.clone(), change });
            }
        }
    }
    found.sort_by_key(|found| found.edit.span.start);
    Ok(found)
}

/// A text in the pieces that kyaml parses each for itself, with the byte each begins at: cut at lines that begin with
/// `---`. What stands on such a line may only be a comment.
fn pieces(text: &str) -> Result<Vec<(usize, &str)>, String> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut from = 0;
    while let Some(found) = memmem::find(&text.as_bytes()[from..], b"\n---") {
        let at = from + found;
        let Some(length) = text[at + 4..].find('\n') else { break };
        let rest = text[at + 4..at + 4 + length].trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            return Err(format!("invalid document separator: ---{rest}"));
        }
        pieces.push((start, &text[start..=at]));
        start = at + 4 + length + 1;
        from = start;
    }
    pieces.push((start, &text[start..]));
    Ok(pieces)
}

fn is_nothing(document: &NodeDocument) -> bool {
    let root = &document.root;
    root.tag.is_none()
        && matches!(root.as_scalar(), Some("" | "~" | "null" | "Null" | "NULL"))
        && root.style == goyaml::node::Style::Plain
}

/// kyaml notes the file's name in an annotation of each document, and gives up on the file where it cannot.
fn can_hold_annotations(root: &Node) -> Result<(), String> {
    let Some(entries) = root.as_mapping() else {
        return Err("a document is no mapping".to_owned());
    };
    match first(entries, "metadata").map(|metadata| &metadata.content) {
        None | Some(Content::Mapping(_)) => Ok(()),
        Some(Content::Scalar(text)) if matches!(text.as_str(), "" | "~" | "null") => Ok(()),
        Some(_) => Err("`metadata` is no mapping".to_owned()),
    }
}

/// The objects of a document: itself, or the items of the only document if that is a `List`.
fn objects(root: &Node, only: bool) -> Vec<&Node> {
    let entries = root.as_mapping().unwrap_or_default();
    let kind = first(entries, "kind").and_then(Node::as_scalar);
    if only
        && matches!(kind, Some("List" | "ResourceList"))
        && let Some(items) = first(entries, "items").and_then(Node::as_sequence)
    {
        return items.iter().collect();
    }
    vec![root]
}

fn identifier(object: &Node) -> ObjectIdentifier {
    let text = |entries: &[(Node, Node)], key: &str| {
        first(entries, key).and_then(Node::as_scalar).unwrap_or_default().to_owned()
    };
    let entries = object.as_mapping().unwrap_or_default();
    let metadata = first(entries, "metadata").and_then(Node::as_mapping).unwrap_or_default();
    ObjectIdentifier {
        api_version: text(entries, "apiVersion"),
        kind: text(entries, "kind"),
        name: text(metadata, "name"),
        namespace: text(metadata, "namespace"),
    }
}

fn first<'n>(entries: &'n [(Node, Node)], key: &str) -> Option<&'n Node> {
    entries.iter().find(|(name, _)| name.as_scalar() == Some(key)).map(|(_, value)| value)
}

#[cfg(test)]
#[path = "setters_tests.rs"]
mod tests;
