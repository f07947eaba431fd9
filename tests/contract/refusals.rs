//! What is refused, with which code, reason and text.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Api, fresh_namespace};

fn status(code: u16, reason: &str, message: &str, details: Value) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": message, "details": details,
    })
}

pub(crate) async fn nothing_there(api: &Api) {
    let namespace = fresh_namespace(api, "refuse").await;
    let at = format!("/apis/apps/v1/namespaces/{namespace}/deployments/none");
    let details = json!({ "name": "none", "group": "apps", "kind": "deployments" });
    let expected = status(404, "NotFound", "deployments.apps \"none\" not found", details);
    assert_eq!(api.get(&at).await.expect(404), expected);
    assert_eq!(api.patch(&at, "merge-patch+json", &json!({})).await.expect(404), expected);
    assert_eq!(api.delete(&at, &json!({})).await.expect(404), expected);
    // A namespace that is not there.
    let missing = "/api/v1/namespaces/no-such-namespace/configmaps";
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } });
    let details = json!({ "name": "no-such-namespace", "kind": "namespaces" });
    let expected = status(404, "NotFound", "namespaces \"no-such-namespace\" not found", details);
    assert_eq!(api.post(missing, &config).await.expect(404), expected);
    assert_eq!(api.apply(&format!("{missing}/c"), "m", false, &config).await.expect(404), expected);
    assert_eq!(api.get(missing).await.expect(200)["items"], json!([]), "to list there is no mistake");
    // Kinds and groups that are not there.
    for path in ["/api/v1/namespaces/default/nonsense", "/apis/nonsense.example/v1/things", "/apis/apps/v9"] {
        api.get(path).await.expect(404);
    }
}

pub(crate) async fn invalid_objects(api: &Api) {
    let namespace = fresh_namespace(api, "refuse").await;
    let all = format!("/api/v1/namespaces/{namespace}/configmaps");
    let config =
        |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
    let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let text = format!("Invalid value: \"Upper_Case\": {rule}");
    let details = json!({
        "name": "Upper_Case", "kind": "ConfigMap",
        "causes": [{ "reason": "FieldValueInvalid", "message": text, "field": "metadata.name" }],
    });
    let message = format!("ConfigMap \"Upper_Case\" is invalid: metadata.name: {text}");
    assert_eq!(
        api.post(&all, &config("Upper_Case")).await.expect(422),
        status(422, "Invalid", &message, details)
    );

    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    let bare =
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" }, "spec": {} });
    let refused = api.post(&deployments, &bare).await.expect(422);
    assert_eq!(refused["reason"], "Invalid");
    let causes = refused["details"]["causes"].as_array().unwrap();
    let required = causes.iter().find(|cause| cause["field"] == "spec.selector").unwrap();
    assert_eq!(required["reason"], "FieldValueRequired");
    let mismatch = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" },
        "spec": { "selector": { "matchLabels": { "app": "a" } }, "template": {
            "metadata": { "labels": { "app": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } } },
    });
    let refused = api.post(&deployments, &mismatch).await.expect(422);
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("`selector` does not match template `labels`"), "{message}");
}

pub(crate) async fn immutable_fields(api: &Api) {
    let namespace = fresh_namespace(api, "refuse").await;
    let deployment = |label: &str| {
        let labels = json!({ "app": label });
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" },
            "spec": { "replicas": 0, "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "i" }] } } },
        })
    };
    let at = format!("/apis/apps/v1/namespaces/{namespace}/deployments/d");
    api.apply(&at, "m", false, &deployment("a")).await.expect(201);
    let refused = api.apply(&at, "m", false, &deployment("b")).await.expect(422);
    assert_eq!(refused["reason"], "Invalid");
    let cause = &refused["details"]["causes"][0];
    assert_eq!(cause["field"], "spec.selector");
    let text = cause["message"].as_str().unwrap();
    assert!(text.starts_with("Invalid value: ") && text.ends_with(": field is immutable"), "{text}");

    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let secret =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "type": "Opaque" });
    api.post(&secrets, &secret).await.expect(201);
    let change = json!({ "type": "example.com/other" });
    let refused = api.patch(&format!("{secrets}/s"), "merge-patch+json", &change).await.expect(422);
    assert_eq!(
        refused["message"],
        "Secret \"s\" is invalid: type: Invalid value: \"example.com/other\": field is immutable"
    );
    let services = format!("/api/v1/namespaces/{namespace}/services");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }] },
    });
    api.post(&services, &service).await.expect(201);
    let change = json!({ "spec": { "clusterIP": "10.1.2.3", "clusterIPs": ["10.1.2.3"] } });
    let refused = api.patch(&format!("{services}/s"), "merge-patch+json", &change).await.expect(422);
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.clusterIPs[0]");

    let configs = format!("/api/v1/namespaces/{namespace}/configmaps");
    let frozen = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "immutable": true, "data": { "a": "1" },
    });
    api.post(&configs, &frozen).await.expect(201);
    let change = json!({ "data": { "a": "2" } });
    let refused = api.patch(&format!("{configs}/c"), "merge-patch+json", &change).await.expect(422);
    assert_eq!(
        refused["message"],
        "ConfigMap \"c\" is invalid: data: Forbidden: field is immutable when `immutable` is set"
    );
}

pub(crate) async fn too_large_or_not_understood(api: &Api) {
    let namespace = fresh_namespace(api, "refuse").await;
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let secret = |bytes: usize| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "big" }, "stringData": { "k": "x".repeat(bytes) },
        })
    };
    let refused = api.post(&secrets, &secret((1 << 20) + 1)).await.expect(422);
    assert_eq!(
        refused["message"],
        "Secret \"big\" is invalid: data: Too long: may not be more than 1048576 bytes"
    );
    let refused = api.post(&secrets, &secret(4 << 20)).await.expect(413);
    assert_eq!(refused["reason"], "RequestEntityTooLarge");

    let configs = format!("/api/v1/namespaces/{namespace}/configmaps");
    let refused = api.raw(Method::POST, &configs, "application/json", "{").await.expect(400);
    assert_eq!(refused["reason"], "BadRequest");
    let wrong = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "c" } });
    let refused = api.post(&configs, &wrong).await.expect(400);
    assert_eq!(refused["reason"], "BadRequest");
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } });
    api.post(&configs, &config).await.expect(201);
    let refused = api.patch(&format!("{configs}/c"), "unknown", &json!({})).await.expect(415);
    assert_eq!(refused["reason"], "UnsupportedMediaType");
    let refused = api.put(&configs, &config).await.expect(405);
    assert_eq!(
        (&refused["reason"], &refused["message"]),
        (
            &json!("MethodNotAllowed"),
            &json!("the server does not allow this method on the requested resource")
        )
    );
}

pub(crate) async fn strangers(api: &Api) {
    let refused = api.stranger().get("/api/v1/namespaces").await.expect(401);
    assert_eq!(
        refused,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
            "reason": "Unauthorized", "code": 401,
        })
    );
}
