//! Server-side apply: create, change, no change, removal, conflict, force, lists, dry run.

use serde_json::{Value, json};

use crate::client::{Api, fresh_namespace};

fn config(name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

/// Manager, operation, subresource and fields of every entry.
fn managers(object: &Value) -> Vec<Value> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().map(|entry| json!([entry["manager"], entry["operation"], entry["fieldsV1"]])).collect()
}

pub(crate) async fn creates_changes_and_leaves_alone(api: &Api) {
    let namespace = fresh_namespace(api, "apply").await;
    let at = path(&namespace, "c");
    let mut wanted = config("c", json!({ "a": "1" }));
    wanted["metadata"]["labels"] = json!({ "app": "x" });
    let created = api.apply(&at, "sluice", false, &wanted).await.expect(201);
    assert_eq!((&created["kind"], &created["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
    assert_eq!(created["metadata"]["namespace"], *namespace);
    assert!(created["metadata"]["uid"].is_string() && created["metadata"]["creationTimestamp"].is_string());
    assert!(created["metadata"].get("generation").is_none(), "ConfigMaps have no generation");
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!((&entry["apiVersion"], &entry["fieldsType"]), (&json!("v1"), &json!("FieldsV1")));
    assert!(entry["time"].is_string() && entry.get("subresource").is_none());
    let fields = json!({ "f:data": { "f:a": {} }, "f:metadata": { "f:labels": { "f:app": {} } } });
    assert_eq!(managers(&created), [json!(["sluice", "Apply", fields])]);

    let again = api.apply(&at, "sluice", false, &wanted).await.expect(200);
    assert_eq!(again, created, "the same once more changes nothing at all");
    wanted["data"]["a"] = json!("2");
    let changed = api.apply(&at, "sluice", false, &wanted).await.expect(200);
    assert_eq!(changed["data"]["a"], "2");
    assert_eq!(changed["metadata"]["uid"], created["metadata"]["uid"]);
    assert_ne!(changed["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    assert_eq!(api.get(&at).await.expect(200), changed);
}

pub(crate) async fn fields_left_out_are_removed(api: &Api) {
    let namespace = fresh_namespace(api, "apply").await;
    let at = path(&namespace, "c");
    api.apply(&at, "one", false, &config("c", json!({ "a": "1", "b": "1", "c": "1" }))).await.expect(201);
    api.apply(&at, "two", false, &config("c", json!({ "b": "1" }))).await.expect(200);
    let left = api.apply(&at, "one", false, &config("c", json!({ "a": "1" }))).await.expect(200);
    assert_eq!(left["data"], json!({ "a": "1", "b": "1" }), "what the other wants too stays");
    let gone = api.apply(&at, "two", false, &config("c", json!({}))).await.expect(200);
    assert_eq!(gone["data"], json!({ "a": "1" }));
    // A field without a manager is nobody's to remove.
    let patched = api.patch(&at, "merge-patch+json", &json!({ "data": { "z": "9" } })).await.expect(200);
    assert_eq!(patched["data"], json!({ "a": "1", "z": "9" }));
    let kept = api.apply(&at, "one", false, &config("c", json!({ "a": "1" }))).await.expect(200);
    assert_eq!(kept["data"]["z"], "9");
}

pub(crate) async fn anothers_field_is_a_conflict(api: &Api) {
    let namespace = fresh_namespace(api, "apply").await;
    let at = path(&namespace, "c");
    api.apply(&at, "one", false, &config("c", json!({ "a": "1", "b": "1" }))).await.expect(201);
    let refused = api.apply(&at, "two", false, &config("c", json!({ "a": "2" }))).await.expect(409);
    assert_eq!(
        refused,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict", "code": 409,
            "message": "Apply failed with 1 conflict: conflict with \"one\": .data.a",
            "details": { "causes": [
                { "reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.a" },
            ] },
        })
    );
    let refused = api.apply(&at, "two", false, &config("c", json!({ "a": "2", "b": "2" }))).await.expect(409);
    assert_eq!(
        refused["message"],
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b"
    );
    // The same value is shared, not fought over.
    let shared = api.apply(&at, "two", false, &config("c", json!({ "a": "1" }))).await.expect(200);
    assert_eq!(managers(&shared).len(), 2);
    let refused =
        api.apply(&at, "three", false, &config("c", json!({ "a": "3", "b": "3" }))).await.expect(409);
    assert_eq!(
        refused["message"],
        "Apply failed with 3 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b\nconflicts with \"two\":\n- .data.a"
    );
    let forced = api.apply(&at, "three", true, &config("c", json!({ "a": "3" }))).await.expect(200);
    assert_eq!(forced["data"], json!({ "a": "3", "b": "1" }));
    let mut owners = managers(&forced);
    owners.sort_by_key(Value::to_string);
    let field = |name: &str| json!({ "f:data": { name: {} } });
    assert_eq!(owners[0], json!(["one", "Apply", field("f:b")]));
    assert_eq!(*owners.last().unwrap(), json!(["three", "Apply", field("f:a")]));
    // Against a writer that does not apply, the text names its operation's version.
    api.patch(
        &format!("{at}?fieldManager=kubectl-edit"),
        "merge-patch+json",
        &json!({ "data": { "b": "5" } }),
    )
    .await
    .expect(200);
    let refused = api.apply(&at, "one", false, &config("c", json!({ "b": "1" }))).await.expect(409);
    let text = refused["message"].as_str().unwrap();
    assert!(
        text.starts_with("Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1"),
        "{text}"
    );
}

fn deployment(containers: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": { "app": "d" } },
            "template": { "metadata": { "labels": { "app": "d" } }, "spec": { "containers": containers } },
        },
    })
}

