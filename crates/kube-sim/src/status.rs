//! Error answers in the shape of `meta/v1.Status`, with the texts of a real API server.

use http::StatusCode;
use serde_json::{Value, json};

use crate::resources::Resource;

/// An answer that is not the object asked for.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: StatusCode,
    pub(crate) body: Value,
    pub(crate) retry_after: Option<u32>,
}

fn failure(code: StatusCode, reason: &str, message: String, details: Value) -> Failure {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code.as_u16(),
    });
    Failure { code, body, retry_after: None }
}

fn details(resource: &Resource, name: &str) -> Value {
    let mut details = json!({ "name": name, "kind": resource.plural });
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    details
}

pub(crate) fn not_found(resource: &Resource, name: &str) -> Failure {
    let message = format!("{} \"{name}\" not found", resource.qualified());
    failure(StatusCode::NOT_FOUND, "NotFound", message, details(resource, name))
}

pub(crate) fn no_such_resource() -> Failure {
    let message = "the server could not find the requested resource".to_owned();
    failure(StatusCode::NOT_FOUND, "NotFound", message, json!({}))
}

pub(crate) fn namespace_not_found(name: &str) -> Failure {
    let details = json!({ "name": name, "kind": "namespaces" });
    failure(StatusCode::NOT_FOUND, "NotFound", format!("namespaces \"{name}\" not found"), details)
}

pub(crate) fn already_exists(resource: &Resource, name: &str) -> Failure {
    let message = format!("{} \"{name}\" already exists", resource.qualified());
    failure(StatusCode::CONFLICT, "AlreadyExists", message, details(resource, name))
}

pub(crate) fn conflict(resource: &Resource, name: &str) -> Failure {
    let message = format!(
        "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the latest version and try again",
        resource.qualified()
    );
    failure(StatusCode::CONFLICT, "Conflict", message, details(resource, name))
}

/// A precondition of a deletion that does not hold. Here the real server names the kind, not the resource.
pub(crate) fn precondition(resource: &Resource, name: &str, text: &str) -> Failure {
    let mut details = details(resource, name);
    details["kind"] = json!(resource.kind);
    let message = format!("Operation cannot be fulfilled on {} \"{name}\": {text}", kind_of(resource));
    failure(StatusCode::CONFLICT, "Conflict", message, details)
}

/// How error texts name the kind: `Deployment.apps`, `Secret`.
fn kind_of(resource: &Resource) -> String {
    if resource.group.is_empty() {
        resource.kind.clone()
    } else {
        format!("{}.{}", resource.kind, resource.group)
    }
}

/// A server-side apply that would take fields from other managers: how each is shown, and the field's path.
pub(crate) fn apply_conflicts(conflicts: &[(String, String)]) -> Failure {
    let mut managers: Vec<&str> = conflicts.iter().map(|(manager, _)| manager.as_str()).collect();
    managers.dedup();
    let message = if let [(manager, field)] = conflicts {
        format!("Apply failed with 1 conflict: conflict with {manager}: {field}")
    } else {
        let mut text = format!("Apply failed with {} conflicts: ", conflicts.len());
        for (place, manager) in managers.iter().enumerate() {
            text.push_str(if place == 0 { "" } else { "\n" });
            text.push_str(&format!("conflicts with {manager}:"));
            for (_, field) in conflicts.iter().filter(|(name, _)| name == manager) {
                text.push_str(&format!("\n- {field}"));
            }
        }
        text
    };
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(manager, field)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {manager}"),
                "field": field,
            })
        })
        .collect();
    failure(StatusCode::CONFLICT, "Conflict", message, json!({ "causes": causes }))
}

pub(crate) fn invalid(resource: &Resource, name: &str, field: &str, text: &str) -> Failure {
    let message = format!("{} \"{name}\" is invalid: {field}: {text}", kind_of(resource));
    let mut details = details(resource, name);
    details["kind"] = json!(resource.kind);
    let reason = match text.split(':').next().unwrap_or_default() {
        "Required value" => "FieldValueRequired",
        "Too long" => "FieldValueTooLong",
        "Forbidden" => "FieldValueForbidden",
        _ => "FieldValueInvalid",
    };
    details["causes"] = json!([{ "reason": reason, "message": text, "field": field }]);
    failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message, details)
}

pub(crate) fn bad_request(message: impl Into<String>) -> Failure {
    failure(StatusCode::BAD_REQUEST, "BadRequest", message.into(), json!({}))
}

pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Failure {
    let message = format!("{} \"{name}\" is forbidden: {why}", resource.qualified());
    failure(StatusCode::FORBIDDEN, "Forbidden", message, details(resource, name))
}

/// New content for a namespace that is going.
pub(crate) fn terminating(resource: &Resource, namespace: &str, name: &str) -> Failure {
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut answer = forbidden(resource, name, &why);
    answer.body["details"]["causes"] = json!([{
        "reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": format!("namespace {namespace} is being terminated"),
    }]);
    answer
}

pub(crate) fn unauthorized() -> Failure {
    let mut answer = failure(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized".to_owned(), json!({}));
    if let Some(body) = answer.body.as_object_mut() {
        body.remove("details");
    }
    answer
}

/// An apply must say who applies.
pub(crate) fn no_field_manager() -> Failure {
    let text = "Required value: is required for apply patch";
    let message = format!("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: {text}");
    let details = json!({
        "group": "meta.k8s.io", "kind": "PatchOptions",
        "causes": [{ "reason": "FieldValueRequired", "message": text, "field": "fieldManager" }],
    });
    failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message, details)
}

pub(crate) fn unsupported_media_type(sent: &str) -> Failure {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml (sent: {sent})"
    );
    failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message, json!({}))
}

pub(crate) fn method_not_allowed() -> Failure {
    let message = "the server does not allow this method on the requested resource".to_owned();
    failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message, json!({}))
}

pub(crate) fn gone(version: u64, oldest: u64) -> Failure {
    let message = format!("too old resource version: {version} ({oldest})");
    failure(StatusCode::GONE, "Expired", message, json!({}))
}

pub(crate) fn too_large() -> Failure {
    let message = "Request entity too large: limit is 3145728".to_owned();
    failure(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message, json!({}))
}

/// The answer of an injected fault.
pub(crate) fn injected(code: StatusCode, retry_after: Option<u32>) -> Failure {
    let (reason, message) = match code {
        StatusCode::TOO_MANY_REQUESTS => {
            ("TooManyRequests", "Too many requests, please try again later.".to_owned())
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned())
        }
        StatusCode::FORBIDDEN => ("Forbidden", "forbidden by the test".to_owned()),
        code => ("InternalError", format!("Internal error occurred: injected {}", code.as_u16())),
    };
    let mut answer = failure(code, reason, message, json!({}));
    if let Some(seconds) = retry_after {
        answer.body["details"] = json!({ "retryAfterSeconds": seconds });
    }
    answer.retry_after = retry_after;
    answer
}
