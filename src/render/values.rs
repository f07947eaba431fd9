//! Values of a HelmRelease: `valuesFrom` in list order, then inline `values`, as Flux composes them.
//!
//! `targetPath` is where it gets strange. The Flux docs say it overwrites everything before it; in fact the outcome
//! depends on which maps Go shares between the running result and the inline values (see fluxcd/pkg
//! `chartutil/merge.go`). The sharing is tracked here as a list of paths, so that the outcome is the same.

use helm_engine::values::{Map, Value, merge_maps, parse_yaml, strvals};

use super::hidden::HiddenTexts;

/// One resolved `valuesFrom` entry, in list order.
#[derive(Debug, Clone)]
pub struct ValuesReference {
    /// How messages name it: `ConfigMap chart values reference 'ns/name' with key 'values.yaml'`.
    pub described: String,
    /// The text found under the key.
    pub text: String,
    /// Where the text goes; `None` means the text is a YAML document of values.
    pub target_path: Option<String>,
    /// Take the text literally, without the `--set` grammar.
    pub literal: bool,
    /// The text is out of a Secret.
    pub secret: bool,
}

/// What a release is rendered with.
#[derive(Debug, Clone, Default)]
pub struct ComposedValues {
    /// The values.
    pub values: Map,
    /// Those of them that messages must not show.
    pub hidden: HiddenTexts,
}

/// Why values could not be composed; the text never holds a value.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The document under the key is not a map of values.
    #[error("could not resolve {described}: {reason}")]
    Parse {
        /// The reference.
        described: String,
        /// What the YAML reader said.
        reason: String,
    },
    /// The target path is not one.
    #[error("could not resolve {described}: unable to merge value from key into target path `{path}`")]
    TargetPath {
        /// The reference.
        described: String,
        /// The path as written.
        path: String,
    },
}

/// Composes the values of one release: references left to right, inline on top.
pub fn compose(references: &[ValuesReference], inline: Map) -> Result<ComposedValues, ValuesError> {
    let mut inline = inline;
    let mut result = Map::new();
    let mut hidden = HiddenTexts::default();
    for reference in references {
        match &reference.target_path {
            None => {
                let document = parse_document(reference)?;
                if reference.secret {
                    hidden.add_all(&document);
                }
                result = merge_maps(result, document);
            }
            Some(path) => {
                if reference.secret {
                    hidden.add(reference.text.trim_matches(['\'', '"']));
                }
                let (mut merged, shared) = merge_sharing(&result, &inline);
                set_path(&mut merged, path, reference)?;
                let mut touched = Map::new();
                set_path(&mut touched, path, reference)?;
                for place in shared {
                    if map_at(&touched, &place).is_some()
                        && let Some(changed) = map_at(&merged, &place)
                    {
                        let changed = changed.clone();
                        put_map(&mut inline, &place, changed);
                    }
                }
                result = merged;
            }
        }
    }
    Ok(ComposedValues { values: merge_maps(result, inline), hidden })
}

/// Helm's `ReadValues`, with its texts.
fn parse_document(reference: &ValuesReference) -> Result<Map, ValuesError> {
    let refuse = |reason: String| ValuesError::Parse { described: reference.described.clone(), reason };
    let found = match parse_yaml(&reference.text).map_err(|error| refuse(error.to_string()))? {
        Value::Map(map) => return Ok(map),
        Value::Null => return Ok(Map::new()),
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "number",
        Value::String(_) => "string",
        Value::List(_) => "array",
    };
    Err(refuse(format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type common.Values"
    )))
}

