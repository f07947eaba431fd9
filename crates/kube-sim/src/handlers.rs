//! From an HTTP request to the store: paths, verbs, query parameters, representations.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::apply::Writer;
use crate::patch;
use crate::resources::Resource;
use crate::select::Selector;
use crate::status::{self, Failure};
use crate::store::{Cluster, Propagation, WriteOptions};
use crate::watch::{self, WatchRequest};
use crate::{discovery, server::Query};

/// One API request, taken apart.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What the path names below `/api/v1` or `/apis/group/version`.
struct Target {
    resource: Resource,
    namespace: Option<String>,
    name: Option<String>,
    subresource: String,
}

pub(crate) fn json_answer(code: StatusCode, body: &Value) -> Response<Body> {
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = code;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub(crate) fn failure_answer(failure: &Failure) -> Response<Body> {
    let mut answer = json_answer(failure.code, &failure.body);
    if let Some(seconds) = failure.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Answers one request to one cluster.
pub(crate) fn answer(cluster: &Arc<Cluster>, request: &Request) -> Response<Body> {
    match route(cluster, request) {
        Ok(answer) => answer,
        Err(failure) => failure_answer(&failure),
    }
}

fn route(cluster: &Arc<Cluster>, request: &Request) -> Result<Response<Body>, Failure> {
    let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
    if let Some(answer) = discovery::answer(cluster, &parts, &request.headers) {
        return Ok(answer);
    }
    let target = target(cluster, &parts)?;
    match (&request.method, &target.name) {
        (&Method::GET, None) if request.query.is_true("watch") => watch_list(cluster, &target, request),
        (&Method::GET, None) => list(cluster, &target, request),
        (&Method::GET, Some(name)) => {
            let object = cluster.get(&target.resource, target.namespace.as_deref(), name)?;
            Ok(represent(StatusCode::OK, &object, &target, request))
        }
        (&Method::POST, None) => create(cluster, &target, request),
        (&Method::PUT, Some(name)) => replace(cluster, &target, name, request),
        (&Method::PATCH, Some(name)) => change(cluster, &target, name, request),
        (&Method::DELETE, Some(name)) => delete(cluster, &target, name, request),
        (&Method::DELETE, None) => delete_all(cluster, &target, request),
        _ => Err(status::method_not_allowed()),
    }
}

fn target(cluster: &Cluster, parts: &[&str]) -> Result<Target, Failure> {
    let (group, version, rest) = match parts {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(status::no_such_resource()),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..]
            if !rest.is_empty() && (!group.is_empty() || !matches!(rest, ["status" | "finalize"])) =>
        {
            (Some((*namespace).to_owned()), rest)
        }
        rest => (None, rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, None, ""),
        [plural, name] => (*plural, Some((*name).to_owned()), ""),
        [plural, name, subresource] => (*plural, Some((*name).to_owned()), *subresource),
        _ => return Err(status::no_such_resource()),
    };
    let resource = cluster.find(group, version, plural).ok_or_else(status::no_such_resource)?;
    if !subresource.is_empty() && !resource.subresources.iter().any(|known| known == subresource) {
        return Err(status::no_such_resource());
    }
    if namespace.is_some() && !resource.namespaced {
        return Err(status::no_such_resource());
    }
    if namespace.is_none() && resource.namespaced && name.is_some() {
        return Err(status::no_such_resource());
    }
    Ok(Target { resource, namespace, name, subresource: subresource.to_owned() })
}

fn wants(request: &Request, kind: &str) -> bool {
    request
        .headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.split(',').next().unwrap_or_default().contains(&format!("as={kind}")))
}

fn represent(code: StatusCode, object: &Value, target: &Target, request: &Request) -> Response<Body> {
    if wants(request, "PartialObjectMetadata") {
        json_answer(code, &watch::partial(object))
    } else if wants(request, "Table") {
        json_answer(code, &table(std::slice::from_ref(object), target, None))
    } else {
        json_answer(code, object)
    }
}

