//! The three older kinds of patch: JSON (RFC 6902), merge (RFC 7396), strategic merge.

use serde_json::Value;

use crate::fields::{ListShape, item_key, list_shape};
use crate::status::{self, Failure};

pub(crate) fn json(object: &Value, patch: &[u8]) -> Result<Value, Failure> {
    let operations: json_patch::Patch = serde_json::from_slice(patch)
        .map_err(|error| status::bad_request(format!("error decoding patch: {error}")))?;
    let mut out = object.clone();
    json_patch::patch(&mut out, &operations).map_err(|error| {
        let mut refusal = status::bad_request(error.to_string());
        refusal.code = http::StatusCode::UNPROCESSABLE_ENTITY;
        refusal.body["code"] = Value::from(422);
        refusal.body["reason"] = Value::from("Invalid");
        refusal
    })?;
    Ok(out)
}

pub(crate) fn merge(object: &Value, patch: &Value) -> Value {
    let mut out = object.clone();
    json_patch::merge(&mut out, patch);
    out
}

/// Strategic merge: keyed lists merge item by item, `$patch: delete` removes, `$patch: replace` replaces.
pub(crate) fn strategic(object: &Value, patch: &Value) -> Value {
    strategic_in(object, patch, "", "")
}

fn strategic_in(base: &Value, over: &Value, parent: &str, field: &str) -> Value {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            if over.get("$patch").and_then(Value::as_str) == Some("replace") {
                let mut out = over.clone();
                out.remove("$patch");
                return Value::Object(out);
            }
            let mut out = base.clone();
            for (key, value) in over {
                if key.starts_with('$') {
                    continue;
                }
                if value.is_null() {
                    out.remove(key);
                    continue;
                }
                let merged = match base.get(key) {
                    Some(existing) => strategic_in(existing, value, field, key),
                    None => without_directives(value),
                };
                out.insert(key.clone(), merged);
            }
            Value::Object(out)
        }
        (Value::Array(base), Value::Array(over)) => match list_shape(parent, field) {
            ListShape::Keyed(keys) => {
                let keys = &keys[..1];
                let mut out = base.clone();
                for item in over {
                    let key = item_key(item, keys);
                    let deletes = item.get("$patch").and_then(Value::as_str) == Some("delete");
                    let place =
                        out.iter().position(|existing| key.is_some() && item_key(existing, keys) == key);
                    match (place, deletes) {
                        (Some(place), true) => {
                            out.remove(place);
                        }
                        (Some(place), false) => out[place] = strategic_in(&out[place], item, field, ""),
                        (None, true) => {}
                        (None, false) => out.push(without_directives(item)),
                    }
                }
                Value::Array(out)
            }
            ListShape::Set => {
                let mut out = base.clone();
                out.extend(over.iter().filter(|item| !base.contains(item)).cloned());
                Value::Array(out)
            }
            ListShape::Atomic => Value::Array(over.clone()),
        },
        _ => over.clone(),
    }
}

fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, value)| !key.starts_with('$') && !value.is_null())
                .map(|(key, value)| (key.clone(), without_directives(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}
