//! Field sets of server-side apply: which leaves of an object a manager owns, in the `FieldsV1` shape.
//!
//! There is no schema here; which lists are keyed or sets and which maps are atomic is told by the field's name, which
//! holds for the built-in types (see the `x-kubernetes-list-type` marks of Kubernetes' OpenAPI). Everything else in a
//! list is atomic, as in a custom resource without marks.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A tree of owned fields. A node without children is an owned leaf; `own` marks an owned inner node (`"."`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) own: bool,
    pub(crate) children: BTreeMap<String, Fields>,
}

/// How a list is merged.
pub(crate) enum ListShape {
    Atomic,
    Set,
    Keyed(&'static [&'static str]),
}

/// The shape of the list under `field`, whose parent field is `parent`.
pub(crate) fn list_shape(parent: &str, field: &str) -> ListShape {
    match (parent, field) {
        (
            _,
            "containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes" | "imagePullSecrets",
        ) => ListShape::Keyed(&["name"]),
        ("spec", "ports") => ListShape::Keyed(&["port", "protocol"]),
        (_, "ports") => ListShape::Keyed(&["containerPort", "protocol"]),
        (_, "volumeMounts") => ListShape::Keyed(&["mountPath"]),
        (_, "volumeDevices") => ListShape::Keyed(&["devicePath"]),
        (_, "conditions") => ListShape::Keyed(&["type"]),
        (_, "ownerReferences") => ListShape::Keyed(&["uid"]),
        (_, "hostAliases") => ListShape::Keyed(&["ip"]),
        (_, "topologySpreadConstraints") => ListShape::Keyed(&["topologyKey", "whenUnsatisfiable"]),
        (_, "webhooks") => ListShape::Keyed(&["name"]),
        ("", "secrets") => ListShape::Keyed(&["name"]),
        ("metadata", "finalizers") => ListShape::Set,
        _ => ListShape::Atomic,
    }
}

/// Maps that one manager owns as a whole.
fn is_atomic_map(parent: &str, field: &str) -> bool {
    matches!(
        field,
        "selector"
            | "labelSelector"
            | "podSelector"
            | "namespaceSelector"
            | "nodeSelector"
            | "fieldRef"
            | "configMapKeyRef"
            | "secretKeyRef"
            | "resourceFieldRef"
            | "scaleTargetRef"
    ) || (parent == "rules" && field == "backend")
}

/// The `k:{…}` element of one item of a keyed list; a missing `protocol` counts as TCP, as the defaults make it.
pub(crate) fn item_key(item: &Value, keys: &[&str]) -> Option<String> {
    let mut parts = Map::new();
    for key in keys {
        let value = match item.get(*key) {
            Some(value) => value.clone(),
            None if *key == "protocol" => Value::from("TCP"),
            None => return None,
        };
        parts.insert((*key).to_owned(), value);
    }
    Some(format!("k:{}", Value::Object(parts)))
}

impl Fields {
    fn leaf() -> Self {
        Self::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.own && self.children.is_empty()
    }

    /// The fields an object sets, without those that no manager owns.
    pub(crate) fn of(object: &Value) -> Self {
        let mut set = Self::default();
        let Some(map) = object.as_object() else { return set };
        for (key, value) in map {
            match key.as_str() {
                "apiVersion" | "kind" => {}
                "metadata" => {
                    let metadata = Self::of_metadata(value);
                    if !metadata.children.is_empty() {
                        set.children.insert("f:metadata".to_owned(), metadata);
                    }
                }
                _ => {
                    set.children.insert(format!("f:{key}"), Self::of_value(value, "", key));
                }
            }
        }
        set
    }

    fn of_metadata(metadata: &Value) -> Self {
        let mut set = Self::default();
        for (key, value) in metadata.as_object().into_iter().flatten() {
            if matches!(key.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences") {
                set.children.insert(format!("f:{key}"), Self::of_value(value, "metadata", key));
            }
        }
        set
    }

    fn of_value(value: &Value, parent: &str, field: &str) -> Self {
        match value {
            Value::Object(map) if !map.is_empty() && !is_atomic_map(parent, field) => Self {
                own: false,
                children: map
                    .iter()
                    .map(|(key, value)| (format!("f:{key}"), Self::of_value(value, field, key)))
                    .collect(),
            },
            Value::Array(items) if !items.is_empty() => match list_shape(parent, field) {
                ListShape::Atomic => Self::leaf(),
                ListShape::Set => Self {
                    own: false,
                    children: items.iter().map(|item| (format!("v:{item}"), Self::leaf())).collect(),
                },
                ListShape::Keyed(keys) => {
                    let mut children = BTreeMap::new();
                    for item in items {
                        let Some(key) = item_key(item, keys) else { return Self::leaf() };
                        let mut inner = Self::of_value(item, field, "");
                        inner.own = true;
                        children.insert(key, inner);
                    }
                    Self { own: false, children }
                }
            },
            _ => Self::leaf(),
        }
    }