fn table(objects: &[Value], target: &Target, version: Option<u64>) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let created = object["metadata"]["creationTimestamp"].clone();
            json!({
                "cells": [object["metadata"]["name"], created],
                "object": watch::partial(object),
            })
        })
        .collect();
    let mut metadata = json!({});
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version.to_string());
    }
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": [
            { "name": "Name", "type": "string", "format": "name", "description": "", "priority": 0 },
            { "name": "Created At", "type": "date", "format": "", "description": target.resource.kind, "priority": 0 },
        ],
        "rows": rows,
    })
}

fn selector(request: &Request) -> Result<Selector, Failure> {
    Selector::parse(request.query.get("labelSelector"), request.query.get("fieldSelector"))
}

fn list(cluster: &Cluster, target: &Target, request: &Request) -> Result<Response<Body>, Failure> {
    let (objects, version) = cluster.list(&target.resource, target.namespace.as_deref(), &selector(request)?);
    let Page { objects, next, left } = page(&objects, request)?;
    let metadata_only = wants(request, "PartialObjectMetadataList");
    let items: Vec<Value> = objects
        .iter()
        .map(|object| if metadata_only { watch::partial(object) } else { (**object).clone() })
        .collect();
    if wants(request, "Table") {
        return Ok(json_answer(StatusCode::OK, &table(&items, target, Some(version))));
    }
    let (kind, api_version) = if metadata_only {
        ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        (format!("{}List", target.resource.kind), target.resource.api_version())
    };
    let mut body = json!({
        "kind": kind, "apiVersion": api_version,
        "metadata": { "resourceVersion": version.to_string() }, "items": items,
    });
    if let Some(next) = next {
        body["metadata"]["continue"] = json!(next);
        body["metadata"]["remainingItemCount"] = json!(left);
    }
    Ok(json_answer(StatusCode::OK, &body))
}

/// One page of a list.
struct Page<'o> {
    objects: &'o [Arc<Value>],
    /// The token for the next page: the place of the last object, so objects that come or go meanwhile do no harm.
    next: Option<String>,
    left: usize,
}

fn page<'o>(objects: &'o [Arc<Value>], request: &Request) -> Result<Page<'o>, Failure> {
    let place = |object: &Value| {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        format!("{}/{}", text("namespace"), text("name"))
    };
    let after = match request.query.get("continue").filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => {
            let bytes = hex::decode(token).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            Some(text.ok_or_else(|| status::bad_request("continue key is not valid"))?)
        }
    };
    let split = |place: &str| place.split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned()));
    let from = match after {
        None => 0,
        Some(after) => objects.partition_point(|object| split(&place(object)) <= split(&after)),
    };
    let rest = &objects[from..];
    let limit = request.query.get("limit").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    if limit == 0 || rest.len() <= limit {
        return Ok(Page { objects: rest, next: None, left: 0 });
    }
    let next = rest[limit - 1].as_ref();
    Ok(Page { objects: &rest[..limit], next: Some(hex::encode(place(next))), left: rest.len() - limit })
}

