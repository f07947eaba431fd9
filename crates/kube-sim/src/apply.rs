//! Server-side apply, and the bookkeeping of `metadata.managedFields` for every other write.

use serde_json::{Value, json};

use crate::fields::{Fields, ListShape, delete_at, item_key, list_shape, readable, value_at};
use crate::resources::Resource;
use crate::status::{self, Failure};

/// Who writes: manager, operation and subresource together name one entry of `managedFields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    pub(crate) subresource: String,
}

#[derive(Debug, Clone)]
struct Entry {
    manager: String,
    operation: String,
    api_version: String,
    subresource: String,
    time: String,
    fields: Fields,
}

impl Entry {
    /// How conflicts name the manager.
    fn shown(&self) -> String {
        let mut text = format!("\"{}\"", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource \"{}\"", self.subresource));
        }
        if self.operation == "Update" {
            text.push_str(&format!(" using {} at {}", self.api_version, self.time));
        }
        text
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    object["metadata"]["managedFields"]
        .as_array()
        .map(|list| {
            list.iter()
                .map(|entry| Entry {
                    manager: text(&entry["manager"]),
                    operation: text(&entry["operation"]),
                    api_version: text(&entry["apiVersion"]),
                    subresource: text(&entry["subresource"]),
                    time: text(&entry["time"]),
                    fields: Fields::from_json(&entry["fieldsV1"]),
                })
                .collect()
        })
        .unwrap_or_default()
}

fn write_entries(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| {
        (&a.operation, &a.time, &a.manager, &a.subresource).cmp(&(
            &b.operation,
            &b.time,
            &b.manager,
            &b.subresource,
        ))
    });
    let list: Vec<Value> = entries
        .into_iter()
        .map(|entry| {
            let mut json = json!({
                "manager": entry.manager, "operation": entry.operation, "apiVersion": entry.api_version,
                "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_json(),
            });
            if !entry.subresource.is_empty() {
                json["subresource"] = json!(entry.subresource);
            }
            json
        })
        .collect();
    object["metadata"]["managedFields"] = Value::Array(list);
}

/// The object without what the server itself writes, for comparing two states.
pub(crate) fn comparable(object: &Value) -> Value {
    let mut copy = object.clone();
    if let Some(metadata) = copy["metadata"].as_object_mut() {
        for key in ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"]
        {
            metadata.remove(key);
        }
    }
    copy
}

/// What [`apply`] makes of an object.
pub(crate) struct AppliedObject {
    pub(crate) object: Value,
    pub(crate) changed: bool,
}

/// Server-side apply of `wanted` onto `live` (`None` when it does not exist yet).
pub(crate) fn apply(
    resource: &Resource,
    live: Option<&Value>,
    wanted: &Value,
    writer: &Writer,
    force: bool,
    now: &str,
) -> Result<AppliedObject, Failure> {
    let api_version = resource.api_version();
    let claimed = Fields::of(wanted);
    let empty = json!({ "apiVersion": api_version, "kind": resource.kind, "metadata": {} });
    let base = live.unwrap_or(&empty);
    let mut managers = entries(base);
    let own = managers
        .iter()
        .position(|entry| {
            entry.manager == writer.manager
                && entry.operation == "Apply"
                && entry.subresource == writer.subresource
        })
        .map(|place| managers.remove(place));

    let mut conflicts: Vec<(String, String)> = Vec::new();
    let mut taken: Vec<(usize, Vec<String>)> = Vec::new();
    for (place, entry) in managers.iter().enumerate() {
        let mut shared = Vec::new();
        claimed.shared_leaves(&entry.fields, &mut Vec::new(), &mut |path| shared.push(path.to_vec()));
        for path in shared {
            if value_at(base, &path) != value_at(wanted, &path) {
                conflicts.push((entry.shown(), readable(&path)));
                taken.push((place, path));
            }
        }
    }
    if !conflicts.is_empty() && !force {
        conflicts.sort();
        return Err(status::apply_conflicts(&conflicts));
    }
    for (place, path) in taken {
        managers[place].fields.remove(&path);
    }

    let mut object = merge(base, wanted, "", "");
    if let Some(own) = &own {
        let dropped = own.fields.minus(&claimed);
        let mut gone = Vec::new();
        dropped.each(&mut Vec::new(), &mut |path| gone.push(path.to_vec()));
        // A list item goes as a whole, before the fields that its key is read from.
        gone.sort_by_key(Vec::len);
        for path in gone {
            let wanted_by_others =
                managers.iter().any(|entry| entry.fields.owns(&path) || entry.fields.touches(&path));
            if !wanted_by_others && !claimed.touches(&path) {
                delete_at(&mut object, &path);
            }
        }
        prune_empty(&mut object, &dropped);
    }

    let same_claim = own.as_ref().is_some_and(|entry| entry.fields == claimed);
    let same_object = live.is_some() && comparable(&object) == comparable(base);
    let changed = !(same_claim && same_object) || conflicts_were_forced(&conflicts);
    let time = match &own {
        Some(own) if !changed => own.time.clone(),
        _ => now.to_owned(),
    };
    managers.push(Entry {
        manager: writer.manager.clone(),
        operation: "Apply".to_owned(),
        api_version,
        subresource: writer.subresource.clone(),
        time,
        fields: claimed,
    });
    write_entries(&mut object, managers);
    Ok(AppliedObject { object, changed })
}

