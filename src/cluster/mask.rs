//! Keeps the values of a Secret out of texts: the API server quotes what it refuses.
//!
//! Two nets: patterns in which the server quotes values, and the values of the object that was sent, plain and
//! base64. Names of keys stay readable.

use std::sync::LazyLock;

use base64::Engine as _;
use regex::{Captures, Regex};
use serde_json::Value;

/// What stands in for a value, as in Flux's diffs.
pub(crate) const MASK: &str = "***";

/// Shorter values would tear holes into ordinary words; the patterns catch those.
const SHORTEST: usize = 4;

static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?s)(Invalid value: |Unsupported value: |Duplicate value: |Value:\s*)("(?:[^"\\]|\\.)*"|[^\s,}\]]+)"#)
        .expect("the pattern is constant")
});

/// The values that must not appear in a text about this object.
pub(crate) struct SecretValues(Vec<String>);

impl SecretValues {
    /// The values under `data` and `stringData` of a Secret.
    pub(crate) fn of(object: &Value) -> Self {
        let mut values = Vec::new();
        for field in ["data", "stringData"] {
            for value in object.get(field).and_then(Value::as_object).into_iter().flat_map(|m| m.values()) {
                match value {
                    Value::String(text) => {
                        if let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(text)
                            && let Ok(decoded) = String::from_utf8(decoded)
                        {
                            values.push(decoded);
                        }
                        values.push(base64::engine::general_purpose::STANDARD.encode(text));
                        values.push(text.clone());
                    }
                    Value::Null => {}
                    other => values.push(other.to_string()),
                }
            }
        }
        values.retain(|v| v.len() >= SHORTEST);
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        values.dedup();
        Self(values)
    }

    /// `text` without the values.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut text =
            QUOTED.replace_all(text, |found: &Captures<'_>| format!("{}{MASK}", &found[1])).into_owned();
        for value in &self.0 {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), MASK);
            }
            // A multi-line value is quoted with escapes.
            let escaped = value.escape_default().to_string();
            if escaped != *value && text.contains(&escaped) {
                text = text.replace(&escaped, MASK);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn f8_s22_values_of_a_secret_never_reach_a_text() {
        let secret = json!({
            "kind": "Secret",
            "data": {"password": "aHVudGVyMg==", "n": 12345, "short": "YQ=="},
            "stringData": {"pem": "-----BEGIN\nabc"},
        });
        let values = SecretValues::of(&secret);
        let texts = [
            (r#"data[x]: Invalid value: "hunter2": bad"#, r"data[x]: Invalid value: ***: bad"),
            ("illegal base64 in aHVudGVyMg== at 3", "illegal base64 in *** at 3"),
            (
                "expected string, got &value.valueUnstructured{Value:12345}",
                "expected string, got &value.valueUnstructured{Value:***}",
            ),
            (
                "expected string, got &value.valueUnstructured{Value:7}",
                "expected string, got &value.valueUnstructured{Value:***}",
            ),
            ("plain hunter2 here", "plain *** here"),
            (r"escaped -----BEGIN\nabc here", "escaped *** here"),
            (
                r#"type: Invalid value: "a \" b": field is immutable"#,
                "type: Invalid value: ***: field is immutable",
            ),
            (
                r#"Secret "a" is invalid: metadata.labels: no"#,
                r#"Secret "a" is invalid: metadata.labels: no"#,
            ),
        ];
        for (text, expected) in texts {
            assert_eq!(values.hide(text), expected);
        }
    }
}
