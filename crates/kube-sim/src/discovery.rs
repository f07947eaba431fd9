//! What clients ask before anything else: version, health, and which kinds there are (plain and aggregated).

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::handlers::json_answer;
use crate::resources::Resource;
use crate::store::Cluster;

/// The version this server says it is.
const VERSION: &str = "v1.37.2";

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

fn text(body: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// Answers a path of discovery, or leaves it to the resources.
pub(crate) fn answer(cluster: &Cluster, parts: &[&str], headers: &HeaderMap) -> Option<Response<Body>> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let aggregated = accept.contains("APIGroupDiscoveryList");
    let body = match parts {
        ["version"] => json!({
            "major": "1", "minor": "37", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "gc", "platform": "linux/amd64",
        }),
        ["healthz" | "livez" | "readyz", ..] => return Some(text("ok")),
        ["api"] if aggregated => return Some(aggregated_answer(cluster, true)),
        ["apis"] if aggregated => return Some(aggregated_answer(cluster, false)),
        ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }),
        ["api", "v1"] => resource_list(cluster, "", "v1"),
        ["apis"] => {
            let groups: Vec<Value> = groups(cluster).iter().map(|group| group_json(cluster, group)).collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
        }
        ["apis", group] => {
            if !groups(cluster).iter().any(|known| known == group) {
                return None;
            }
            let mut body = group_json(cluster, group);
            body["kind"] = json!("APIGroup");
            body["apiVersion"] = json!("v1");
            body
        }
        ["apis", group, version] => {
            if !cluster.resources().iter().any(|known| known.group == *group && known.version == *version) {
                return None;
            }
            resource_list(cluster, group, version)
        }
        // An empty protobuf message is an empty document: clients then validate nothing on their side.
        ["openapi", "v2"] if accept.contains("protobuf") => {
            let mut answer = Response::new(Body::empty());
            let kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            return Some(answer);
        }
        ["openapi", "v3"] => json!({ "paths": {} }),
        ["openapi", "v2"] => json!({
            "swagger": "2.0", "info": { "title": "Kubernetes", "version": VERSION }, "paths": {}, "definitions": {},
        }),
        _ => return None,
    };
    Some(json_answer(StatusCode::OK, &body))
}

fn groups(cluster: &Cluster) -> Vec<String> {
    let mut groups = Vec::new();
    for resource in cluster.resources() {
        if !resource.group.is_empty() && !groups.contains(&resource.group) {
            groups.push(resource.group);
        }
    }
    groups
}

fn versions(cluster: &Cluster, group: &str) -> Vec<String> {
    let mut versions = Vec::new();
    for resource in cluster.resources() {
        if resource.group == group && !versions.contains(&resource.version) {
            versions.push(resource.version);
        }
    }
    versions
}

fn group_json(cluster: &Cluster, group: &str) -> Value {
    let versions: Vec<Value> = versions(cluster, group)
        .iter()
        .map(|version| json!({ "groupVersion": format!("{group}/{version}"), "version": version }))
        .collect();
    json!({ "name": group, "versions": versions, "preferredVersion": versions.first() })
}

fn resource_list(cluster: &Cluster, group: &str, version: &str) -> Value {
    let mut list = Vec::new();
    for resource in cluster.resources() {
        if resource.group != group || resource.version != version {
            continue;
        }
        list.push(json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": VERBS, "shortNames": resource.short_names,
        }));
        for subresource in &resource.subresources {
            list.push(json!({
                "name": format!("{}/{subresource}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": resource.kind, "verbs": ["get", "patch", "update"],
            }));
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list })
}

fn aggregated_answer(cluster: &Cluster, core: bool) -> Response<Body> {
    let resources = cluster.resources();
    let names = if core { vec![String::new()] } else { groups(cluster) };
    let items: Vec<Value> = names
        .iter()
        .map(|group| {
            let versions: Vec<Value> = versions(cluster, group)
                .iter()
                .map(|version| {
                    let list: Vec<Value> = resources
                        .iter()
                        .filter(|resource| resource.group == *group && resource.version == *version)
                        .map(aggregated_resource)
                        .collect();
                    json!({ "version": version, "freshness": "Current", "resources": list })
                })
                .collect();
            json!({ "metadata": { "name": group, "creationTimestamp": null }, "versions": versions })
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    let mut answer = json_answer(StatusCode::OK, &body);
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    );
    answer
}

fn aggregated_resource(resource: &Resource) -> Value {
    // Empty: the group and version that it is listed under.
    let kind = json!({ "group": "", "version": "", "kind": resource.kind });
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|subresource| {
            json!({ "subresource": subresource, "responseKind": kind, "verbs": ["get", "patch", "update"] })
        })
        .collect();
    json!({
        "resource": resource.plural, "responseKind": kind,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular, "verbs": VERBS, "shortNames": resource.short_names,
        "subresources": subresources,
    })
}
