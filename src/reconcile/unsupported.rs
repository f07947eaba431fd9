//! Kinds that are read and shown but have no reconciler in this version: their status says so, once.

use flux_api::FluxObject;
use serde_json::{Value, json};

use super::context::{Done, Run};
use crate::model::{Kind, Severity};

/// What is said of an object of such a kind.
pub(super) fn message(kind: Kind) -> String {
    format!("{kind} is not reconciled by this version of sluice; it is left to Flux")
}

/// Marks the object as stalled, in Flux's form.
pub(super) async fn reconcile(run: &mut Run<'_>, object: &FluxObject) -> Done {
    let key = run.job.object.clone();
    let message = message(object.kind());
    let told = object.conditions().iter().any(|condition| {
        condition.message == message && condition.observed_generation == object.metadata().generation
    });
    if told {
        return Done::Nothing;
    }
    let generation = object.metadata().generation;
    let now = run.time();
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "UnsupportedKind", "message": message,
            "observedGeneration": generation, "lastTransitionTime": now,
        })
    };
    let mut status = object.status_json();
    if let Value::Object(map) = &mut status {
        map.insert("observedGeneration".to_owned(), json!(generation));
        map.insert(
            "conditions".to_owned(),
            json!([condition("Ready", "False"), condition("Stalled", "True")]),
        );
    }
    run.write_status_json(&key, &object.metadata().uid, status).await;
    run.event(object, Severity::Error, "UnsupportedKind", message, &[]);
    Done::Nothing
}
