//! The JSON patch (RFC 6902) that makes one document of another, as wI2L/jsondiff writes it for Flux's drift detection.
//!
//! Pure. Lists are compared place by place, and many small operations become one `replace` of what they are in when that
//! is shorter.

use serde_json::Value;

/// One operation.
#[derive(Clone, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub verb: Verb,
    /// A JSON pointer.
    pub path: String,
    /// The new value; null for `Remove`.
    pub value: Value,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Puts a value where none was.
    Add,
    /// Puts a value in the place of another.
    Replace,
    /// Takes a value away.
    Remove,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Verb::Add => "add",
            Verb::Replace => "replace",
            Verb::Remove => "remove",
        }
    }
}

impl std::fmt::Debug for Operation {
    /// Without the value: it may be a Secret's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb.word(), self.path)
    }
}

impl Operation {
    /// As a patch holds it.
    pub(super) fn to_json(&self) -> Value {
        let mut json = serde_json::json!({ "op": self.verb.word(), "path": self.path });
        if self.verb != Verb::Remove {
            json["value"] = self.value.clone();
        }
        json
    }

    /// Its length in a patch. An `add` counts without its value, as in jsondiff.
    fn length(&self) -> usize {
        const FRAME: usize = r#"{"op":"","path":""}"#.len();
        const VALUE: usize = r#","value":"#.len();
        let value = match self.verb {
            Verb::Replace => VALUE + self.value.to_string().len(),
            Verb::Add => VALUE,
            Verb::Remove => 0,
        };
        FRAME + self.verb.word().len() + self.path.len() + value
    }
}

/// The operations that make `to` of `from`.
pub(super) fn between(from: &Value, to: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    compare(String::new(), from, to, &mut operations);
    operations
}

fn compare(path: String, from: &Value, to: &Value, out: &mut Vec<Operation>) {
    if from == to {
        return;
    }
    let begin = out.len();
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let mut keys: Vec<&String> = from.keys().chain(to.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = format!("{path}/{}", escaped(key));
                match (from.get(key), to.get(key)) {
                    (Some(from), Some(to)) => compare(path, from, to, out),
                    (Some(_), None) => out.push(Operation { verb: Verb::Remove, path, value: Value::Null }),
                    (None, Some(to)) => out.push(Operation { verb: Verb::Add, path, value: to.clone() }),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(from), Value::Array(to)) => {
            let both = from.len().min(to.len());
            for _ in both..from.len() {
                let path = format!("{path}/{both}");
                out.push(Operation { verb: Verb::Remove, path, value: Value::Null });
            }
            for (index, (from, to)) in from.iter().zip(to).enumerate() {
                compare(format!("{path}/{index}"), from, to, out);
            }
            for added in &to[both..] {
                out.push(Operation { verb: Verb::Add, path: format!("{path}/-"), value: added.clone() });
            }
        }
        _ => {
            out.push(Operation { verb: Verb::Replace, path, value: to.clone() });
            return;
        }
    }
    let several = out[begin..].iter().map(Operation::length).sum::<usize>() + (out.len() - begin - 1);
    let one = Operation { verb: Verb::Replace, path, value: to.clone() };
    if several > one.length() {
        out.truncate(begin);
        out.push(one);
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Takes away what a JSON pointer names; what is not there stays so.
pub(super) fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let Some(parent) = document.pointer_mut(parent) else { return };
    let last = last.replace("~1", "/").replace("~0", "~");
    match parent {
        Value::Object(fields) => drop(fields.remove(&last)),
        Value::Array(items) => {
            if let Ok(index) = last.parse::<usize>()
                && index < items.len()
            {
                items.remove(index);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(from: Value, to: Value) -> Vec<String> {
        let operations = between(&from, &to);
        let patch: Value = operations.iter().map(Operation::to_json).collect();
        let mut patched = from;
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();
        assert_eq!(patched, to, "the patch leads there");
        operations.iter().map(|operation| format!("{operation:?}")).collect()
    }

    #[test]
    fn fields_that_came_changed_and_went() {
        let long = "a value that is long enough for small operations to be worth their while, again and again and again and again";
        let from = json!({"keep": long, "change": 1, "go": true, "a/b": {"c~d": 1}});
        let to = json!({"keep": long, "change": 2, "come": [], "a/b": {"c~d": 2}});
        assert_eq!(told(from, to), ["replace /a~1b/c~0d", "replace /change", "add /come", "remove /go"]);
    }

    #[test]
    fn lists_are_compared_place_by_place() {
        let long = "x".repeat(200);
        assert_eq!(told(json!([long, 1, 2, 3]), json!([long, 5])), ["remove /2", "remove /2", "replace /1"]);
        assert_eq!(told(json!([long]), json!([long, 1, 2])), ["add /-", "add /-"]);
    }

    #[test]
    fn what_is_shorter_as_a_whole_is_replaced_as_a_whole() {
        let from = json!({"labels": {"a": "1", "b": "2", "c": "3"}, "other": "x".repeat(300)});
        let to = json!({"labels": {"a": "4", "b": "5", "c": "6"}, "other": "x".repeat(300)});
        assert_eq!(told(from, to), ["replace /labels"]);
    }

    #[test]
    fn what_a_pointer_names_is_taken_away() {
        let mut document = json!({"spec": {"replicas": 1, "a/b": 2, "list": [1, 2]}});
        for pointer in ["/spec/replicas", "/spec/a~1b", "/spec/list/0", "/spec/list/7", "/nowhere/x", ""] {
            remove(&mut document, pointer);
        }
        assert_eq!(document, json!({"spec": {"list": [2]}}));
    }
}