fn conflicts_were_forced(conflicts: &[(String, String)]) -> bool {
    !conflicts.is_empty()
}

/// Maps that became empty because their last field was dropped go as well, as an unset field does.
fn prune_empty(object: &mut Value, dropped: &Fields) {
    let mut inner = Vec::new();
    dropped.each(&mut Vec::new(), &mut |path| {
        for length in (2..path.len()).rev() {
            inner.push(path[..length].to_vec());
        }
    });
    inner.sort_by_key(|path| std::cmp::Reverse(path.len()));
    inner.dedup();
    for path in inner {
        let empty = value_at(object, &path)
            .is_some_and(|value| value.as_object().is_some_and(serde_json::Map::is_empty));
        if empty {
            delete_at(object, &path);
        }
    }
}

/// Lays `over` onto `base`: maps deeply, keyed lists item by item, sets by union, atomic lists whole.
fn merge(base: &Value, over: &Value, parent: &str, field: &str) -> Value {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            let mut out = base.clone();
            for (key, value) in over {
                let merged = match base.get(key) {
                    Some(existing) => merge(existing, value, field, key),
                    None => value.clone(),
                };
                out.insert(key.clone(), merged);
            }
            Value::Object(out)
        }
        (Value::Array(base), Value::Array(over)) => match list_shape(parent, field) {
            ListShape::Atomic => Value::Array(over.clone()),
            ListShape::Set => {
                let mut out = base.clone();
                out.extend(over.iter().filter(|item| !base.contains(item)).cloned());
                Value::Array(out)
            }
            ListShape::Keyed(keys) => {
                let mut out = base.clone();
                for item in over {
                    let key = item_key(item, keys);
                    match out.iter_mut().find(|existing| key.is_some() && item_key(existing, keys) == key) {
                        Some(existing) => *existing = merge(existing, item, field, ""),
                        None => out.push(item.clone()),
                    }
                }
                Value::Array(out)
            }
        },
        _ => over.clone(),
    }
}

/// Ownership after a create, update or patch: the writer owns what it changed, nobody owns what is gone.
pub(crate) fn record_update(
    resource: &Resource,
    before: Option<&Value>,
    after: &mut Value,
    writer: &Writer,
    now: &str,
) {
    let mut managers = before.map(entries).unwrap_or_default();
    let all = Fields::of(after);
    let mut changed = Fields::default();
    let mut leaves = Vec::new();
    all.each(&mut Vec::new(), &mut |path| leaves.push(path.to_vec()));
    for path in leaves {
        let same = before.is_some_and(|before| value_at(before, &path) == value_at(after, &path));
        if !same {
            insert(&mut changed, &all, &path);
            own_new_maps(&mut changed, before, &path);
        }
    }
    for entry in &mut managers {
        let mut stale = Vec::new();
        entry.fields.each(&mut Vec::new(), &mut |path| {
            if value_at(after, path).is_none() {
                stale.push(path.to_vec());
            }
        });
        changed.shared_leaves(&entry.fields, &mut Vec::new(), &mut |path| stale.push(path.to_vec()));
        let ours = entry.manager == writer.manager
            && entry.operation == "Update"
            && entry.subresource == writer.subresource;
        for path in stale {
            if !ours || value_at(after, &path).is_none() {
                entry.fields.remove(&path);
            }
        }
    }
    if !changed.is_empty() {
        let own = managers.iter_mut().find(|entry| {
            entry.manager == writer.manager
                && entry.operation == "Update"
                && entry.subresource == writer.subresource
        });
        match own {
            Some(own) => {
                own.fields.union(&changed);
                own.time = now.to_owned();
            }
            None => managers.push(Entry {
                manager: writer.manager.clone(),
                operation: "Update".to_owned(),
                api_version: resource.api_version(),
                subresource: writer.subresource.clone(),
                time: now.to_owned(),
                fields: changed,
            }),
        }
    }
    write_entries(after, managers);
}

