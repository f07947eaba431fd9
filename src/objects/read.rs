//! From a file's text to the objects in it, each with its line. Pure: no file system here.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use flux_api::{Class, FluxObject, Segment, classify, decode, label_problem, subdomain_problem};
use goyaml::node::{Node, NodeDocument, parse_nodes};
use goyaml::{Document, ErrorKind, JsonBuilder, Options, StreamOptions, documents_with};
use serde_json::{Map, Value};
use tracing::debug;

use super::config::{self, ConfigMap, Fault, Secret};
use crate::model::{Kind, ObjectKey};

/// Largest file read; the biggest hand-written ones are some hundred KiB, generated CRD bundles some MiB.
pub(super) const MAX_FILE: usize = 16 << 20;
/// Most documents in one file.
const MAX_DOCUMENTS: usize = 5_000;
/// Deepest nesting of collections; the API server stops somewhat later.
const MAX_DEPTH: usize = 128;
/// Deepest nesting of `kind: List`; kubectl writes one level.
const MAX_LISTS: usize = 3;
/// Most problems told of one object; they all end up in one status message.
const MAX_PROBLEMS: usize = 20;
/// The namespace of an object that names none, as kubectl has it.
const DEFAULT_NAMESPACE: &str = "default";

/// What is in one file.
#[derive(Debug, Default)]
pub(super) struct ParsedFile {
    pub(super) items: Vec<Item>,
    /// Problems of what could not be told apart: syntax, duplicate keys, limits.
    pub(super) problems: Vec<Found>,
    /// Kinds of Flux's that are not known here: worth a word, but nothing is hidden behind them.
    pub(super) remarks: Vec<Found>,
}

/// A problem and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) line: u32,
    pub(super) message: String,
}

/// One object of a file.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) line: u32,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Object(ObjectKey, Arc<FluxObject>),
    Invalid(ObjectKey, Vec<Found>),
    Secret(Name, Config<Secret>),
    ConfigMap(Name, Config<ConfigMap>),
    /// A Namespace and its labels; nothing else of it counts here.
    Namespace(String, BTreeMap<String, String>),
}

/// Namespace and name.
pub(super) type Name = (String, String);

/// A Secret or ConfigMap, or why there is none.
#[derive(Debug)]
pub(super) enum Config<T> {
    Usable(Arc<T>),
    Encrypted,
    Invalid(Vec<Found>),
}

impl ParsedFile {
    /// Whether something in the file could not be made out at all, so that what is missing may only be hidden.
    pub(super) fn is_broken(&self) -> bool {
        !self.problems.is_empty()
    }
}

/// Reads a file; `name` is for the log only.
pub(super) fn parse(name: &str, bytes: &[u8]) -> ParsedFile {
    let mut file = ParsedFile::default();
    if bytes.len() > MAX_FILE {
        let message = format!("the file has {} bytes, more than the limit of {MAX_FILE}", bytes.len());
        file.problems.push(Found { line: 0, message });
        return file;
    }
    let text = match text(bytes) {
        Ok(text) => text,
        Err(found) => {
            file.problems.push(found);
            return file;
        }
    };
    let mut reader = Reader { name, text: &text, nodes: OnceCell::new(), file: &mut file };
    let options = StreamOptions {
        options: Options { strict: true, max_depth: MAX_DEPTH, ..Options::default() },
        max_bytes: MAX_FILE,
        max_documents: MAX_DOCUMENTS,
    };
    for document in documents_with(&text, options, JsonBuilder) {
        reader.document(document);
    }
    file
}

/// UTF-8, or UTF-16 with a byte order mark, as YAML allows.
fn text(bytes: &[u8]) -> Result<String, Found> {
    let wide = |read: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map_err(|_| Found { line: 0, message: "the file is no valid UTF-16".to_owned() })
    };
    match bytes {
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                Err(Found {
                    line: u32::try_from(line).unwrap_or(0),
                    message: "the file is no valid UTF-8".to_owned(),
                })
            }
        },
    }
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    /// The places of everything, read only when a message needs one.
    nodes: OnceCell<Vec<NodeDocument>>,
    file: &'a mut ParsedFile,
}

/// Where a value stands: its document's first line and the steps from there.
struct Place {
    line: u32,
    steps: Vec<Segment>,
}

