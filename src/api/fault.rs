//! Objects that cannot do what their manifest says although no status shows it: the manifest is not valid (any more), or
//! it is of a kind without a status and nothing can come of it. Lays that over what is shown; changes no object.

use std::collections::BTreeMap;

use flux_api::{Condition, ConditionStatus, FluxObject, condition_type, conditions};
use serde_json::{Value, json};

use super::StaticProblem;
use super::wire::ObjectNow;
use crate::model::{ObjectKey, Timestamp};
use crate::objects::{InvalidObject, Objects};

/// The manifest is not valid; Flux has no word for it, its API server would not have taken the manifest.
const INVALID_MANIFEST: &str = "InvalidManifest";
/// Nothing can come of an object that nothing reconciles.
const UNUSABLE: &str = "Unusable";

/// Why an object is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    reason: &'static str,
    pub(super) message: String,
    since: Timestamp,
}

/// The faults of all objects at one moment.
pub(super) struct Faults<'a> {
    invalid: BTreeMap<ObjectKey, InvalidObject>,
    static_problem: &'a StaticProblem,
    /// For what is not known to have begun later.
    started: Timestamp,
}

impl<'a> Faults<'a> {
    /// As they are now.
    pub(super) fn new(objects: &Objects, static_problem: &'a StaticProblem, started: Timestamp) -> Self {
        let invalid = objects.invalid().into_iter().map(|invalid| (invalid.key.clone(), invalid)).collect();
        Self { invalid, static_problem, started }
    }

    /// The fault of an object that is there.
    pub(super) fn of(&self, object: &FluxObject) -> Option<Fault> {
        let key = ObjectKey::new(object.kind(), object.namespace(), object.name());
        if let Some(invalid) = self.invalid.get(&key) {
            let message = format!("{}; an earlier version of the manifest stays in force", invalid.message);
            return Some(Fault { reason: INVALID_MANIFEST, message, since: invalid.since });
        }
        let message = (self.static_problem)(object)?;
        Some(Fault { reason: UNUSABLE, message, since: self.started })
    }

    /// An object as it is shown.
    pub(super) fn shown(&self, object: &FluxObject) -> Value {
        let mut item = object.to_json();
        if let Some(fault) = self.of(object) {
            fault.lay_over(&mut item, object.metadata().generation);
        }
        item
    }

    /// The objects of which no valid manifest was ever read: nothing but their name is known.
    pub(super) fn absent(&self) -> impl Iterator<Item = (&ObjectKey, Value)> {
        self.invalid.iter().filter(|(_, invalid)| !invalid.last_good).map(|(key, invalid)| {
            let mut item = json!({
                "apiVersion": key.kind.api_version(),
                "kind": key.kind.as_str(),
                "metadata": {"name": key.name, "namespace": key.namespace},
            });
            absent(invalid).lay_over(&mut item, 0);
            (key, item)
        })
    }

    /// How one of those stands, for stories.
    pub(super) fn absent_now(&self, key: &ObjectKey) -> Option<ObjectNow> {
        let invalid = self.invalid.get(key).filter(|invalid| !invalid.last_good)?;
        Some(ObjectNow {
            object: key.clone(),
            ready: ConditionStatus::False.as_str().to_owned(),
            message: absent(invalid).message,
            revision: None,
            suspended: false,
        })
    }
}

fn absent(invalid: &InvalidObject) -> Fault {
    Fault { reason: INVALID_MANIFEST, message: invalid.message.clone(), since: invalid.since }
}

impl Fault {
    /// `Ready=False` and `Stalled=True`, in place of what the status says about these.
    fn lay_over(&self, item: &mut Value, generation: i64) {
        let mut list: Vec<Condition> = item
            .pointer("/status/conditions")
            .and_then(|list| serde_json::from_value(list.clone()).ok())
            .unwrap_or_default();
        let since = self.since.into();
        conditions::mark_stalled(&mut list, self.reason, &self.message, generation, since);
        let ready =
            Condition::new(condition_type::READY, ConditionStatus::False, self.reason, self.message.clone());
        conditions::set(&mut list, ready, generation, since);
        if !item["status"].is_object() {
            item["status"] = json!({});
        }
        item["status"]["conditions"] = json!(list);
    }
}
