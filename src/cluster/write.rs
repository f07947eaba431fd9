//! Creates, replaces, patches single objects: release storage, hooks, namespaces.
//!
//! For many objects of a release there is `apply`. A create whose answer got lost is looked up before it counts as
//! failed: a hook must not run twice.

use http::Method;
use serde_json::{Value, json};

use super::error::{ApiError, Reason};
use super::mask::SecretValues;
use super::member::Call;
use super::object::{Manifest, ObjectId};
use super::pool::Cluster;
use super::read::query;

/// A partial change to one object.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 7386.
    Merge(Value),
    /// RFC 6902.
    Json(Value),
}

impl Cluster {
    /// Creates an object; `AlreadyExists` when it is there.
    pub async fn create(&self, manifest: &Manifest, field_manager: &str) -> Result<Value, ApiError> {
        let attempt = format!("create {} `{}`", manifest.id.kind, manifest.id.place());
        let place = self.locate(&manifest.id, &attempt).await?;
        let path = format!("{}?fieldManager={}", place.collection, query(field_manager));
        match self.send(Method::POST, path, &manifest.json, "application/json", &manifest.id, &attempt).await
        {
            Err(error) if matches!(error.reason, Reason::ConnectionLost { .. } | Reason::TimedOut { .. }) => {
                match self.get(&manifest.id).await {
                    Ok(Some(live)) if holds(&live, &manifest.json) => Ok(live),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    /// Replaces an object; with `metadata.resourceVersion` set only if nobody changed it since.
    pub async fn replace(&self, manifest: &Manifest, field_manager: &str) -> Result<Value, ApiError> {
        let attempt = format!("replace {} `{}`", manifest.id.kind, manifest.id.place());
        let place = self.locate(&manifest.id, &attempt).await?;
        let path = format!("{}?fieldManager={}", place.object, query(field_manager));
        self.send(Method::PUT, path, &manifest.json, "application/json", &manifest.id, &attempt).await
    }

    /// Changes parts of an object.
    pub async fn patch_object(
        &self,
        id: &ObjectId,
        patch: &Patch,
        field_manager: &str,
    ) -> Result<Value, ApiError> {
        let attempt = format!("patch {} `{}`", id.kind, id.place());
        let place = self.locate(id, &attempt).await?;
        let path = format!("{}?fieldManager={}", place.object, query(field_manager));
        let (body, content_type) = match patch {
            Patch::Merge(body) => (body, "application/merge-patch+json"),
            Patch::Json(body) => (body, "application/json-patch+json"),
        };
        self.send(Method::PATCH, path, body, content_type, id, &attempt).await
    }

    async fn send(
        &self,
        method: Method,
        path: String,
        body: &Value,
        content_type: &'static str,
        id: &ObjectId,
        attempt: &str,
    ) -> Result<Value, ApiError> {
        let secrets = id.is_secret().then(|| SecretValues::of(body));
        let call = Call {
            headers: &self.headers,
            secrets: secrets.as_ref(),
            ..Call::with_body(method, path, body.to_string().into(), content_type, attempt)
        };
        let answer = self.member.call(&call).await?;
        answer.json().map_err(|reason| self.member.error(attempt, reason))
    }

    /// Makes sure that a namespace is there; tells whether it had to be created. A user who may not create
    /// namespaces gets by with one that exists.
    pub async fn ensure_namespace(&self, name: &str, labels: &[(&str, &str)]) -> Result<bool, ApiError> {
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let id = ObjectId::new("v1", "Namespace", "", name);
        let json =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        match self.create(&Manifest { id: id.clone(), json, source: None }, "sluice").await {
            Ok(_) => Ok(true),
            Err(ApiError { reason: Reason::AlreadyExists { .. }, .. }) => Ok(false),
            Err(error) if matches!(error.reason, Reason::Forbidden { .. }) => {
                match self.get_metadata(&id).await {
                    Ok(Some(_)) => Ok(false),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether `live` holds everything that `wanted` says, the server's additions aside.
fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| match live.get(key) {
                Some(live) => holds(live, wanted),
                // Written only: the server moves it into `data`.
                None => key == "stringData" || wanted.is_null(),
            })
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| holds(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f12_a_lost_create_is_recognised_by_what_it_wrote() {
        let wanted = json!({"kind": "Job", "metadata": {"name": "a"}, "spec": {"template": {"containers": [{"name": "a"}]}}});
        let live = json!({"kind": "Job", "metadata": {"name": "a", "uid": "1"},
            "spec": {"parallelism": 1, "template": {"containers": [{"name": "a", "resources": {}}]}}, "status": {}});
        assert!(holds(&live, &wanted));
        let other = json!({"kind": "Job", "metadata": {"name": "a"}, "spec": {"template": {"containers": [{"name": "b"}]}}});
        assert!(!holds(&live, &other));
    }
}
