//! Keeps values that came out of Secrets out of what people read: a chart's `fail` may print any of them.
//!
//! It knows texts, not where they came from, and leaves short ones alone: hiding `on` or `8080` would tear holes into
//! ordinary words.

use std::fmt;

use helm_engine::values::{Map, Value};

/// What stands in for a value, as in Flux's diffs.
const MASK: &str = "***";

/// Texts shorter than this are no secrets.
const SHORTEST: usize = 6;

/// Texts that messages must not show.
#[derive(Clone, Default)]
pub struct HiddenTexts(Vec<String>);

impl HiddenTexts {
    /// Hides a text, and each of its lines.
    pub fn add(&mut self, text: &str) {
        for part in std::iter::once(text).chain(text.lines()).map(str::trim) {
            if part.len() >= SHORTEST && !self.0.iter().any(|known| known == part) {
                self.0.push(part.to_owned());
            }
        }
        // A text may hold another one.
        self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
    }

    /// Hides every text within these values.
    pub fn add_all(&mut self, values: &Map) {
        values.values().for_each(|value| self.add_value(value));
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Int(_) | Value::Float(_) => self.add(&value.to_json().to_string()),
            Value::List(items) => items.iter().for_each(|item| self.add_value(item)),
            Value::Map(map) => self.add_all(map),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// `text` without what is hidden.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, hidden| {
            if text.contains(hidden.as_str()) { text.replace(hidden.as_str(), MASK) } else { text }
        })
    }
}

impl fmt::Debug for HiddenTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HiddenTexts({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h70_s22_values_from_secrets_are_masked_and_short_ones_left() {
        let mut hidden = HiddenTexts::default();
        let Value::Map(values) = Value::from(serde_json::json!({
            "password": "hunter2-hunter2", "list": ["canary"], "port": 8080, "pin": 12345678, "on": "true",
        })) else {
            panic!("a table")
        };
        hidden.add_all(&values);
        hidden.add("first line of a key\nsecond line of a key\n");
        assert_eq!(
            hidden.mask("fail: hunter2-hunter2, canary, 12345678, second line of a key; 8080 is true"),
            "fail: ***, ***, ***, ***; 8080 is true"
        );
        assert_eq!(format!("{hidden:?}"), "HiddenTexts(6)");
    }
}