impl Reader<'_> {
    fn document(&mut self, document: Document<Value>) {
        let place = Place { line: document.line, steps: Vec::new() };
        match document.value {
            Ok(value) => self.value(value, &place, 0),
            Err(error) => {
                let line = error.line().unwrap_or(document.line);
                let found = self.unreadable(&error, line, document.line);
                self.file.problems.extend(found);
            }
        }
    }

    /// What to say of a document that cannot be decoded. Duplicate keys are named one by one; of a Secret no text is
    /// repeated.
    fn unreadable(&self, error: &goyaml::Error, line: u32, document_line: u32) -> Vec<Found> {
        let one = |message: String| vec![Found { line, message }];
        let Some(root) = self.root(document_line) else { return one(flat(error)) };
        if error.kind() == ErrorKind::Decode {
            let duplicates: Vec<Found> = root
                .duplicate_keys()
                .into_iter()
                .map(|(again, first)| {
                    let key = again.as_scalar().unwrap_or_default();
                    Found {
                        line: again.line,
                        message: format!("key {key:?} is already set at line {}", first.line),
                    }
                })
                .collect();
            if !duplicates.is_empty() {
                return duplicates;
            }
        }
        if mentions_secret(root) {
            return one("the document cannot be read; what is wrong is not shown, because it holds a Secret"
                .to_owned());
        }
        one(flat(error))
    }

    fn value(&mut self, value: Value, place: &Place, lists: usize) {
        let Value::Object(mut manifest) = value else {
            debug!(file = self.name, line = place.line, "skipped a document that is no object");
            return;
        };
        let text = |field: &str| manifest.get(field).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
        let is_list = api_version == "v1" && kind == "List"
            || kind.strip_suffix("List").is_some_and(|one| {
                !matches!(classify(&api_version, one), Class::Other) && manifest.contains_key("items")
            });
        if is_list {
            return self.list(manifest.remove("items"), place, lists);
        }
        match (api_version.as_str(), kind.as_str()) {
            ("v1", "Secret" | "ConfigMap") => self.config(&manifest, place, kind == "Secret"),
            ("v1", "Namespace") => self.namespace(&manifest, place),
            _ => match classify(&api_version, &kind) {
                Class::Other => {
                    let line = place.line;
                    debug!(file = self.name, line, "skipped `{api_version}` `{kind}`: not for sluice");
                }
                Class::Unsupported(reason) => self.unsupported(&kind, manifest, reason, place),
                Class::Flux(kind) => self.object(kind, manifest, place),
            },
        }
    }

    fn list(&mut self, items: Option<Value>, place: &Place, lists: usize) {
        if lists == MAX_LISTS {
            let message = format!("lists are nested more than {MAX_LISTS} deep");
            let line = self.line(place, &[]);
            self.file.problems.push(Found { line, message });
            return;
        }
        let Some(Value::Array(items)) = items else { return };
        for (index, item) in items.into_iter().enumerate() {
            let mut steps = place.steps.clone();
            steps.extend([field("items"), Segment::Index(index)]);
            self.value(item, &Place { line: place.line, steps }, lists + 1);
        }
    }

    /// A version that is not served makes an object invalid like any other slip; an unknown kind is no object of ours.
    fn unsupported(&mut self, kind: &str, mut manifest: Map<String, Value>, reason: String, place: &Place) {
        let line = self.line(place, &[field("apiVersion")]);
        let found = Found { line, message: reason };
        let (namespace, name) = default_namespace(&mut manifest);
        match Kind::ALL.iter().find(|known| known.as_str() == kind) {
            Some(known) if !name.is_empty() => {
                let what = What::Invalid(ObjectKey::new(*known, namespace, name), vec![found]);
                self.file.items.push(Item { line, what });
            }
            _ => self.file.remarks.push(found),
        }
    }

    fn object(&mut self, kind: Kind, mut manifest: Map<String, Value>, place: &Place) {
        let (namespace, name) = default_namespace(&mut manifest);
        let key = ObjectKey::new(kind, namespace, name);
        let manifest = Value::Object(manifest);
        let what = match decode(&manifest) {
            Ok(object) => What::Object(key, Arc::new(object)),
            Err(error) => {
                let found = cut(error.problems.iter().map(|problem| Found {
                    line: self.line(place, problem.path.segments()),
                    message: problem.to_string(),
                }));
                if key.name.is_empty() {
                    self.file.problems.extend(found);
                    return;
                }
                What::Invalid(key, found)
            }
        };
        let line = if place.steps.is_empty() { place.line } else { self.line(place, &[]) };
        self.file.items.push(Item { line, what });
    }

    fn config(&mut self, manifest: &Map<String, Value>, place: &Place, is_secret: bool) {
        let mut manifest = manifest.clone();
        let (namespace, name) = default_namespace(&mut manifest);
        let line = self.line(place, &[]);
        let mut faults: Vec<Fault> = Vec::new();
        if let Some(reason) = subdomain_problem(&name) {
            let message = format!("metadata.name: Invalid value: {reason}");
            faults.push(Fault { path: vec!["metadata".to_owned(), "name".to_owned()], message });
        }
        if let Some(reason) = label_problem(&namespace) {
            let message = format!("metadata.namespace: Invalid value: {reason}");
            faults.push(Fault { path: vec!["metadata".to_owned(), "namespace".to_owned()], message });
        }
        let encrypted = manifest.contains_key("sops");
        let found = |faults: Vec<Fault>| -> Vec<Found> {
            cut(faults.into_iter().map(|fault| {
                let steps: Vec<Segment> = fault.path.into_iter().map(Segment::Field).collect();
                Found { line: self.line(place, &steps), message: fault.message }
            }))
        };
        let what = if is_secret {
            let read = match faults {
                _ if encrypted => Config::Encrypted,
                faults if !faults.is_empty() => Config::Invalid(found(faults)),
                _ => match config::secret(&namespace, &name, &manifest) {
                    Ok(secret) => Config::Usable(Arc::new(secret)),
                    Err(faults) => Config::Invalid(found(faults)),
                },
            };
            What::Secret((namespace, name), read)
        } else {
            let read = match faults {
                _ if encrypted => Config::Encrypted,
                faults if !faults.is_empty() => Config::Invalid(found(faults)),
                _ => match config::config_map(&namespace, &name, &manifest) {
                    Ok(map) => Config::Usable(Arc::new(map)),
                    Err(faults) => Config::Invalid(found(faults)),
                },
            };
            What::ConfigMap((namespace, name), read)
        };
        self.file.items.push(Item { line, what });
    }

    /// A Namespace is somebody else's to make; its labels say whom other namespaces let in.
    fn namespace(&mut self, manifest: &Map<String, Value>, place: &Place) {
        let name = manifest.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str);
        let Some(name) = name.filter(|name| label_problem(name).is_none()) else { return };
        let line = self.line(place, &[]);
        let what = What::Namespace(name.to_owned(), config::labels(manifest));
        self.file.items.push(Item { line, what });
    }

    /// The line of what `steps` lead to from `place`, or of the last thing on the way that is there.
    fn line(&self, place: &Place, steps: &[Segment]) -> u32 {
        if place.steps.is_empty() && steps.is_empty() {
            return place.line;
        }
        let Some(mut node) = self.root(place.line) else { return place.line };
        let mut line = place.line;
        for step in place.steps.iter().chain(steps) {
            let next = match step {
                Segment::Field(name) => node.entry(name).map(|(key, value)| (key.line, value)),
                Segment::Index(index) => {
                    node.as_sequence().and_then(|items| items.get(*index)).map(|item| (item.line, item))
                }
            };
            let Some((found, below)) = next else { break };
            (line, node) = (found, below);
        }
        line
    }

    /// The document that starts at this line. None where a later document is no YAML: then there are no places.
    fn root(&self, line: u32) -> Option<&Node> {
        let options = Options { max_depth: MAX_DEPTH, ..Options::default() };
        let nodes = self.nodes.get_or_init(|| parse_nodes(self.text, options).unwrap_or_default());
        nodes.iter().map(|document| &document.root).find(|root| root.line == line)
    }
}

