//! Field managers: who owns which fields of a live object, and how to take fields over from a former owner.
//!
//! Pure. Mirrors fluxcd/pkg `ssa/patch.go`, except that it reads the answer of an apply instead of a separate read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::model::Timestamp;

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ManagedEntry {
    pub(super) manager: String,
    pub(super) operation: String,
    pub(super) api_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    pub(super) fields_type: String,
    #[serde(rename = "fieldsV1", skip_serializing_if = "Option::is_none")]
    pub(super) fields: Option<Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) subresource: String,
}

/// A field manager to take fields over from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldManager {
    /// Its name, or the beginning of it.
    pub name: String,
    /// Whether `name` is the whole name.
    pub exact: bool,
    /// `Apply` or `Update`.
    pub operation: ManagerOperation,
}

/// How a field manager wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagerOperation {
    /// By server-side apply.
    Apply,
    /// By anything else.
    Update,
}

impl FieldManager {
    /// The managers kustomize-controller takes over from, `--override-manager` left out.
    pub fn flux_defaults() -> Vec<Self> {
        use ManagerOperation::{Apply, Update};
        let manager = |name: &str, exact, operation| Self { name: name.to_owned(), exact, operation };
        vec![
            manager("kubectl", false, Apply),
            manager("kubectl", false, Update),
            manager("before-first-apply", false, Apply),
            manager("before-first-apply", false, Update),
            manager("kustomize-controller", true, Update),
        ]
    }

    fn matches(&self, entry: &ManagedEntry) -> bool {
        let operation = match self.operation {
            ManagerOperation::Apply => "Apply",
            ManagerOperation::Update => "Update",
        };
        let name =
            if self.exact { entry.manager == self.name } else { entry.manager.starts_with(&self.name) };
        name && entry.operation == operation && entry.subresource.is_empty()
    }
}

/// A digest of who owns which fields; entries of subresources (the status) are left out.
pub(super) fn footprint(entries: &[ManagedEntry]) -> String {
    let mut hash = Sha256::new();
    for entry in entries.iter().filter(|e| e.subresource.is_empty()) {
        for part in [
            &entry.manager,
            &entry.operation,
            &entry.api_version,
            entry.time.as_ref().unwrap_or(&String::new()),
        ] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        if let Some(fields) = &entry.fields {
            hash.update(fields.to_string().as_bytes());
        }
        hash.update([1]);
    }
    hex::encode(&hash.finalize()[..16])
}

/// When `manager` last changed anything by apply, as the server noted it (whole seconds).
pub(super) fn applied_at(entries: &[ManagedEntry], manager: &str) -> Option<Timestamp> {
    let ours = |e: &&ManagedEntry| e.manager == manager && e.operation == "Apply" && e.subresource.is_empty();
    entries.iter().find(ours)?.time.as_deref()?.parse().ok()
}

/// The entries after `to` has taken over the fields of `from`; none when there is nothing to take over.
pub(super) fn take_over(
    entries: &[ManagedEntry],
    from: &[FieldManager],
    to: &str,
) -> Option<Vec<ManagedEntry>> {
    let is_ours = |e: &ManagedEntry| e.manager == to && e.operation == "Apply" && e.subresource.is_empty();
    let mut ours = entries.iter().find(|e| is_ours(e)).cloned();
    let mut kept = Vec::with_capacity(entries.len());
    let mut edited = false;
    for entry in entries.iter().filter(|e| !is_ours(e)) {
        if !from.iter().any(|manager| manager.matches(entry)) {
            kept.push(entry.clone());
            continue;
        }
        edited = true;
        match &mut ours {
            None => {
                let (manager, operation) = (to.to_owned(), "Apply".to_owned());
                ours = Some(ManagedEntry { manager, operation, ..entry.clone() });
            }
            Some(ours) => match (&mut ours.fields, &entry.fields) {
                (Some(Value::Object(ours)), Some(Value::Object(theirs))) => unite(ours, theirs),
                (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
                _ => {}
            },
        }
    }
    kept.extend(ours);
    edited.then_some(kept)
}

/// `fieldsV1` is a trie of field names: the union of two is their deep merge.
fn unite(ours: &mut Map<String, Value>, theirs: &Map<String, Value>) {
    for (key, theirs) in theirs {
        match (ours.get_mut(key), theirs) {
            (Some(Value::Object(ours)), Value::Object(theirs)) => unite(ours, theirs),
            (Some(_), _) => {}
            (None, _) => {
                ours.insert(key.clone(), theirs.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> ManagedEntry {
        let json = json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1",
            "time": "2026-01-01T00:00:00Z", "fieldsV1": fields});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn fields_of_kubectl_become_ours() {
        let entries = [
            entry("kubectl-client-side-apply", "Update", json!({"f:data": {".": {}, "f:a": {}}})),
            entry("someone-else", "Update", json!({"f:data": {"f:z": {}}})),
            entry("kustomize-controller", "Apply", json!({"f:data": {"f:b": {}}})),
        ];
        let after = take_over(&entries, &FieldManager::flux_defaults(), "kustomize-controller").unwrap();
        assert_eq!(
            after,
            [
                entries[1].clone(),
                entry("kustomize-controller", "Apply", json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}})),
            ]
        );
        assert_eq!(take_over(&after, &FieldManager::flux_defaults(), "kustomize-controller"), None);
    }

    #[test]
    fn the_first_former_owner_is_renamed_when_we_own_nothing_yet() {
        let entries = [
            entry("kubectl", "Apply", json!({"f:a": {}})),
            entry("kubectl-edit", "Update", json!({"f:b": {}})),
        ];
        let after = take_over(&entries, &FieldManager::flux_defaults(), "ours").unwrap();
        assert_eq!(after, [entry("ours", "Apply", json!({"f:a": {}, "f:b": {}}))]);
    }

    #[test]
    fn the_footprint_moves_with_every_owner_but_not_with_the_status() {
        let base = vec![entry("ours", "Apply", json!({"f:a": {}}))];
        let mut with_status = base.clone();
        with_status
            .push(ManagedEntry { subresource: "status".to_owned(), ..entry("kcm", "Update", json!({})) });
        assert_eq!(footprint(&base), footprint(&with_status));
        let mut edited = base.clone();
        edited.push(entry("kubectl-edit", "Update", json!({"f:a": {}})));
        assert_ne!(footprint(&base), footprint(&edited));
    }
}