fn watch_list(cluster: &Arc<Cluster>, target: &Target, request: &Request) -> Result<Response<Body>, Failure> {
    let selector = selector(request)?;
    let asked = request.query.get("resourceVersion").unwrap_or_default();
    let send_initial_events = request.query.is_true("sendInitialEvents");
    let (from, initial) = if send_initial_events || asked.is_empty() || asked == "0" {
        let (objects, version) = cluster.list(&target.resource, target.namespace.as_deref(), &selector);
        (version, objects.iter().map(|object| (**object).clone()).collect())
    } else {
        let from = asked
            .parse::<u64>()
            .map_err(|_| status::bad_request(format!("invalid resource version: {asked}")))?;
        // A position that is too old is told of within the stream.
        (from, Vec::new())
    };
    let seconds = request.query.get("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(1800);
    let stream = watch::stream(
        Arc::clone(cluster),
        WatchRequest {
            resource: target.resource.clone(),
            namespace: target.namespace.clone(),
            selector,
            from,
            initial,
            bookmarks: request.query.is_true("allowWatchBookmarks"),
            send_initial_events,
            timeout: Duration::from_secs(seconds),
            metadata_only: wants(request, "PartialObjectMetadata"),
        },
    );
    let mut answer = Response::new(Body::from_stream(stream));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}

fn options(target: &Target, request: &Request) -> Result<WriteOptions, Failure> {
    let agent = request
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .and_then(|agent| agent.split('/').next())
        .unwrap_or("unknown");
    let manager = request.query.get("fieldManager").unwrap_or(agent);
    if manager.len() > 128 {
        return Err(status::bad_request("fieldManager: Too long: may not be more than 128 bytes"));
    }
    Ok(WriteOptions {
        writer: Writer { manager: manager.to_owned(), subresource: target.subresource.clone() },
        dry_run: request.query.get("dryRun") == Some("All"),
    })
}

fn body(request: &Request) -> Result<Value, Failure> {
    let content =
        request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if content.contains("yaml") && !matches!(request.body.first(), Some(b'{')) {
        let text = std::str::from_utf8(&request.body)
            .map_err(|error| status::bad_request(format!("error decoding YAML: {error}")))?;
        return goyaml::yaml_to_json(text)
            .map_err(|error| status::bad_request(format!("error decoding YAML: {error}")));
    }
    if content.contains("protobuf") || content.contains("cbor") {
        return Err(status::unsupported_media_type(content));
    }
    serde_json::from_slice(&request.body)
        .map_err(|error| status::bad_request(format!("couldn't get version/kind; json parse error: {error}")))
}

/// The body must be an object of the kind and name that the path says.
fn fitting(target: &Target, name: Option<&str>, object: &Value) -> Result<(), Failure> {
    let (kind, version) = (object["kind"].as_str(), object["apiVersion"].as_str());
    let expected = target.resource.api_version();
    if kind.is_some_and(|kind| kind != target.resource.kind) || version.is_some_and(|found| found != expected)
    {
        let text = format!(
            "{} in version \"{}\" cannot be handled as a {}: no kind \"{}\" is registered for the requested resource",
            kind.unwrap_or_default(),
            version.unwrap_or_default(),
            target.resource.kind,
            kind.unwrap_or_default()
        );
        return Err(status::bad_request(text));
    }
    let named = object["metadata"]["name"].as_str();
    if let (Some(name), Some(named)) = (name, named)
        && name != named
    {
        return Err(status::bad_request(format!(
            "the name of the object ({named}) does not match the name on the URL ({name})"
        )));
    }
    if let (Some(namespace), Some(found)) = (&target.namespace, object["metadata"]["namespace"].as_str())
        && namespace != found
    {
        return Err(status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

fn create(cluster: &Cluster, target: &Target, request: &Request) -> Result<Response<Body>, Failure> {
    let object = body(request)?;
    fitting(target, None, &object)?;
    let created =
        cluster.create(&target.resource, target.namespace.as_deref(), object, &options(target, request)?)?;
    Ok(represent(StatusCode::CREATED, &created, target, request))
}

fn replace(
    cluster: &Cluster,
    target: &Target,
    name: &str,
    request: &Request,
) -> Result<Response<Body>, Failure> {
    let object = body(request)?;
    fitting(target, Some(name), &object)?;
    let options = options(target, request)?;
    let stored =
        cluster.update(&target.resource, target.namespace.as_deref(), name, &options, |_| Ok(object))?;
    Ok(represent(StatusCode::OK, &stored, target, request))
}

fn change(
    cluster: &Cluster,
    target: &Target,
    name: &str,
    request: &Request,
) -> Result<Response<Body>, Failure> {
    let content =
        request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let content = content.split(';').next().unwrap_or_default().trim();
    let namespace = target.namespace.as_deref();
    let mut options = options(target, request)?;
    if content == "application/apply-patch+yaml" || content == "application/apply-patch+json" {
        let Some(manager) = request.query.get("fieldManager").filter(|manager| !manager.is_empty()) else {
            return Err(status::no_field_manager());
        };
        options.writer.manager = manager.to_owned();
        let wanted = body(request)?;
        if wanted["kind"].is_null() || wanted["apiVersion"].is_null() {
            return Err(status::bad_request("couldn't get version/kind; apiVersion and kind are required"));
        }
        fitting(target, Some(name), &wanted)?;
        let force = request.query.is_true("force");
        let (stored, created) = cluster.apply(&target.resource, namespace, name, wanted, &options, force)?;
        let code = if created { StatusCode::CREATED } else { StatusCode::OK };
        return Ok(represent(code, &stored, target, request));
    }
    let stored = match content {
        "application/json-patch+json" => {
            cluster.update(&target.resource, namespace, name, &options, |live| {
                patch::json(live, &request.body)
            })?
        }
        "application/merge-patch+json" => {
            let change = body(request)?;
            cluster
                .update(&target.resource, namespace, name, &options, |live| Ok(patch::merge(live, &change)))?
        }
        "application/strategic-merge-patch+json" => {
            let change = body(request)?;
            cluster.update(&target.resource, namespace, name, &options, |live| {
                Ok(patch::strategic(live, &change))
            })?
        }
        other => return Err(status::unsupported_media_type(other)),
    };
    Ok(represent(StatusCode::OK, &stored, target, request))
}

fn deletion(request: &Request) -> Result<(Propagation, Value, bool), Failure> {
    let options = if request.body.is_empty() { json!({}) } else { body(request)? };
    // With a body, only what is in it counts.
    let query = |name: &str| if request.body.is_empty() { request.query.get(name) } else { None };
    let policy = query("propagationPolicy")
        .map(str::to_owned)
        .or_else(|| options["propagationPolicy"].as_str().map(str::to_owned));
    let propagation = match policy.as_deref() {
        Some("Orphan") => Propagation::Orphan,
        Some("Foreground") => Propagation::Foreground,
        _ => Propagation::Background,
    };
    let dry_run = query("dryRun") == Some("All")
        || options["dryRun"].as_array().is_some_and(|stages| !stages.is_empty());
    Ok((propagation, options["preconditions"].clone(), dry_run))
}

fn delete(
    cluster: &Cluster,
    target: &Target,
    name: &str,
    request: &Request,
) -> Result<Response<Body>, Failure> {
    let (propagation, preconditions, dry_run) = deletion(request)?;
    let namespace = target.namespace.as_deref();
    let gone = cluster.delete(&target.resource, namespace, name, propagation, &preconditions, dry_run)?;
    if let Ok(still) = cluster.get(&target.resource, namespace, name)
        && !dry_run
    {
        return Ok(json_answer(StatusCode::OK, &still));
    }
    let mut details = json!({ "name": name, "kind": target.resource.plural, "uid": gone["metadata"]["uid"] });
    if !target.resource.group.is_empty() {
        details["group"] = json!(target.resource.group);
    }
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    Ok(json_answer(StatusCode::OK, &body))
}

fn delete_all(cluster: &Cluster, target: &Target, request: &Request) -> Result<Response<Body>, Failure> {
    let (propagation, _, dry_run) = deletion(request)?;
    let namespace = target.namespace.as_deref();
    let (objects, version) = cluster.list(&target.resource, namespace, &selector(request)?);
    for object in &objects {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = object["metadata"]["namespace"].as_str();
        cluster.delete(&target.resource, namespace, name, propagation, &Value::Null, dry_run)?;
    }
    let items: Vec<Value> = objects.iter().map(|object| (**object).clone()).collect();
    let body = json!({
        "kind": format!("{}List", target.resource.kind), "apiVersion": target.resource.api_version(),
        "metadata": { "resourceVersion": version.to_string() }, "items": items,
    });
    Ok(json_answer(StatusCode::OK, &body))
}
