//! What an apply would change, object by object, with nothing applied: for `sluice diff` and drift detection.
//!
//! The server itself says what the object would become (a dry run); values of Secrets are masked before anything is
//! compared for people.

use futures::stream::{self, StreamExt as _};
use serde_json::{Map, Value};

use super::applied::{Action, ApplyOptions};
use super::error::{ApiError, Reason};
use super::mask::MASK;
use super::object::{Manifest, ObjectId};
use super::pool::Cluster;

/// Lines around a change, as `diff -u` shows.
const CONTEXT: usize = 3;

/// How to compare.
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    /// As the apply would be made.
    pub apply: ApplyOptions,
}

/// What would become of one object.
#[derive(Clone, Debug)]
pub struct ObjectDiff {
    /// Which object, its namespace filled in.
    pub object: ObjectId,
    /// What the apply would do.
    pub action: Action,
    /// The fields that would change.
    pub changes: Vec<FieldChange>,
    /// The same as `kubectl diff` shows it: unified, of YAML. Empty when nothing changes.
    pub text: String,
    /// The object as it is, YAML, secrets masked; none when it is not there.
    pub before: Option<String>,
    /// The object as it would be; none when it would go.
    pub after: Option<String>,
    /// Why it cannot be told, or could not be applied.
    pub error: Option<ApiError>,
}

/// One field that would change.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// The field (`.spec.template.spec.containers[0].image`).
    pub path: String,
    /// Its value now; none when it would be added.
    pub before: Option<Value>,
    /// Its value then; none when it would go.
    pub after: Option<Value>,
}

impl Cluster {
    /// Compares the objects with what the cluster has, in the order given. An object that cannot be compared says so
    /// itself; only a cluster that cannot be used is an error.
    pub async fn diff(
        &self,
        objects: &[Manifest],
        options: &DiffOptions,
    ) -> Result<Vec<ObjectDiff>, ApiError> {
        let apply = ApplyOptions { dry_run: true, ..options.apply.clone() };
        let apply = &apply;
        let mut compared = Vec::with_capacity(objects.len());
        let one = |index: usize| Box::pin(self.diff_one(&objects[index], objects, apply));
        let mut running = stream::iter((0..objects.len()).map(one)).buffered(apply.concurrency.max(1));
        while let Some(diff) = running.next().await {
            compared.push(diff?);
        }
        Ok(compared)
    }

    /// The object that a release would take away, as it is now; none when it is gone already.
    pub async fn diff_removed(&self, id: &ObjectId) -> Result<Option<ObjectDiff>, ApiError> {
        let Some(live) = self.get(id).await? else { return Ok(None) };
        let [before, _] = comparable(id, Some(&live), None);
        Ok(Some(report(id.clone(), Action::Configured, before.as_ref(), None)))
    }

    async fn diff_one(
        &self,
        manifest: &Manifest,
        all: &[Manifest],
        apply: &ApplyOptions,
    ) -> Result<ObjectDiff, ApiError> {
        let created = |object: ObjectId| {
            let [_, after] = comparable(&object, None, Some(&manifest.json));
            report(object, Action::Created, None, after.as_ref())
        };
        let id = match self.resolve(manifest, apply).await {
            Ok(id) => id,
            // Its kind comes with the same apply.
            Err(error) if matches!(error.reason, Reason::UnknownKind { .. }) && is_defined(manifest, all) => {
                return Ok(created(manifest.id.clone()));
            }
            Err(error) => return broken(manifest.id.clone(), error),
        };
        let live = match self.get(&id).await {
            Ok(live) => live,
            Err(error) => return broken(id, error),
        };
        match self.would_become(manifest, apply).await {
            Ok(after) => {
                let [before, after] = comparable(&id, live.as_ref(), Some(&after));
                let action = match (&before, before == after) {
                    (None, _) => Action::Created,
                    (Some(_), true) => Action::Unchanged,
                    (Some(_), false) => Action::Configured,
                };
                Ok(report(id, action, before.as_ref(), after.as_ref()))
            }
            // Its namespace comes with the same apply, or is made by it.
            Err(error) if error.is_not_found() && live.is_none() => Ok(created(id)),
            Err(error) if apply.recreate_on_immutable && matches!(error.reason, Reason::Invalid { .. }) => {
                let [before, after] = comparable(&id, live.as_ref(), Some(&manifest.json));
                Ok(report(id, Action::Recreated, before.as_ref(), after.as_ref()))
            }
            Err(error) => broken(id, error),
        }
    }
}

fn broken(object: ObjectId, error: ApiError) -> Result<ObjectDiff, ApiError> {
    if error.is_about_the_cluster() {
        return Err(error);
    }
    let (changes, text) = (Vec::new(), String::new());
    Ok(ObjectDiff {
        object,
        action: Action::Configured,
        changes,
        text,
        before: None,
        after: None,
        error: Some(error),
    })
}

fn is_defined(manifest: &Manifest, all: &[Manifest]) -> bool {
    all.iter().any(|object| super::apply::defines(object, &manifest.id))
}

fn report(object: ObjectId, action: Action, before: Option<&Value>, after: Option<&Value>) -> ObjectDiff {
    let mut changes = Vec::new();
    compare("", before, after, &mut changes);
    let text = unified(&object, before, after);
    let yaml = |side: Option<&Value>| side.and_then(|side| goyaml::to_yaml(side).ok());
    ObjectDiff { object, action, changes, text, before: yaml(before), after: yaml(after), error: None }
}