    /// The JSON of `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.own {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (key, child) in &self.children {
            map.insert(key.clone(), child.to_json());
        }
        Value::Object(map)
    }

    pub(crate) fn from_json(value: &Value) -> Self {
        let mut set = Self::default();
        for (key, child) in value.as_object().into_iter().flatten() {
            if key == "." {
                set.own = true;
            } else {
                set.children.insert(key.clone(), Self::from_json(child));
            }
        }
        set
    }

    pub(crate) fn union(&mut self, other: &Self) {
        self.own |= other.own;
        for (key, child) in &other.children {
            self.children.entry(key.clone()).or_default().union(child);
        }
    }

    /// Leaves of `self` that are no leaves of `other`.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        if self.children.is_empty() {
            return if other.children.is_empty() { Self::default() } else { self.clone() };
        }
        let mut rest = Self { own: self.own && !other.own, children: BTreeMap::new() };
        for (key, child) in &self.children {
            match other.children.get(key) {
                None => {
                    rest.children.insert(key.clone(), child.clone());
                }
                Some(theirs) => {
                    if child.children.is_empty() && theirs.children.is_empty() {
                        continue;
                    }
                    let left = child.minus(theirs);
                    if !left.is_empty() {
                        rest.children.insert(key.clone(), left);
                    }
                }
            }
        }
        rest
    }

    /// Calls `visit` with the path of every leaf that both sets own.
    pub(crate) fn shared_leaves(
        &self,
        other: &Self,
        path: &mut Vec<String>,
        visit: &mut impl FnMut(&[String]),
    ) {
        for (key, child) in &self.children {
            let Some(theirs) = other.children.get(key) else { continue };
            path.push(key.clone());
            if child.children.is_empty() && theirs.children.is_empty() {
                visit(path);
            } else {
                child.shared_leaves(theirs, path, visit);
            }
            path.pop();
        }
    }

    /// Calls `visit` with the path of every leaf, deepest first, then of every owned inner node.
    pub(crate) fn each(&self, path: &mut Vec<String>, visit: &mut impl FnMut(&[String])) {
        for (key, child) in &self.children {
            path.push(key.clone());
            child.each(path, visit);
            if child.children.is_empty() || child.own {
                visit(path);
            }
            path.pop();
        }
    }

    /// Removes one path; inner nodes that own nothing any more go with it.
    pub(crate) fn remove(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first() else { return };
        if rest.is_empty() {
            self.children.remove(first);
            return;
        }
        if let Some(child) = self.children.get_mut(first) {
            child.remove(rest);
            if child.is_empty() {
                self.children.remove(first);
            }
        }
    }

    pub(crate) fn owns(&self, path: &[String]) -> bool {
        let mut node = self;
        for key in path {
            match node.children.get(key) {
                Some(child) => node = child,
                // A leaf above owns all that is below it.
                None => return node.children.is_empty() && !node.own,
            }
        }
        node.own || node.children.is_empty()
    }

    /// Whether anything at or below the path is owned.
    pub(crate) fn touches(&self, path: &[String]) -> bool {
        let mut node = self;
        for key in path {
            match node.children.get(key) {
                Some(child) => node = child,
                None => return false,
            }
        }
        true
    }
}

/// The value a field path points to.
pub(crate) fn value_at<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    let mut value = object;
    for element in path {
        value = step(value, element)?;
    }
    Some(value)
}

fn step<'v>(value: &'v Value, element: &str) -> Option<&'v Value> {
    if let Some(field) = element.strip_prefix("f:") {
        value.get(field)
    } else if let Some(key) = element.strip_prefix("k:") {
        let wanted: Value = serde_json::from_str(key).ok()?;
        value.as_array()?.iter().find(|item| matches_key(item, &wanted))
    } else if let Some(member) = element.strip_prefix("v:") {
        let wanted: Value = serde_json::from_str(member).ok()?;
        value.as_array()?.iter().find(|item| **item == wanted)
    } else {
        None
    }
}

pub(crate) fn matches_key(item: &Value, wanted: &Value) -> bool {
    wanted.as_object().is_some_and(|keys| {
        keys.iter().all(|(key, value)| match item.get(key) {
            Some(found) => found == value,
            None => key == "protocol" && value == "TCP",
        })
    })
}

/// Deletes what a field path points to.
pub(crate) fn delete_at(object: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut value = object;
    for element in parents {
        let next = if let Some(field) = element.strip_prefix("f:") {
            value.get_mut(field)
        } else if let Some(key) = element.strip_prefix("k:") {
            let Ok(wanted) = serde_json::from_str::<Value>(key) else { return };
            value.as_array_mut().and_then(|items| items.iter_mut().find(|item| matches_key(item, &wanted)))
        } else {
            None
        };
        match next {
            Some(next) => value = next,
            None => return,
        }
    }
    if let Some(field) = last.strip_prefix("f:") {
        if let Some(map) = value.as_object_mut() {
            map.remove(field);
        }
    } else if let Some(items) = value.as_array_mut() {
        if let Some(wanted) = last.strip_prefix("k:").and_then(|key| serde_json::from_str::<Value>(key).ok())
        {
            items.retain(|item| !matches_key(item, &wanted));
        } else if let Some(wanted) =
            last.strip_prefix("v:").and_then(|member| serde_json::from_str::<Value>(member).ok())
        {
            items.retain(|item| *item != wanted);
        }
    }
}

/// How conflict messages write a path: `.spec.template.spec.containers[name="web"].image`.
pub(crate) fn readable(path: &[String]) -> String {
    let mut text = String::new();
    for element in path {
        if let Some(field) = element.strip_prefix("f:") {
            text.push('.');
            text.push_str(field);
        } else if let Some(key) = element.strip_prefix("k:") {
            if let Ok(Value::Object(keys)) = serde_json::from_str::<Value>(key) {
                let parts: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                text.push_str(&format!("[{}]", parts.join(",")));
            }
        } else if let Some(member) = element.strip_prefix("v:") {
            text.push_str(&format!("[={member}]"));
        }
    }
    text
}
