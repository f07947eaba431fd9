//! Label and field selectors.

use serde_json::Value;

use crate::status::{self, Failure};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    Equals(String, String),
    Differs(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// Both selectors of a list or watch request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

impl Selector {
    pub(crate) fn parse(labels: Option<&str>, fields: Option<&str>) -> Result<Self, Failure> {
        Ok(Self { labels: parse(labels.unwrap_or_default())?, fields: parse(fields.unwrap_or_default())? })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str().map(str::to_owned);
        let field = |key: &str| {
            let value = key.split('.').fold(object, |value, part| &value[part]);
            Some(match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            })
        };
        self.labels.iter().all(|requirement| requirement.holds(&label))
            && self.fields.iter().all(|requirement| requirement.holds(&field))
    }
}

impl Requirement {
    fn holds(&self, value_of: &dyn Fn(&str) -> Option<String>) -> bool {
        match self {
            Requirement::Equals(key, wanted) => value_of(key).as_ref() == Some(wanted),
            Requirement::Differs(key, wanted) => value_of(key).as_ref() != Some(wanted),
            Requirement::In(key, list) => value_of(key).is_some_and(|value| list.contains(&value)),
            Requirement::NotIn(key, list) => value_of(key).is_none_or(|value| !list.contains(&value)),
            Requirement::Exists(key) => value_of(key).is_some(),
            Requirement::Absent(key) => value_of(key).is_none(),
        }
    }
}

/// Splits at commas that stand outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0usize);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn parse(text: &str) -> Result<Vec<Requirement>, Failure> {
    let owned = |text: &str| text.trim().to_owned();
    split(text)
        .into_iter()
        .map(|part| {
            let list = |text: &str| -> Vec<String> {
                text.trim().trim_start_matches('(').trim_end_matches(')').split(',').map(owned).collect()
            };
            if let Some((key, values)) = part.split_once(" notin ") {
                Ok(Requirement::NotIn(owned(key), list(values)))
            } else if let Some((key, values)) = part.split_once(" in ") {
                Ok(Requirement::In(owned(key), list(values)))
            } else if let Some((key, value)) = part.split_once("!=") {
                Ok(Requirement::Differs(owned(key), owned(value)))
            } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                if value.contains('=') {
                    return Err(status::bad_request(format!(
                        "unable to parse requirement: found '=', expected: identifier in `{part}`"
                    )));
                }
                Ok(Requirement::Equals(owned(key), owned(value)))
            } else if let Some(key) = part.strip_prefix('!') {
                Ok(Requirement::Absent(owned(key)))
            } else if part.contains(' ') {
                Err(status::bad_request(format!("unable to parse requirement: {part}")))
            } else {
                Ok(Requirement::Exists(owned(part)))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_select() {
        let object = json!({"metadata": {"name": "x", "labels": {"owner": "helm", "name": "app"}}});
        for (selector, expect) in [
            ("owner=helm,name=app", true),
            ("owner==helm", true),
            ("owner!=helm", false),
            ("owner in (helm, flux)", true),
            ("owner notin (flux)", true),
            ("owner", true),
            ("!owner", false),
            ("missing", false),
            ("name=other", false),
        ] {
            assert_eq!(Selector::parse(Some(selector), None).unwrap().matches(&object), expect, "{selector}");
        }
        assert!(Selector::parse(None, Some("metadata.name=x")).unwrap().matches(&object));
        assert!(!Selector::parse(None, Some("metadata.name=y")).unwrap().matches(&object));
    }
}
