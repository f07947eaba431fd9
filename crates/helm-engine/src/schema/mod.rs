//! `values.schema.json`: whether values meet it, said in Helm's words.
//!
//! Schemas are compiled once with the chart. Remote schemas are never fetched here: who loads a
//! chart may ask for their addresses and hand their text in.

mod format;
mod text;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use boon::{Compiler, SchemaIndex, Schemas, UrlLoader};
use serde_json::Value;

use crate::chart::dependencies::Tree;

/// The address Helm gives a chart's own schema.
const OWN_URL: &str = "file:///values.schema.json";

/// Texts of remote schemas by their addresses.
pub type RemoteSchemas = BTreeMap<String, Arc<[u8]>>;

/// References times depth of values that are checked on the caller's stack.
const SHALLOW: usize = 100;

/// References times depth of values that are checked at all: each step may take stack.
const DEEPEST: usize = 65_536;

/// Stack for one such step, with much to spare.
const STEP: usize = 16 << 10;

/// A schema ready to use, or why it is not.
#[derive(Debug)]
pub(crate) struct Schema(Result<Compiled, String>);

struct Compiled {
    /// How often the texts say `$ref` or its like: no chain of references is longer.
    references: usize,
    schemas: Schemas,
    index: SchemaIndex,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

/// Hands out the remote schemas that were given and notes those that were not.
struct Remote {
    known: RemoteSchemas,
    missing: Arc<Mutex<BTreeSet<String>>>,
}

impl UrlLoader for Remote {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        if let Some(text) = self.known.get(url) {
            return Ok(serde_json::from_slice(text)?);
        }
        if url.starts_with("urn:") {
            return Ok(Value::Bool(true));
        }
        if url.starts_with("file:") {
            let path = url.trim_start_matches("file://");
            return Err(format!("open {path}: no such file or directory").into());
        }
        if let Ok(mut missing) = self.missing.lock() {
            missing.insert(url.to_owned());
        }
        Err("remote schemas are not fetched".into())
    }
}

fn compile(text: &[u8], remote: &RemoteSchemas) -> (Result<Compiled, String>, BTreeSet<String>) {
    let missing = Arc::new(Mutex::new(BTreeSet::new()));
    let compiled = (|| {
        let schema: Value = serde_json::from_slice(text).map_err(|error| text::json_error(&error))?;
        let mut compiler = Compiler::new();
        format::register(&mut compiler);
        compiler.use_loader(Box::new(Remote { known: remote.clone(), missing: missing.clone() }));
        compiler.add_resource(OWN_URL, schema).map_err(|error| text::compile_error(&error))?;
        let mut schemas = Schemas::new();
        let index = compiler.compile(OWN_URL, &mut schemas).map_err(|error| text::compile_error(&error))?;
        let all = || remote.values().map(AsRef::as_ref).chain([text]);
        let references = all()
            .map(|text| {
                memchr::memmem::find_iter(text, b"Ref\"").count()
                    + memchr::memmem::find_iter(text, b"$ref\"").count()
            })
            .sum();
        Ok(Compiled { references, schemas, index })
    })();
    let missing = missing.lock().map(|missing| missing.clone()).unwrap_or_default();
    (compiled, missing)
}

/// Addresses a schema refers to that are not among `remote`; loading those may show more.
pub(crate) fn missing_remotes(schema: &[u8], remote: &RemoteSchemas) -> BTreeSet<String> {
    compile(schema, remote).1
}

impl Schema {
    pub(crate) fn new(text: &[u8], remote: &RemoteSchemas) -> Self {
        Self(compile(text, remote).0)
    }

    fn check(&self, values: &Value) -> Result<(), String> {
        let compiled = self.0.as_ref().map_err(Clone::clone)?;
        let validate = || {
            let checked = compiled.schemas.validate(values, compiled.index);
            checked.map_err(|error| text::validation_error(&error, values))
        };
        let steps = compiled.references.saturating_mul(depth(values) + 1);
        if steps <= SHALLOW {
            return validate();
        }
        if steps > DEEPEST {
            return Err("the schema has too many references for values nested this deep\n".to_owned());
        }
        // The library recurses along references.
        let stack = (steps * STEP).max(4 << 20);
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, validate);
            match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(checked)) => checked,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(error) => Err(format!("the schema cannot be checked: {error}\n")),
            }
        })
    }
}

/// How deep a value is nested; YAML and JSON bound it.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Values that do not meet the schemas of one or several charts; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("values don't meet the specifications of the schema(s) in the following chart(s):\n{0}")]
pub struct SchemaError(pub String);

/// Checks a chart's values and, below them, its subcharts'.
pub(crate) fn validate(tree: &Tree, values: &Value) -> Result<(), SchemaError> {
    let mut problems = String::new();
    collect(tree, values, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(SchemaError(problems)) }
}

fn collect(tree: &Tree, values: &Value, problems: &mut String) {
    if let Some(Err(problem)) = tree.source.schema.as_ref().map(|schema| schema.check(values)) {
        write!(problems, "{}:\n{problem}", tree.metadata.name).expect("writing to memory cannot fail");
    }
    for child in &tree.children {
        match values.get(&child.metadata.name) {
            None | Some(Value::Null) => {}
            Some(below @ Value::Object(_)) => collect(child, below, problems),
            Some(other) => {
                let go_type = match other {
                    Value::Bool(_) => "bool",
                    Value::Number(_) => "float64",
                    Value::String(_) => "string",
                    Value::Null | Value::Array(_) | Value::Object(_) => "[]interface {}",
                };
                let name = &child.metadata.name;
                writeln!(problems, "{name}:\ninvalid type for values: expected object (map), got {go_type}")
                    .expect("writing to memory cannot fail");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_helms() {
        let prefix = "values don't meet the specifications of the schema(s) in the following chart(s):\nc:\n";
        let mut wrong = Vec::new();
        for line in include_str!("../../tests/data/schema.jsonl").lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let mut values = case["values"].clone();
            if values.get("global").is_none()
                && case["error"].as_str().is_some_and(|error| error.contains("global"))
            {
                values["global"] = serde_json::json!({});
            }
            let schema = Schema::new(case["schema"].as_str().unwrap().as_bytes(), &RemoteSchemas::new());
            let found = schema.check(&values).err();
            let expected = case["error"].as_str().map(|error| error.strip_prefix(prefix).unwrap());
            if found.as_deref() != expected {
                wrong.push(format!("{}\n  helm: {expected:?}\n  here: {found:?}", case["schema"]));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn remote_schemas_are_named_and_taken() {
        let text = br#"{"properties":{"a":{"$ref":"https://example.com/a.json"}}}"#;
        let missing = missing_remotes(text, &RemoteSchemas::new());
        assert_eq!(missing.into_iter().collect::<Vec<_>>(), ["https://example.com/a.json"]);
        let remote: RemoteSchemas =
            [("https://example.com/a.json".to_owned(), Arc::from(&br#"{"type":"string"}"#[..]))].into();
        assert!(missing_remotes(text, &remote).is_empty());
        let found = Schema::new(text, &remote).check(&serde_json::json!({"a": 1})).unwrap_err();
        assert_eq!(found, "- at '/a': got number, want string\n");
    }
}
