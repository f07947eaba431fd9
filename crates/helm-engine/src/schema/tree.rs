//! The tree of a failed validation as Go's library builds it.
//!
//! The Rust library leaves `allOf`, `anyOf` and `oneOf` out when only one thing is wrong below
//! them, and the place of a wrong property name. Both can be told from the schema's address.

use boon::{ErrorKind, ValidationError};
use serde_json::Value;

use super::text::message;

/// One line of the error and what is below it.
#[derive(Debug)]
pub(super) struct Problem {
    /// Where in the values, as a JSON pointer; none for the line that names the schema.
    pub(super) location: Option<String>,
    pub(super) text: String,
    /// A `$ref`, which is not shown above a single cause.
    pub(super) reference: bool,
    pub(super) causes: Vec<Problem>,
}

impl Problem {
    pub(super) fn new(error: &ValidationError<'_, '_>, values: Option<&Value>) -> Self {
        build(error, &[], values)
    }
}

/// Something between two nodes of the Rust library's tree that Go's has and it has not.
struct Wrapper {
    text: String,
    /// How many steps into the values lie between the upper node and this one.
    depth: usize,
}

fn build(error: &ValidationError<'_, '_>, above: &[String], values: Option<&Value>) -> Problem {
    let mut steps = pointer(&error.instance_location.to_string());
    if let ErrorKind::PropertyName { prop } = &error.kind
        && steps.is_empty()
    {
        steps = holder_of(prop, values).unwrap_or_else(|| above.to_vec());
    }
    let base = match &error.kind {
        ErrorKind::Schema { url } | ErrorKind::Reference { url, .. } => url,
        _ => error.schema_url,
    };
    let group = match &error.kind {
        ErrorKind::AllOf => Some("allOf"),
        ErrorKind::AnyOf => Some("anyOf"),
        ErrorKind::OneOf(None) => Some("oneOf"),
        _ => None,
    };
    let causes = error
        .causes
        .iter()
        .map(|cause| {
            let mut problem = build(cause, &steps, values);
            let wrappers = wrappers(base, cause.schema_url, group);
            for wrapper in wrappers.iter().rev() {
                let place = pointer(&cause.instance_location.to_string());
                let depth = (steps.len() + wrapper.depth).min(place.len());
                problem = Problem {
                    location: Some(joined(&place[..depth])),
                    text: wrapper.text.clone(),
                    reference: false,
                    causes: vec![problem],
                };
            }
            problem
        })
        .collect();
    let location = match error.kind {
        ErrorKind::Schema { .. } => None,
        _ => Some(joined(&steps)),
    };
    let reference = matches!(error.kind, ErrorKind::Reference { .. });
    Problem { location, text: message(&error.kind), reference, causes }
}

/// What lies between the schema at `base` and the one at `url`; `group` is the keyword that the
/// upper node already stands for.
fn wrappers(base: &str, url: &str, group: Option<&str>) -> Vec<Wrapper> {
    let fragment =
        |url: &str| url.split_once('#').map(|(_, fragment)| fragment.to_owned()).unwrap_or_default();
    let (base, url) = (fragment(base), fragment(url));
    let Some(rest) = url.strip_prefix(base.as_str()) else { return Vec::new() };
    let mut tokens = rest.split('/').skip(1).peekable();
    let mut found = Vec::new();
    let mut depth = 0;
    let mut known = group;
    while let Some(keyword) = tokens.next() {
        match keyword {
            "properties" | "patternProperties" => {
                tokens.next();
                depth += 1;
            }
            "dependentSchemas" | "dependencies" => {
                tokens.next();
            }
            "items" | "prefixItems" => {
                tokens.next_if(|token| token.bytes().all(|b| b.is_ascii_digit()));
                depth += 1;
            }
            "additionalProperties"
            | "unevaluatedProperties"
            | "additionalItems"
            | "unevaluatedItems"
            | "contains" => {
                depth += 1;
            }
            "allOf" | "anyOf" | "oneOf" => {
                tokens.next();
                if known != Some(keyword) {
                    let kind = match keyword {
                        "allOf" => ErrorKind::AllOf,
                        "anyOf" => ErrorKind::AnyOf,
                        _ => ErrorKind::OneOf(None),
                    };
                    found.push(Wrapper { text: message(&kind), depth });
                }
            }
            _ => {}
        }
        known = None;
    }
    found
}

fn pointer(location: &str) -> Vec<String> {
    location.split('/').skip(1).map(str::to_owned).collect()
}

fn joined(steps: &[String]) -> String {
    steps.iter().map(|step| format!("/{step}")).collect()
}

/// The first object, in the order of keys, that has a property of that name.
fn holder_of(property: &str, values: Option<&Value>) -> Option<Vec<String>> {
    fn search(property: &str, value: &Value, steps: &mut Vec<String>) -> bool {
        let mut below = |step: String, value: &Value| {
            steps.push(step);
            let found = search(property, value, steps);
            if !found {
                steps.pop();
            }
            found
        };
        match value {
            Value::Object(map) if map.contains_key(property) => true,
            Value::Object(map) => {
                map.iter().any(|(key, value)| below(key.replace('~', "~0").replace('/', "~1"), value))
            }
            Value::Array(items) => items.iter().enumerate().any(|(at, item)| below(at.to_string(), item)),
            _ => false,
        }
    }
    let mut steps = Vec::new();
    search(property, values?, &mut steps).then_some(steps)
}
