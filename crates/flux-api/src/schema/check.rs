//! Walks a value beside its schema and writes down what does not fit.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use regex::Regex;
use serde_json::{Map, Value};

use super::node::{Form, List, Node, Object, Text};
use crate::duration::GoDuration;
use crate::meta::path_problem;
use crate::problem::{Path, Problem};

pub(crate) fn check(node: &Node, value: &Value, path: &mut Path, problems: &mut Vec<Problem>) {
    let wants = match node {
        Node::Any => return,
        Node::Object(schema) => match value {
            Value::Object(map) => return object(schema, map, path, problems),
            _ => "object",
        },
        Node::AnyObject => match value {
            Value::Object(_) => return,
            _ => "object",
        },
        Node::Map(item) => match value {
            Value::Object(map) => {
                for (key, value) in map {
                    path.push_field(key);
                    check(item, value, path, problems);
                    path.pop();
                }
                return;
            }
            _ => "object",
        },
        Node::List(schema) => match value {
            Value::Array(items) => return list(schema, items, path, problems),
            _ => "array",
        },
        Node::Text(schema) => match value {
            Value::String(value) => return text(schema, value, path, problems),
            _ => "string",
        },
        Node::Bool => match value {
            Value::Bool(_) => return,
            _ => "boolean",
        },
        Node::Int { min } => match whole(value) {
            Some(number) => {
                if let Some(min) = min.filter(|min| number < *min) {
                    let reason = format!(
                        "Invalid value: {number}: {path} in body should be greater than or equal to {min}"
                    );
                    problems.push(Problem::new(path.clone(), reason));
                }
                return;
            }
            None => "integer",
        },
    };
    let found = type_name(value);
    let reason = format!("Invalid value: {found:?}: {path} in body must be of type {wants}: {found:?}");
    problems.push(Problem::new(path.clone(), reason));
}

fn object(schema: &Object, map: &Map<String, Value>, path: &mut Path, problems: &mut Vec<Problem>) {
    let before = problems.len();
    for field in &schema.fields {
        path.push_field(field.name);
        match map.get(field.name) {
            None if field.required && !field.defaulted => {
                problems.push(Problem::new(path.clone(), "Required value"));
            }
            None => {}
            Some(Value::Null) if field.defaulted => {}
            Some(value) => check(&field.node, value, path, problems),
        }
        path.pop();
    }
    for name in map.keys() {
        if !schema.fields.iter().any(|field| field.name == name) {
            path.push_field(name);
            problems.push(Problem::unknown(path.clone()));
            path.pop();
        }
    }
    if problems.len() == before {
        for rule in &schema.rules {
            if !(rule.kept)(map) {
                problems
                    .push(Problem::new(path.clone(), format!("Invalid value: \"object\": {}", rule.message)));
            }
        }
    }
}

fn list(schema: &List, items: &[Value], path: &mut Path, problems: &mut Vec<Problem>) {
    if items.len() < schema.min {
        let reason = format!(
            "Invalid value: {}: {path} in body should have at least {} items",
            items.len(),
            schema.min
        );
        problems.push(Problem::new(path.clone(), reason));
    }
    if let Some(max) = schema.max.filter(|max| items.len() > *max) {
        let reason = format!("Too many: {}: must have at most {max} items", items.len());
        problems.push(Problem::new(path.clone(), reason));
    }
    for (index, value) in items.iter().enumerate() {
        path.push_index(index);
        check(&schema.item, value, path, problems);
        path.pop();
    }
}

fn text(schema: &Text, value: &str, path: &Path, problems: &mut Vec<Problem>) {
    let shown = shorten(value);
    let mut fail = |reason: String| problems.push(Problem::new(path.clone(), reason));
    if let Some(words) = schema.words
        && !words.contains(&value)
    {
        let supported: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        return fail(format!("Unsupported value: {shown:?}: supported values: {}", supported.join(", ")));
    }
    let length = value.chars().count();
    if length < schema.min {
        return fail(format!(
            "Invalid value: {shown:?}: {path} in body should be at least {} chars long",
            schema.min
        ));
    }
    if let Some(max) = schema.max.filter(|max| length > *max) {
        return fail(format!("Too long: may not be more than {max} bytes"));
    }
    if let Some(pattern) = schema.pattern
        && !matches(pattern, value)
    {
        return fail(format!("Invalid value: {shown:?}: {path} in body should match '{pattern}'"));
    }
    let problem = match schema.form {
        Form::Plain => None,
        Form::Duration => value.parse::<GoDuration>().err().map(|error| shorten(&error.to_string())),
        Form::Path => path_problem(value).map(str::to_owned),
        Form::FileName => value.contains('\0').then(|| "must not contain a NUL character".to_owned()),
    };
    if let Some(problem) = problem {
        fail(format!("Invalid value: {shown:?}: {problem}"));
    }
}

/// Patterns come from our own tables, so there are a dozen of them, each compiled once.
fn matches(pattern: &'static str, value: &str) -> bool {
    static COMPILED: OnceLock<Mutex<HashMap<&'static str, Regex>>> = OnceLock::new();
    let compiled = COMPILED.get_or_init(Mutex::default);
    let regex = compiled
        .lock()
        .expect("held only to look up or insert")
        .entry(pattern)
        .or_insert_with(|| Regex::new(pattern).expect("the tables hold valid patterns"))
        .clone();
    regex.is_match(value)
}

/// Values repeated in messages end up in statuses, chats and logs: a hundred characters are enough to know them by,
/// and a password in a URL is not repeated at all.
fn shorten(value: &str) -> String {
    const SHOWN: usize = 100;
    let masked = match value.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            rest[..end].rfind('@').map(|at| format!("{scheme}://***{}", &rest[at..]))
        }
        None => None,
    };
    let value = masked.as_deref().unwrap_or(value);
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}

/// The number as the API server takes it where an integer is wanted.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        // To the API server 3.0 is an integer.
        let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9.0e15)?;
        Some(number as i64)
    })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
