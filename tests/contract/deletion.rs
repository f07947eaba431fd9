//! Deletion: answers, finalizers, preconditions, dependents, namespaces.

use serde_json::{Value, json};

use crate::client::{Api, fresh_namespace};

fn configs(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

async fn make(api: &Api, all: &str, name: &str, metadata: Value) -> Value {
    let mut object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    object["metadata"]["name"] = json!(name);
    api.post(all, &object).await.expect(201)
}

pub(crate) async fn objects_go_at_once(api: &Api) {
    let namespace = fresh_namespace(api, "delete").await;
    let all = configs(&namespace);
    let made = make(api, &all, "a", json!({})).await;
    let answer = api.delete(&format!("{all}/a"), &json!({})).await.expect(200);
    assert_eq!(
        answer,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": { "name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"] },
        })
    );
    api.get(&format!("{all}/a")).await.expect(404);
    let again = api.delete(&format!("{all}/a"), &json!({})).await.expect(404);
    assert_eq!(again["message"], "configmaps \"a\" not found");
    make(api, &all, "b", json!({})).await;
    // With a body, only what is in it counts.
    api.delete(&format!("{all}/b"), &json!({ "dryRun": ["All"] })).await.expect(200);
    api.get(&format!("{all}/b")).await.expect(200);
}

pub(crate) async fn finalizers_hold_an_object(api: &Api) {
    let namespace = fresh_namespace(api, "delete").await;
    let all = configs(&namespace);
    make(api, &all, "a", json!({ "finalizers": ["sluice.example/hold"] })).await;
    let answer = api.delete(&format!("{all}/a"), &json!({})).await.expect(200);
    assert_eq!(answer["kind"], "ConfigMap");
    assert!(answer["metadata"]["deletionTimestamp"].is_string());
    let held = api.get(&format!("{all}/a")).await.expect(200);
    assert_eq!(held["metadata"]["deletionGracePeriodSeconds"], 0);
    let second = api.delete(&format!("{all}/a"), &json!({})).await.expect(200);
    assert_eq!(second["metadata"]["deletionTimestamp"], held["metadata"]["deletionTimestamp"]);
    let release = json!({ "metadata": { "finalizers": null } });
    api.patch(&format!("{all}/a"), "merge-patch+json", &release).await.expect(200);
    api.get(&format!("{all}/a")).await.expect(404);
}

pub(crate) async fn preconditions_protect(api: &Api) {
    let namespace = fresh_namespace(api, "delete").await;
    let all = configs(&namespace);
    let made = make(api, &all, "a", json!({})).await;
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let wrong = "00000000-0000-0000-0000-000000000000";
    let refused =
        api.delete(&format!("{all}/a"), &json!({ "preconditions": { "uid": wrong } })).await.expect(409);
    assert_eq!(refused["reason"], "Conflict");
    assert_eq!(
        refused["message"],
        format!(
            "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition ({wrong}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        )
    );
    let stale = json!({ "preconditions": { "resourceVersion": "1" } });
    let refused = api.delete(&format!("{all}/a"), &stale).await.expect(409);
    assert_eq!(
        refused["message"],
        format!(
            "Operation cannot be fulfilled on ConfigMap \"a\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({}). The object might have been modified",
            made["metadata"]["resourceVersion"].as_str().unwrap()
        )
    );
    assert_eq!(refused["details"], json!({ "name": "a", "kind": "ConfigMap" }));
    api.delete(&format!("{all}/a"), &json!({ "preconditions": { "uid": uid } })).await.expect(200);
}

pub(crate) async fn dependents_follow_or_stay(api: &Api) {
    let namespace = fresh_namespace(api, "delete").await;
    let all = configs(&namespace);
    for policy in ["Background", "Foreground", "Orphan"] {
        let word = policy.to_lowercase();
        let (owner, child) = (format!("{word}-owner"), format!("{word}-child"));
        let made = make(api, &all, &owner, json!({})).await;
        let reference = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": made["metadata"]["uid"],
            "blockOwnerDeletion": true,
        }]);
        make(api, &all, &child, json!({ "ownerReferences": reference })).await;
        let options = json!({ "propagationPolicy": policy });
        api.delete(&format!("{all}/{owner}"), &options).await.expect(200);
        api.until(&all, &owner, "the owner is gone", Value::is_null).await;
        if policy == "Orphan" {
            api.until(&all, &child, "it is nobody's", |child| {
                child["metadata"]["name"].is_string()
                    && child["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty)
            })
            .await;
        } else {
            api.until(&all, &child, "the child is gone", Value::is_null).await;
        }
    }
}

pub(crate) async fn many_at_once(api: &Api) {
    let namespace = fresh_namespace(api, "delete").await;
    let all = configs(&namespace);
    for name in ["a", "b", "c"] {
        let keep = if name == "c" { "yes" } else { "no" };
        make(api, &all, name, json!({ "labels": { "keep": keep } })).await;
    }
    api.delete(&format!("{all}?labelSelector=keep%3Dno"), &json!({})).await.expect(200);
    let left = api.get(&format!("{all}?labelSelector=keep")).await.expect(200);
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    assert_eq!(left["items"][0]["metadata"]["name"], "c");
}

pub(crate) async fn namespaces_take_their_objects_along(api: &Api) {
    let namespace = fresh_namespace(api, "delete").await;
    let at = format!("/api/v1/namespaces/{namespace}");
    let live = api.get(&at).await.expect(200);
    assert_eq!(live["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(live["status"]["phase"], "Active");
    assert_eq!(live["metadata"]["labels"]["kubernetes.io/metadata.name"], *namespace);
    let all = configs(&namespace);
    make(api, &all, "a", json!({ "finalizers": ["sluice.example/hold"] })).await;
    let answer = api.delete(&at, &json!({})).await.expect(200);
    assert_eq!((&answer["kind"], &answer["status"]["phase"]), (&json!("Namespace"), &json!("Terminating")));
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "late" } });
    let refused = api.post(&all, &object).await.expect(403);
    assert_eq!(refused["reason"], "Forbidden");
    assert_eq!(
        refused["message"],
        format!(
            "configmaps \"late\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated"
        )
    );
    assert_eq!(
        refused["details"],
        json!({
            "name": "late", "kind": "configmaps",
            "causes": [{
                "reason": "NamespaceTerminating", "field": "metadata.namespace",
                "message": format!("namespace {namespace} is being terminated"),
            }],
        })
    );
    api.until(&all, "a", "it waits for its finalizer", |object| {
        object["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    api.get(&at).await.expect(200);
    let release = json!({ "metadata": { "finalizers": null } });
    api.patch(&format!("{all}/a"), "merge-patch+json", &release).await.expect(200);
    api.until("/api/v1/namespaces", &namespace, "it is gone", Value::is_null).await;
}