pub(crate) async fn lists_merge_by_their_keys(api: &Api) {
    let namespace = fresh_namespace(api, "apply").await;
    let at = format!("/apis/apps/v1/namespaces/{namespace}/deployments/d");
    let ports =
        json!([{ "containerPort": 80, "protocol": "TCP" }, { "containerPort": 80, "protocol": "UDP" }]);
    let env = json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "1" }]);
    let web = json!({ "name": "web", "image": "web:1", "ports": ports, "env": env, "args": ["a", "b"] });
    let created = api.apply(&at, "one", false, &deployment(json!([web]))).await.expect(201);
    assert_eq!(created["metadata"]["generation"], 1);
    let fields = &created["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"];
    assert_eq!(fields["f:selector"], json!({}), "a selector is atomic");
    let container = &fields["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"web\"}"];
    assert_eq!(
        *container,
        json!({
            ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
            "f:env": {
                "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:value": {} },
                "k:{\"name\":\"B\"}": { ".": {}, "f:name": {}, "f:value": {} },
            },
            "f:ports": {
                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {}, "f:protocol": {} },
                "k:{\"containerPort\":80,\"protocol\":\"UDP\"}": { ".": {}, "f:containerPort": {}, "f:protocol": {} },
            },
        })
    );
    // Another manager brings a container of its own.
    let side = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "side", "image": "side:1" }] } } } });
    let mut side = side;
    side["apiVersion"] = json!("apps/v1");
    side["kind"] = json!("Deployment");
    let both = api.apply(&at, "two", false, &side).await.expect(200);
    let names = |object: &Value| -> Vec<String> {
        let all = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        all.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&both), ["web", "side"]);
    assert_eq!(both["metadata"]["generation"], 2);
    // The first one drops a variable and leaves the second's container alone.
    let web = json!({ "name": "web", "image": "web:1", "ports": ports, "env": [{ "name": "B", "value": "1" }], "args": ["c"] });
    let changed = api.apply(&at, "one", false, &deployment(json!([web]))).await.expect(200);
    assert_eq!(names(&changed), ["web", "side"]);
    let container = &changed["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"], json!([{ "name": "B", "value": "1" }]));
    assert_eq!(container["args"], json!(["c"]));
    side["spec"] = json!({});
    let alone = api.apply(&at, "two", false, &side).await.expect(200);
    assert_eq!(names(&alone), ["web"]);
}

pub(crate) async fn a_dry_run_writes_nothing(api: &Api) {
    let namespace = fresh_namespace(api, "apply").await;
    let at = path(&namespace, "c");
    let query = format!("{at}?fieldManager=sluice&dryRun=All");
    let shown = api.patch(&query, "apply-patch+yaml", &config("c", json!({ "a": "1" }))).await.expect(201);
    assert_eq!(shown["data"]["a"], "1");
    api.get(&at).await.expect(404);
    let real = api.apply(&at, "sluice", false, &config("c", json!({ "a": "1" }))).await.expect(201);
    let shown = api.patch(&query, "apply-patch+yaml", &config("c", json!({ "a": "2" }))).await.expect(200);
    assert_eq!(shown["data"]["a"], "2");
    assert_eq!(api.get(&at).await.expect(200), real);
}

pub(crate) async fn what_an_apply_must_say(api: &Api) {
    let namespace = fresh_namespace(api, "apply").await;
    let at = path(&namespace, "c");
    let refused = api.patch(&at, "apply-patch+yaml", &config("c", json!({}))).await.expect(422);
    assert_eq!(
        refused["message"],
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
    );
    let mut with_fields = config("c", json!({}));
    with_fields["metadata"]["managedFields"] = json!([{ "manager": "x" }]);
    let refused = api.apply(&at, "sluice", false, &with_fields).await.expect(400);
    assert_eq!(refused["message"], "metadata.managedFields must be nil");
    let refused = api.apply(&at, "sluice", false, &config("other", json!({}))).await.expect(400);
    assert_eq!(refused["message"], "the name of the object (other) does not match the name on the URL (c)");
    let mut elsewhere = config("c", json!({}));
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    let refused = api.apply(&at, "sluice", false, &elsewhere).await.expect(400);
    assert_eq!(
        refused["message"],
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    // YAML is taken as well as JSON.
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  a: \"1\"\n";
    let query = format!("{at}?fieldManager=sluice");
    let created =
        api.raw(reqwest::Method::PATCH, &query, "application/apply-patch+yaml", yaml).await.expect(201);
    assert_eq!(created["data"]["a"], "1");
}