/// The first problems of one thing, and how many more there are.
fn cut(all: impl ExactSizeIterator<Item = Found>) -> Vec<Found> {
    let more = all.len().saturating_sub(MAX_PROBLEMS);
    let mut first: Vec<Found> = all.take(MAX_PROBLEMS).collect();
    if more > 0 {
        let line = first.iter().map(|found| found.line).max().unwrap_or(0);
        first.push(Found { line, message: format!("and {more} more problems") });
    }
    first
}

fn field(name: &str) -> Segment {
    Segment::Field(name.to_owned())
}

/// Errors of several lines on one.
fn flat(error: &goyaml::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn mentions_secret(root: &Node) -> bool {
    let is_secret = |node: &Node| node.get("kind").and_then(Node::as_scalar) == Some("Secret");
    let mut found = false;
    root.visit(&mut |_, node| found |= is_secret(node));
    found
}

/// Namespace and name, after the namespace has been filled in where there is none.
fn default_namespace(manifest: &mut Map<String, Value>) -> Name {
    let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) else {
        return (DEFAULT_NAMESPACE.to_owned(), String::new());
    };
    let absent = matches!(metadata.get("namespace"), None | Some(Value::Null))
        || metadata.get("namespace").is_some_and(|namespace| namespace == "");
    if absent {
        metadata.insert("namespace".to_owned(), Value::String(DEFAULT_NAMESPACE.to_owned()));
    }
    let text = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}