/// Both sides without what the server keeps for itself, and with the values of Secrets masked.
fn comparable(id: &ObjectId, before: Option<&Value>, after: Option<&Value>) -> [Option<Value>; 2] {
    let mut sides = [before.cloned(), after.cloned()];
    for side in sides.iter_mut().flatten() {
        let Some(fields) = side.as_object_mut() else { continue };
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            for own in
                ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"]
            {
                metadata.remove(own);
            }
        }
    }
    if id.is_secret() {
        let [before, after] = &mut sides;
        for field in ["data", "stringData"] {
            mask(before, after, field);
        }
    }
    sides
}

/// Flux's masks: `***` for what stays, `*** (before)` and `*** (after)` for what changes.
fn mask(before: &mut Option<Value>, after: &mut Option<Value>, field: &str) {
    let empty = Map::new();
    let values = |side: &Option<Value>| {
        side.as_ref().and_then(|v| v.get(field)).and_then(Value::as_object).unwrap_or(&empty).clone()
    };
    let (old, new) = (values(before), values(after));
    for (side, other, suffix) in [(before, &new, " (before)"), (after, &old, " (after)")] {
        let fields = side.as_mut().and_then(|v| v.get_mut(field)).and_then(Value::as_object_mut);
        for (key, value) in fields.into_iter().flatten() {
            let changes = other.get(key).is_some_and(|other| other != value);
            *value = if changes { format!("{MASK}{suffix}").into() } else { MASK.into() };
        }
        // Data that is no mapping hides nothing behind keys.
        if let Some(odd) =
            side.as_mut().and_then(|v| v.get_mut(field)).filter(|v| !v.is_object() && !v.is_null())
        {
            *odd = MASK.into();
        }
    }
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                compare(&format!("{path}.{}", step(key)), before.get(key), after.get(key), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                compare(&format!("{path}[{index}]"), before.get(index), after.get(index), changes);
            }
        }
        (None, None) => {}
        (before, after) => {
            let path = if path.is_empty() { ".".to_owned() } else { path.to_owned() };
            changes.push(FieldChange { path, before: before.cloned(), after: after.cloned() });
        }
    }
}

/// A key as a step of a path; keys with dots are quoted.
fn step(key: &str) -> std::borrow::Cow<'_, str> {
    let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_plain { key.into() } else { format!("\"{key}\"").into() }
}

fn unified(id: &ObjectId, before: Option<&Value>, after: Option<&Value>) -> String {
    if before == after {
        return String::new();
    }
    let yaml = |side: Option<&Value>| match side {
        // An object that YAML cannot express does not come out of an API server.
        Some(value) => goyaml::to_yaml(value).unwrap_or_else(|_| value.to_string()),
        None => String::new(),
    };
    let (before, after) = (yaml(before), yaml(after));
    let name =
        format!("{}.{}.{}.{}", id.api_version().replace('/', "."), id.kind, id.namespace_or_empty(), id.name);
    similar::TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&format!("live/{name}"), &format!("merged/{name}"))
        .to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_diff_lists_fields_and_shows_lines() {
        let before = json!({"metadata": {"labels": {"a.b/c": "1"}}, "spec": {"list": [1, 2], "gone": true, "same": 1}});
        let after = json!({"metadata": {"labels": {"a.b/c": "2"}}, "spec": {"list": [1, 3, 4], "new": {}, "same": 1}});
        let diff = report(
            ObjectId::new("apps/v1", "Deployment", "shop", "web"),
            Action::Configured,
            Some(&before),
            Some(&after),
        );
        let changes: Vec<_> = diff.changes.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(
            changes,
            [".metadata.labels.\"a.b/c\"", ".spec.gone", ".spec.list[1]", ".spec.list[2]", ".spec.new"]
        );
        insta::assert_snapshot!(diff.text, @r#"
        --- live/apps.v1.Deployment.shop.web
        +++ merged/apps.v1.Deployment.shop.web
        @@ -1,9 +1,10 @@
         metadata:
           labels:
        -    a.b/c: "1"
        +    a.b/c: "2"
         spec:
        -  gone: true
           list:
           - 1
        -  - 2
        +  - 3
        +  - 4
        +  new: {}
           same: 1
        "#);
    }

    #[test]
    fn s22_the_values_of_secrets_are_masked_in_a_diff() {
        let id = ObjectId::new("v1", "Secret", "a", "b");
        let before = json!({"kind": "Secret", "data": {"same": "AAAA", "changed": "BBBB", "gone": "CCCC"}});
        let after = json!({"kind": "Secret", "data": {"same": "AAAA", "changed": "DDDD", "new": "EEEE"}, "stringData": "FFFF"});
        let [before, after] = comparable(&id, Some(&before), Some(&after));
        let diff = report(id, Action::Configured, before.as_ref(), after.as_ref());
        let text = format!("{:?}{}", diff.changes, diff.text);
        for value in ["AAAA", "BBBB", "CCCC", "DDDD", "EEEE", "FFFF"] {
            assert!(!text.contains(value), "{value} in {text}");
        }
        assert_eq!(before.unwrap()["data"], json!({"same": "***", "changed": "*** (before)", "gone": "***"}));
        assert_eq!(after.unwrap()["data"], json!({"same": "***", "changed": "*** (after)", "new": "***"}));
    }
}