/// A map (not a struct) that was not there before is owned itself, besides its keys.
fn own_new_maps(fields: &mut Fields, before: Option<&Value>, path: &[String]) {
    let mut node = fields;
    for (length, element) in path.iter().enumerate().take(path.len().saturating_sub(1)) {
        let Some(next) = node.children.get_mut(element) else { return };
        node = next;
        let is_map = matches!(
            element.as_str(),
            "f:data" | "f:binaryData" | "f:labels" | "f:annotations" | "f:limits" | "f:requests"
        );
        if is_map && before.is_none_or(|before| value_at(before, &path[..=length]).is_none()) {
            node.own = true;
        }
    }
}

fn insert(into: &mut Fields, all: &Fields, path: &[String]) {
    let mut node = into;
    let mut source = all;
    for element in path {
        let Some(next) = source.children.get(element) else { return };
        source = next;
        node = node.children.entry(element.clone()).or_default();
        node.own |= source.own;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::built_in;

    fn resource(kind: &str) -> Resource {
        built_in().into_iter().find(|resource| resource.kind == kind).unwrap()
    }

    fn writer(manager: &str) -> Writer {
        Writer { manager: manager.into(), subresource: String::new() }
    }

    fn config(data: Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "data": data })
    }

    #[test]
    fn a_field_left_out_of_the_next_apply_is_removed() {
        let resource = resource("ConfigMap");
        let first =
            apply(&resource, None, &config(json!({"a": "1", "b": "2"})), &writer("x"), false, "t1").unwrap();
        let second =
            apply(&resource, Some(&first.object), &config(json!({"a": "1"})), &writer("x"), false, "t2")
                .unwrap();
        assert_eq!(second.object["data"], json!({"a": "1"}));
        assert!(second.changed);
    }

    #[test]
    fn the_same_apply_again_changes_nothing() {
        let resource = resource("ConfigMap");
        let wanted = config(json!({"a": "1"}));
        let first = apply(&resource, None, &wanted, &writer("x"), false, "t1").unwrap();
        let second = apply(&resource, Some(&first.object), &wanted, &writer("x"), false, "t2").unwrap();
        assert!(!second.changed);
        assert_eq!(first.object, second.object);
    }

    #[test]
    fn another_managers_field_is_a_conflict_until_forced() {
        let resource = resource("ConfigMap");
        let first = apply(&resource, None, &config(json!({"a": "1"})), &writer("x"), false, "t1").unwrap();
        let wanted = config(json!({"a": "2"}));
        let refused =
            apply(&resource, Some(&first.object), &wanted, &writer("y"), false, "t2").err().unwrap();
        assert_eq!(refused.body["message"], "Apply failed with 1 conflict: conflict with \"x\": .data.a");
        let forced = apply(&resource, Some(&first.object), &wanted, &writer("y"), true, "t2").unwrap();
        assert_eq!(forced.object["data"]["a"], "2");
        assert_eq!(entries(&forced.object).len(), 1);
    }

    #[test]
    fn containers_merge_by_name() {
        let resource = resource("Deployment");
        let pod = |containers: Value| json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": containers}}} });
        let first =
            apply(&resource, None, &pod(json!([{"name": "a", "image": "a:1"}])), &writer("x"), false, "t")
                .unwrap();
        let second = apply(
            &resource,
            Some(&first.object),
            &pod(json!([{"name": "b", "image": "b:1"}])),
            &writer("y"),
            false,
            "t",
        )
        .unwrap();
        assert_eq!(second.object["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 2);
        let third =
            apply(&resource, Some(&second.object), &pod(json!([])), &writer("y"), false, "t").unwrap();
        assert_eq!(
            third.object["spec"]["template"]["spec"]["containers"],
            json!([{"name": "a", "image": "a:1"}])
        );
    }

    #[test]
    fn an_update_takes_over_what_it_changes() {
        let resource = resource("ConfigMap");
        let first =
            apply(&resource, None, &config(json!({"a": "1", "b": "1"})), &writer("x"), false, "t1").unwrap();
        let mut after = first.object.clone();
        after["data"]["a"] = json!("9");
        record_update(&resource, Some(&first.object), &mut after, &writer("kubectl"), "t2");
        let managers = entries(&after);
        assert_eq!(managers.len(), 2);
        let other = managers.iter().find(|entry| entry.manager == "kubectl").unwrap();
        assert_eq!(other.fields.to_json(), json!({"f:data": {"f:a": {}}}));
    }
}
