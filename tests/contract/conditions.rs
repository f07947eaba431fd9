//! Workloads with their controllers: what a client waits for.

use serde_json::{Value, json};

use crate::client::{Api, fresh_namespace};

fn deployment(image: &str) -> Value {
    let labels = json!({ "app": "d" });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" },
        "spec": { "replicas": 2, "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": image }] } } },
    })
}

fn condition(object: &Value, kind: &str) -> Value {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.into_iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

pub(crate) async fn workloads_become_ready(api: &Api) {
    let namespace = fresh_namespace(api, "ready").await;
    let all = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    api.apply(&format!("{all}/d"), "sluice", false, &deployment("app:1.0")).await.expect(201);
    let ready = api
        .until(&all, "d", "it is available", |live| {
            condition(live, "Available")["status"] == "True" && live["status"]["availableReplicas"] == 2
        })
        .await;
    assert_eq!(ready["status"]["observedGeneration"], 1);
    for count in ["replicas", "readyReplicas", "updatedReplicas"] {
        assert_eq!(ready["status"][count], 2, "{count}");
    }
    assert_eq!(ready["metadata"]["generation"], 1, "a status is no new generation");
    let progressing = condition(&ready, "Progressing");
    assert_eq!(progressing["status"], "True");

    let batch = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j" },
        "spec": { "backoffLimit": 0, "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "c", "image": "app:1.0" }] } } },
    });
    api.apply(&format!("{batch}/j"), "sluice", false, &job).await.expect(201);
    let done = api
        .until(&batch, "j", "it is complete", |live| condition(live, "Complete")["status"] == "True")
        .await;
    assert_eq!(done["status"]["succeeded"], 1);
}

pub(crate) async fn broken_images_do_not(api: &Api) {
    let namespace = fresh_namespace(api, "ready").await;
    let all = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    api.apply(&format!("{all}/d"), "sluice", false, &deployment("app:1.0-broken")).await.expect(201);
    let broken = api
        .until(&all, "d", "it is not available", |live| {
            condition(live, "Available")["status"] == "False" && live["status"]["unavailableReplicas"] == 2
        })
        .await;
    assert_eq!(condition(&broken, "Available")["reason"], "MinimumReplicasUnavailable");
    assert!(broken["status"].get("readyReplicas").is_none_or(|count| count == 0));
    let batch = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j" },
        "spec": { "backoffLimit": 0, "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "c", "image": "app:fail" }] } } },
    });
    api.apply(&format!("{batch}/j"), "sluice", false, &job).await.expect(201);
    let failed =
        api.until(&batch, "j", "it has failed", |live| condition(live, "Failed")["status"] == "True").await;
    assert_eq!(failed["status"]["failed"], 1);
    assert_eq!(condition(&failed, "Failed")["reason"], "BackoffLimitExceeded");
}
