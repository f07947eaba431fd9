//! What there is: versions, groups, kinds, custom ones too.

use serde_json::{Value, json};

use crate::client::{Api, fresh_namespace};

fn named<'v>(list: &'v Value, key: &str, name: &str) -> &'v Value {
    let found = list.as_array().unwrap().iter().find(|item| item[key] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}

pub(crate) async fn version_and_groups(api: &Api) {
    let version = api.get("/version").await.expect(200);
    assert_eq!((&version["major"], &version["minor"]), (&json!("1"), &json!("37")));
    assert_eq!(version["gitVersion"], "v1.37.2");
    assert_eq!(api.get("/readyz").await.expect(200), "ok");
    assert_eq!(api.get("/api").await.expect(200)["versions"], json!(["v1"]));
    let groups = api.get("/apis").await.expect(200);
    assert_eq!((&groups["kind"], &groups["apiVersion"]), (&json!("APIGroupList"), &json!("v1")));
    let apps = named(&groups["groups"], "name", "apps");
    assert_eq!(apps["preferredVersion"], json!({ "groupVersion": "apps/v1", "version": "v1" }));
    let one = api.get("/apis/apps").await.expect(200);
    assert_eq!((&one["kind"], &one["versions"]), (&json!("APIGroup"), &apps["versions"]));

    let list = api.get("/apis/apps/v1").await.expect(200);
    assert_eq!((&list["kind"], &list["groupVersion"]), (&json!("APIResourceList"), &json!("apps/v1")));
    let deployments = named(&list["resources"], "name", "deployments");
    assert_eq!(deployments["kind"], "Deployment");
    assert_eq!(deployments["singularName"], "deployment");
    assert_eq!(deployments["namespaced"], true);
    assert_eq!(deployments["shortNames"], json!(["deploy"]));
    assert_eq!(
        deployments["verbs"],
        json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"])
    );
    let status = named(&list["resources"], "name", "deployments/status");
    assert_eq!(status["verbs"], json!(["get", "patch", "update"]));
    let core = api.get("/api/v1").await.expect(200);
    assert_eq!(named(&core["resources"], "name", "namespaces")["namespaced"], false);
    // The kinds a chart is likely to bring.
    for (path, plural) in [
        ("/api/v1", "serviceaccounts"),
        ("/api/v1", "persistentvolumeclaims"),
        ("/apis/apps/v1", "statefulsets"),
        ("/apis/apps/v1", "daemonsets"),
        ("/apis/batch/v1", "cronjobs"),
        ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
        ("/apis/networking.k8s.io/v1", "ingresses"),
        ("/apis/policy/v1", "poddisruptionbudgets"),
        ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
        ("/apis/admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"),
    ] {
        named(&api.get(path).await.expect(200)["resources"], "name", plural);
    }
}

pub(crate) async fn aggregated_discovery(api: &Api) {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let body = api.get_as("/apis", accept).await.expect(200);
    assert_eq!(body["kind"], "APIGroupDiscoveryList");
    assert_eq!(body["apiVersion"], "apidiscovery.k8s.io/v2");
    let apps =
        body["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "apps").unwrap();
    let version = named(&apps["versions"], "version", "v1");
    let deployments = named(&version["resources"], "resource", "deployments");
    assert_eq!(deployments["scope"], "Namespaced");
    assert_eq!(deployments["singularResource"], "deployment");
    // Empty: the same as what it is listed under.
    assert_eq!(deployments["responseKind"], json!({ "group": "", "version": "", "kind": "Deployment" }));
    let core = api.get_as("/api", accept).await.expect(200);
    let version = named(&core["items"][0]["versions"], "version", "v1");
    assert_eq!(named(&version["resources"], "resource", "nodes")["scope"], "Cluster");
}

pub(crate) async fn a_custom_resource_is_served_once_defined(api: &Api) {
    let group = format!("{}.example", uuid::Uuid::new_v4().simple());
    let name = format!("widgets.{group}");
    let spec = json!({ "type": "object", "properties": {
        "size": { "type": "integer" }, "parts": { "type": "array", "items": { "type": "string" } },
    } });
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let schema = json!({ "type": "object", "properties": { "spec": spec, "status": open } });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": name },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": schema },
            }],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    api.get(&format!("/apis/{group}/v1")).await.expect(404);
    api.apply(&format!("{definitions}/{name}"), "sluice", false, &definition).await.expect(201);
    api.until(definitions, &name, "it is established", |live| {
        let conditions = live["status"]["conditions"].as_array();
        conditions.is_some_and(|all| {
            all.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True")
        })
    })
    .await;
    let namespace = fresh_namespace(api, "custom").await;
    let widgets = format!("/apis/{group}/v1/namespaces/{namespace}/widgets");
    let widget = |size: i64| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": { "name": "w" },
            "spec": { "size": size, "parts": ["a", "b"] },
        })
    };
    let created = api.apply(&format!("{widgets}/w"), "sluice", false, &widget(1)).await.expect(201);
    assert_eq!(created["metadata"]["generation"], 1);
    let changed = api.apply(&format!("{widgets}/w"), "sluice", false, &widget(2)).await.expect(200);
    assert_eq!(changed["metadata"]["generation"], 2);
    let fields = &changed["metadata"]["managedFields"][0]["fieldsV1"];
    assert_eq!(*fields, json!({ "f:spec": { "f:size": {}, "f:parts": {} } }), "an unmarked list is atomic");
    let listed = api.get(&widgets).await.expect(200);
    assert_eq!((&listed["kind"], &listed["items"][0]["spec"]["size"]), (&json!("WidgetList"), &json!(2)));
    // The status is a thing of its own.
    let status = json!({ "status": { "ready": true } });
    let with = api.patch(&format!("{widgets}/w/status"), "merge-patch+json", &status).await.expect(200);
    assert_eq!((&with["status"]["ready"], &with["metadata"]["generation"]), (&json!(true), &json!(2)));
    let without =
        api.patch(&format!("{widgets}/w"), "merge-patch+json", &json!({ "status": null })).await.expect(200);
    assert_eq!(without["status"]["ready"], true);

    api.delete(&format!("{definitions}/{name}"), &json!({})).await.expect(200);
    api.until(definitions, &name, "it is gone", Value::is_null).await;
}
