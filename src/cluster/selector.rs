//! Which objects a rule is for: Flux's selectors of kinds, names, labels and annotations.
//!
//! Pure. Mirrors `SelectorRegex` of fluxcd/pkg `ssa/jsondiff`: every field is an anchored regular expression.

use regex::Regex;
use serde_json::Value;

use super::object::ObjectId;

/// What is selected, as written; an empty field is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The API group.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// A label selector.
    pub labels: String,
    /// A selector over annotations.
    pub annotations: String,
}

/// A selection that is ready to be asked.
pub(super) struct Selector {
    fields: Vec<(Field, Regex)>,
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

#[derive(Clone, Copy)]
enum Field {
    Group,
    Version,
    Kind,
    Name,
    Namespace,
}

impl Selector {
    /// Compiles a selection; the error says what is wrong with it.
    pub(super) fn new(selection: &Selection) -> Result<Self, String> {
        let mut fields = Vec::new();
        for (field, text) in [
            (Field::Group, &selection.group),
            (Field::Version, &selection.version),
            (Field::Kind, &selection.kind),
            (Field::Name, &selection.name),
            (Field::Namespace, &selection.namespace),
        ] {
            if !text.is_empty() {
                let regex = Regex::new(&format!("^(?:{text})$"))
                    .map_err(|error| format!("`{text}` is no regular expression: {error}"))?;
                fields.push((field, regex));
            }
        }
        Ok(Self {
            fields,
            labels: requirements(&selection.labels)?,
            annotations: requirements(&selection.annotations)?,
        })
    }

    /// Whether an object is meant.
    pub(super) fn matches(&self, id: &ObjectId, metadata: &Value) -> bool {
        let fits = |(field, regex): &(Field, Regex)| {
            regex.is_match(match field {
                Field::Group => &id.group,
                Field::Version => &id.version,
                Field::Kind => &id.kind,
                Field::Name => &id.name,
                Field::Namespace => id.namespace_or_empty(),
            })
        };
        let all = |wanted: &[Requirement], map: &Value| {
            wanted.iter().all(|one| one.holds(map.get(&one.key).and_then(Value::as_str)))
        };
        self.fields.iter().all(fits)
            && all(&self.labels, &metadata["labels"])
            && all(&self.annotations, &metadata["annotations"])
    }
}

/// One part of a label selector.
struct Requirement {
    key: String,
    test: Test,
}

enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.iter().any(|other| other == value)),
            Test::NotIn(values) => !value.is_some_and(|value| values.iter().any(|other| other == value)),
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
        }
    }
}

/// Reads `a=b,c!=d,e in (f,g),h,!i`.
fn requirements(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parts = Vec::new();
    let (mut depth, mut begin) = (0_u32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(requirement).collect()
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let of = |key: &str, test: Test| {
        let key = key.trim();
        let is_key = !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || "=!()".contains(c));
        let refusal = || format!("`{part}` is no part of a label selector");
        is_key.then(|| Requirement { key: key.to_owned(), test }).ok_or_else(refusal)
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    let listed = |text: &str| -> Option<Vec<String>> {
        let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    if let Some(key) = part.strip_prefix('!') {
        return of(key, Test::Missing);
    }
    for (word, negated) in [(" notin ", true), (" in ", false)] {
        if let Some((key, values)) = part.split_once(word)
            && let Some(values) = listed(values)
        {
            return of(key, if negated { Test::NotIn(values) } else { Test::In(values) });
        }
    }
    if let Some((key, value)) = part.split_once("!=") {
        return of(key, Test::NotIn(one(value)));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return of(key, Test::In(one(value)));
    }
    of(part, Test::Exists)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(edit: impl FnOnce(&mut Selection)) -> bool {
        let mut selection = Selection::default();
        edit(&mut selection);
        let id = ObjectId::new("apps/v1", "Deployment", "shop", "web-1");
        let metadata = json!({"labels": {"app": "web", "tier": "front"}, "annotations": {"note": "x y"}});
        Selector::new(&selection).unwrap().matches(&id, &metadata)
    }

    #[test]
    fn fields_are_anchored_regular_expressions() {
        assert!(selects(|_| {}));
        assert!(selects(|s| s.kind = "Deployment".into()));
        assert!(selects(|s| s.name = "web-[0-9]".into()));
        assert!(!selects(|s| s.name = "web".into()));
        assert!(selects(|s| s.group = "apps|batch".into()));
        assert!(!selects(|s| s.namespace = "sho".into()));
        assert!(Selector::new(&Selection { name: "(".into(), ..Selection::default() }).is_err());
    }

    #[test]
    fn labels_and_annotations_are_selected_as_kubectl_does() {
        for (selector, expected) in [
            ("app=web", true),
            ("app==web,tier in (front, back)", true),
            ("app!=web", false),
            ("missing!=x", true),
            ("tier notin (back)", true),
            ("app", true),
            ("!app", false),
            ("!missing,app", true),
            ("tier in (back)", false),
        ] {
            assert_eq!(selects(|s| s.labels = selector.into()), expected, "{selector}");
        }
        assert!(selects(|s| s.annotations = "note=x y".into()));
        assert!(Selector::new(&Selection { labels: "a b".into(), ..Selection::default() }).is_err());
    }
}
