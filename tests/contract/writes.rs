//! Create, read, replace, patch, list.

use serde_json::{Value, json};

use crate::client::{Api, fresh_namespace};

fn config(name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

fn configs(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

pub(crate) async fn create_read_replace(api: &Api) {
    let namespace = fresh_namespace(api, "writes").await;
    let all = configs(&namespace);
    let created = api.post(&all, &config("c", json!({ "a": "1" }))).await.expect(201);
    assert_eq!(api.get(&format!("{all}/c")).await.expect(200), created);
    let mut changed = created.clone();
    changed["data"] = json!({ "b": "2" });
    let replaced = api.put(&format!("{all}/c"), &changed).await.expect(200);
    assert_eq!(replaced["data"], json!({ "b": "2" }));
    assert_eq!(replaced["metadata"]["uid"], created["metadata"]["uid"]);
    let same = api.put(&format!("{all}/c"), &replaced).await.expect(200);
    assert_eq!(
        same["metadata"]["resourceVersion"], replaced["metadata"]["resourceVersion"],
        "nothing changed"
    );
    // A name can be left to the server.
    let mut unnamed = config("", json!({}));
    unnamed["metadata"] = json!({ "generateName": "made-" });
    let named = api.post(&all, &unnamed).await.expect(201);
    let name = named["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("made-") && name.len() == 10, "{name}");
}

pub(crate) async fn stale_replacements(api: &Api) {
    let namespace = fresh_namespace(api, "writes").await;
    let at = format!("{}/c", configs(&namespace));
    let first = api.post(&configs(&namespace), &config("c", json!({ "a": "1" }))).await.expect(201);
    let mut second = first.clone();
    second["data"]["a"] = json!("2");
    api.put(&at, &second).await.expect(200);
    let refused = api.put(&at, &second).await.expect(409);
    assert_eq!(
        refused,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict", "code": 409,
            "message": "Operation cannot be fulfilled on configmaps \"c\": the object has been modified; please apply your changes to the latest version and try again",
            "details": { "name": "c", "kind": "configmaps" },
        })
    );
    let patch = json!({ "metadata": { "resourceVersion": first["metadata"]["resourceVersion"] }, "data": { "a": "9" } });
    api.patch(&at, "merge-patch+json", &patch).await.expect(409);
    let refused = api.post(&configs(&namespace), &config("c", json!({}))).await.expect(409);
    assert_eq!(
        (&refused["reason"], &refused["message"], &refused["details"]),
        (
            &json!("AlreadyExists"),
            &json!("configmaps \"c\" already exists"),
            &json!({ "name": "c", "kind": "configmaps" })
        )
    );
}

pub(crate) async fn three_older_patches(api: &Api) {
    let namespace = fresh_namespace(api, "writes").await;
    let at = format!("{}/c", configs(&namespace));
    api.post(&configs(&namespace), &config("c", json!({ "a": "1", "b": "1" }))).await.expect(201);
    let merged = json!({ "data": { "a": null, "c": "3" } });
    let merged = api.patch(&at, "merge-patch+json", &merged).await.expect(200);
    assert_eq!(merged["data"], json!({ "b": "1", "c": "3" }));
    let operations = json!([
        { "op": "test", "path": "/data/b", "value": "1" },
        { "op": "replace", "path": "/data/b", "value": "2" },
        { "op": "add", "path": "/data/d", "value": "4" },
        { "op": "remove", "path": "/data/c" },
    ]);
    let patched = api.patch(&at, "json-patch+json", &operations).await.expect(200);
    assert_eq!(patched["data"], json!({ "b": "2", "d": "4" }));
    let failing = json!([{ "op": "test", "path": "/data/b", "value": "7" }]);
    let refused = api.patch(&at, "json-patch+json", &failing).await.expect(422);
    assert_eq!((&refused["reason"], &refused["status"]), (&json!("Invalid"), &json!("Failure")));
    let same = api.patch(&at, "merge-patch+json", &json!({ "data": { "b": "2" } })).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], patched["metadata"]["resourceVersion"]);

    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    let labels = json!({ "app": "d" });
    let containers = json!([{ "name": "a", "image": "a:1" }, { "name": "b", "image": "b:1" }]);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" },
        "spec": { "replicas": 0, "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels }, "spec": { "containers": containers } } },
    });
    api.post(&deployments, &deployment).await.expect(201);
    let change = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "b", "image": "b:2" }, { "name": "a", "$patch": "delete" }, { "name": "c", "image": "c:1" },
    ] } } } });
    let at = format!("{deployments}/d");
    let changed = api.patch(&at, "strategic-merge-patch+json", &change).await.expect(200);
    let mut images: Vec<&str> = changed["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["image"].as_str().unwrap())
        .collect();
    images.sort_unstable();
    assert_eq!(images, ["b:2", "c:1"]);
    assert_eq!(changed["metadata"]["generation"], 2);
    let change =
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "z", "image": "z:1" }] } } } });
    let replaced = api.patch(&at, "merge-patch+json", &change).await.expect(200);
    assert_eq!(replaced["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 1);
}

pub(crate) async fn selectors_and_representations(api: &Api) {
    let namespace = fresh_namespace(api, "writes").await;
    let all = configs(&namespace);
    for (name, owner) in [("one", "helm"), ("two", "helm"), ("three", "other")] {
        let mut object = config(name, json!({ "k": "v" }));
        object["metadata"]["labels"] = json!({ "owner": owner, name: "x" });
        api.post(&all, &object).await.expect(201);
    }
    let names = async |query: &str| -> Vec<String> {
        let list = api.get(&format!("{all}?{query}")).await.expect(200);
        assert_eq!(list["kind"], "ConfigMapList");
        assert!(list["metadata"]["resourceVersion"].is_string());
        let items = list["items"].as_array().unwrap();
        let names = items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned());
        // Every namespace of a cluster with controllers gets one more.
        names.filter(|name| name != "kube-root-ca.crt").collect()
    };
    assert_eq!(names("").await, ["one", "three", "two"], "in order of their names");
    assert_eq!(names("labelSelector=owner%3Dhelm").await, ["one", "two"]);
    assert_eq!(names("labelSelector=owner%3Dhelm,one").await, ["one"]);
    assert_eq!(names("labelSelector=owner+in+(other,more),!one").await, ["three"]);
    assert_eq!(names("labelSelector=owner%21%3Dhelm,owner").await, ["three"]);
    assert_eq!(names("fieldSelector=metadata.name%3Dtwo").await, ["two"]);
    let refused = api.get(&format!("{all}?labelSelector=a%3D%3D%3Db")).await.expect(400);
    assert_eq!(refused["reason"], "BadRequest");

    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = api.get_as(&format!("{all}?labelSelector=one"), accept).await.expect(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    let item = &list["items"][0];
    assert_eq!(item["metadata"]["name"], "one");
    assert!(item.get("data").is_none());
    let accept = "application/json;as=Table;g=meta.k8s.io;v=v1";
    let table = api.get_as(&format!("{all}?labelSelector=one"), accept).await.expect(200);
    assert_eq!((&table["kind"], &table["rows"][0]["cells"][0]), (&json!("Table"), &json!("one")));
    // A list in pages.
    let first = api.get(&format!("{all}?labelSelector=owner&limit=2")).await.expect(200);
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = api.get(&format!("{all}?labelSelector=owner&limit=2&continue={token}")).await.expect(200);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(rest["items"][0]["metadata"]["name"], "two");
    assert!(rest["metadata"].get("continue").is_none_or(|token| token == ""));
}

pub(crate) async fn secrets_and_services_are_completed(api: &Api) {
    let namespace = fresh_namespace(api, "writes").await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "k": "v" },
    });
    let secret = api.post(&format!("/api/v1/namespaces/{namespace}/secrets"), &secret).await.expect(201);
    assert_eq!((&secret["data"], &secret["type"]), (&json!({ "k": "dg==" }), &json!("Opaque")));
    assert!(secret.get("stringData").is_none());

    let services = format!("/api/v1/namespaces/{namespace}/services");
    let service = |kind: Option<&str>| {
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s" },
            "spec": { "selector": { "app": "s" }, "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] },
        });
        if let Some(kind) = kind {
            service["spec"]["type"] = json!(kind);
        }
        service
    };
    let at = format!("{services}/s");
    let created = api.apply(&at, "sluice", false, &service(None)).await.expect(201);
    let spec = &created["spec"];
    assert_eq!((&spec["type"], &spec["sessionAffinity"]), (&json!("ClusterIP"), &json!("None")));
    assert_eq!(
        spec["ports"],
        json!([{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": "http" }])
    );
    let address = spec["clusterIP"].as_str().unwrap().to_owned();
    assert!(address.parse::<std::net::Ipv4Addr>().is_ok(), "{address}");
    assert_eq!(spec["clusterIPs"], json!([address]));
    assert_eq!(api.apply(&at, "sluice", false, &service(None)).await.expect(200), created);

    let opened = api.apply(&at, "sluice", false, &service(Some("NodePort"))).await.expect(200);
    let port = opened["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
    assert!((30_000..32_768).contains(&port));
    assert_eq!(opened["spec"]["clusterIP"], *address);
    let again = api.apply(&at, "sluice", false, &service(Some("NodePort"))).await.expect(200);
    assert_eq!(again["metadata"]["resourceVersion"], opened["metadata"]["resourceVersion"]);
    let closed = api.apply(&at, "sluice", false, &service(Some("ClusterIP"))).await.expect(200);
    assert!(closed["spec"]["ports"][0].get("nodePort").is_none());
}

pub(crate) async fn an_update_takes_fields_over(api: &Api) {
    let namespace = fresh_namespace(api, "writes").await;
    let all = configs(&namespace);
    let at = format!("{all}/c");
    api.apply(&at, "sluice", false, &config("c", json!({ "a": "1", "b": "1" }))).await.expect(201);
    let change = json!({ "data": { "a": "2", "c": "3" } });
    let query = format!("{at}?fieldManager=kubectl-edit");
    let changed = api.patch(&query, "merge-patch+json", &change).await.expect(200);
    let entries = changed["metadata"]["managedFields"].as_array().unwrap();
    let of = |manager: &str| entries.iter().find(|entry| entry["manager"] == manager).unwrap();
    assert_eq!(of("kubectl-edit")["operation"], "Update");
    assert_eq!(of("kubectl-edit")["fieldsV1"], json!({ "f:data": { "f:a": {}, "f:c": {} } }));
    assert_eq!(of("sluice")["fieldsV1"], json!({ "f:data": { "f:b": {} } }));
    // Created by an update, whole maps are owned too.
    let made =
        api.post(&format!("{all}?fieldManager=maker"), &config("d", json!({ "a": "1" }))).await.expect(201);
    assert_eq!(made["metadata"]["managedFields"][0]["fieldsV1"], json!({ "f:data": { ".": {}, "f:a": {} } }));
}