/// Flux's `ReplacePathValue`: quotes around the text make it a string, `literal` escapes the grammar away.
fn set_path(into: &mut Map, path: &str, reference: &ValuesReference) -> Result<(), ValuesError> {
    let text = reference.text.as_str();
    let quoted_by = |quote: char| text.len() >= 2 && text.starts_with(quote) && text.ends_with(quote);
    let outcome = if reference.literal {
        let mut escaped = String::with_capacity(text.len() + 8);
        for character in text.chars() {
            if matches!(character, '\\' | ',' | '[' | ']' | '{' | '}') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        strvals::parse_into_string(&format!("{path}={escaped}"), into)
    } else if quoted_by('\'') || quoted_by('"') {
        strvals::parse_into_string(&format!("{path}={}", text.trim_matches(['\'', '"'])), into)
    } else {
        strvals::parse_into(&format!("{path}={text}"), into)
    };
    outcome.map_err(|_| ValuesError::TargetPath {
        described: reference.described.clone(),
        path: path.to_owned(),
    })
}

/// Go's `MergeMaps(a, b)` and the paths of those maps which `a` lacked and which Go therefore shares with `b`.
fn merge_sharing(a: &Map, b: &Map) -> (Map, Vec<Vec<String>>) {
    fn walk(a: &Map, b: &Map, place: &mut Vec<String>, shared: &mut Vec<Vec<String>>) -> Map {
        let mut out = a.clone();
        for (key, theirs) in b {
            let merged = match (a.get(key), theirs) {
                (Some(Value::Map(ours)), Value::Map(theirs)) => {
                    place.push(key.clone());
                    let inner = walk(ours, theirs, place, shared);
                    place.pop();
                    Value::Map(inner)
                }
                (_, Value::Map(_)) => {
                    place.push(key.clone());
                    shared.push(place.clone());
                    place.pop();
                    theirs.clone()
                }
                _ => theirs.clone(),
            };
            out.insert(key.clone(), merged);
        }
        out
    }
    let mut shared = Vec::new();
    let out = walk(a, b, &mut Vec::new(), &mut shared);
    (out, shared)
}

fn map_at<'m>(map: &'m Map, place: &[String]) -> Option<&'m Map> {
    place.iter().try_fold(map, |inner, key| inner.get(key)?.as_map())
}

fn put_map(map: &mut Map, place: &[String], value: Map) {
    let Some((last, parents)) = place.split_last() else { return };
    let mut inner = map;
    for key in parents {
        match inner.get_mut(key) {
            Some(Value::Map(next)) => inner = next,
            _ => return,
        }
    }
    inner.insert(last.clone(), Value::Map(value));
}

#[cfg(test)]
mod tests {
    use helm_engine::values::map_to_json;
    use serde_json::{Value as Json, json};

    use super::*;

    fn document(yaml: &str) -> ValuesReference {
        ValuesReference {
            described: "ConfigMap chart values reference 'apps/values' with key 'values.yaml'".into(),
            text: yaml.into(),
            target_path: None,
            literal: false,
            secret: false,
        }
    }

    fn at(path: &str, text: &str) -> ValuesReference {
        ValuesReference { target_path: Some(path.into()), ..document(text) }
    }

    #[track_caller]
    fn check(references: &[ValuesReference], inline: Json, expect: Json) {
        let Value::Map(inline) = Value::from(inline) else { panic!("inline values are a map") };
        assert_eq!(map_to_json(&compose(references, inline).unwrap().values).to_string(), expect.to_string());
    }

    #[test]
    fn target_path_against_inline_values_as_flux_really_does_it() {
        check(&[at("a", "2")], json!({"a": 1}), json!({"a": 1}));
        check(&[at("n2.x", "2")], json!({"n2": {"x": 1}}), json!({"n2": {"x": 2}}));
        check(
            &[document("n2: {w: 9}"), at("n2.x", "2")],
            json!({"n2": {"x": 1}}),
            json!({"n2": {"x": 1, "w": 9}}),
        );
        check(
            &[at("n2.x", "2"), document("n2: {x: 3}")],
            json!({"n2": {"z": 1}}),
            json!({"n2": {"x": 2, "z": 1}}),
        );
        check(&[at("a", "2"), document("a: 3")], json!({}), json!({"a": 3}));
    }

    #[test]
    fn later_documents_win_and_lists_are_replaced() {
        check(
            &[document("a: {b: 1, l: [1, 2]}"), document("a: {c: 2, l: [3]}")],
            json!({"a": {"b": 5}}),
            json!({"a": {"b": 5, "c": 2, "l": [3]}}),
        );
    }

    #[test]
    fn quotes_and_literal_keep_text_a_string() {
        check(&[at("port", "8080")], json!({}), json!({"port": 8080}));
        check(&[at("port", "'8080'")], json!({}), json!({"port": "8080"}));
        check(
            &[ValuesReference { literal: true, ..at("list", "{a,b}") }],
            json!({}),
            json!({"list": "{a,b}"}),
        );
    }

    #[test]
    fn a_document_that_is_no_map_is_named_without_its_content() {
        let error = compose(&[document("- s3cret")], Map::new()).unwrap_err().to_string();
        assert_eq!(
            error,
            "could not resolve ConfigMap chart values reference 'apps/values' with key 'values.yaml': error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type common.Values"
        );
    }
}
