//! Reads objects of a cluster: one, many, or only their metadata.
//!
//! Everything is JSON as the server sent it; no kind has a Rust type here.

use serde_json::Value;

use super::error::{ApiError, Reason};
use super::kinds::Capabilities;
use super::managed::{self, ManagedEntry};
use super::member::Call;
use super::object::ObjectId;
use super::pool::Cluster;

/// Objects per page of a list.
const PAGE: usize = 500;
/// Pages read before a list is taken to be endless.
const MOST_PAGES: usize = 2_000;
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Which objects of a kind to list.
#[derive(Clone, Debug, Default)]
pub struct ListScope {
    /// Only in this namespace; all when none.
    pub namespace: Option<String>,
    /// A label selector (`owner=helm,name=web`); all when empty.
    pub labels: String,
}

/// The metadata of a live object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMetadata {
    /// Which object.
    pub id: ObjectId,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.generation`, 0 for kinds without one.
    pub generation: i64,
    /// Labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// A digest of who owns which fields, the status left out: it moves whenever anybody changes the object other than
    /// its status.
    pub footprint: String,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl LiveMetadata {
    /// Reads the metadata of an object as the server sent it.
    pub(super) fn of(id: ObjectId, object: &Value) -> Self {
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        let map = |field: &str| {
            let entries = metadata[field].as_object().into_iter().flatten();
            entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
        };
        Self {
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            generation: metadata["generation"].as_i64().unwrap_or(0),
            labels: map("labels"),
            annotations: map("annotations"),
            footprint: managed::footprint(
                &serde_json::from_value::<Vec<ManagedEntry>>(metadata["managedFields"].clone())
                    .unwrap_or_default(),
            ),
            terminating: metadata["deletionTimestamp"].is_string(),
            id,
        }
    }
}

/// The path of a collection, without query.
pub(super) fn collection(api_version: &str, plural: &str, namespace: Option<&str>) -> String {
    let root = if api_version.contains('/') { "/apis" } else { "/api" };
    match namespace {
        Some(namespace) => format!("{root}/{api_version}/namespaces/{}/{plural}", segment(namespace)),
        None => format!("{root}/{api_version}/{plural}"),
    }
}

/// A name as one segment of a path. RBAC names hold colons, which a path may carry as they are.
pub(super) fn segment(name: &str) -> std::borrow::Cow<'_, str> {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':');
    utf8_percent_encode(name, SEGMENT).into()
}

/// A value in a query.
pub(super) fn query(value: &str) -> impl std::fmt::Display + '_ {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC)
}

/// Where an object lives.
pub(super) struct Place {
    pub(super) collection: String,
    pub(super) object: String,
    pub(super) namespaced: bool,
}

impl Cluster {
    /// Where an object lives, if the cluster knows its kind. A namespaced object without a namespace is in `default`.
    pub(super) fn place(&self, capabilities: &Capabilities, id: &ObjectId) -> Option<Place> {
        let api_version = id.api_version();
        let resource = capabilities.kinds.find(&api_version, &id.kind)?;
        let namespace = resource.namespaced.then(|| id.namespace.as_deref().unwrap_or("default"));
        let collection = collection(&api_version, &resource.plural, namespace);
        let object = format!("{collection}/{}", segment(&id.name));
        Some(Place { collection, object, namespaced: resource.namespaced })
    }

    /// The same, asking the cluster again once when the kind is unknown.
    pub(super) async fn locate(&self, id: &ObjectId, attempt: &str) -> Result<Place, ApiError> {
        let known = self.member.kinds.get(&self.member, &self.headers).await?;
        if let Some(place) = self.place(&known, id) {
            return Ok(place);
        }
        let newer = self.member.kinds.newer(&known, &self.member, &self.headers).await?;
        self.place(&newer, id).ok_or_else(|| self.unknown_kind(&id.api_version(), &id.kind, attempt))
    }

    pub(super) fn unknown_kind(&self, api_version: &str, kind: &str, attempt: &str) -> ApiError {
        let reason = Reason::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() };
        self.member.error(attempt, reason)
    }

    /// Reads one object; none when it is not there.
    pub async fn get(&self, id: &ObjectId) -> Result<Option<Value>, ApiError> {
        let attempt = format!("read {} `{}`", id.kind, id.place());
        let place = self.locate(id, &attempt).await?;
        let call = Call { headers: &self.headers, ..Call::get(place.object, &attempt) };
        match self.member.call(&call).await {
            Ok(answer) => answer.json().map(Some).map_err(|reason| self.member.error(&attempt, reason)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the metadata of one object; none when it is not there.
    pub async fn get_metadata(&self, id: &ObjectId) -> Result<Option<LiveMetadata>, ApiError> {
        let attempt = format!("read {} `{}`", id.kind, id.place());
        let place = self.locate(id, &attempt).await?;
        let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
        let call = Call { headers: &self.headers, accept, ..Call::get(place.object, &attempt) };
        match self.member.call(&call).await {
            Ok(answer) => match answer.json::<Value>() {
                Ok(object) => Ok(Some(LiveMetadata::of(id.clone(), &object))),
                Err(reason) => Err(self.member.error(&attempt, reason)),
            },
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists objects of a kind. `apiVersion` and `kind` are set on each, which the API leaves out in lists.
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        scope: &ListScope,
    ) -> Result<Vec<Value>, ApiError> {
        let mut objects = self.pages(api_version, kind, scope, "application/json").await?;
        for object in &mut objects {
            if let Value::Object(fields) = object {
                fields.insert("apiVersion".to_owned(), api_version.into());
                fields.insert("kind".to_owned(), kind.into());
            }
        }
        Ok(objects)
    }

    /// Lists the metadata of objects of a kind: no payload travels.
    pub async fn list_metadata(
        &self,
        api_version: &str,
        kind: &str,
        scope: &ListScope,
    ) -> Result<Vec<LiveMetadata>, ApiError> {
        let objects = self.pages(api_version, kind, scope, METADATA).await?;
        let metadata = objects.iter().map(|object| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            LiveMetadata::of(ObjectId::new(api_version, kind, text("namespace"), text("name")), object)
        });
        Ok(metadata.collect())
    }

    async fn pages(
        &self,
        api_version: &str,
        kind: &str,
        scope: &ListScope,
        accept: &'static str,
    ) -> Result<Vec<Value>, ApiError> {
        let attempt = match &scope.namespace {
            Some(namespace) => format!("list {kind} objects of namespace `{namespace}`"),
            None => format!("list {kind} objects"),
        };
        // Any name will do: only the collection matters.
        let id = ObjectId::new(api_version, kind, scope.namespace.as_deref().unwrap_or_default(), "any");
        let place = self.locate(&id, &attempt).await?;
        let mut base = match (&scope.namespace, place.namespaced) {
            (None, true) => {
                let plural = place.collection.rsplit('/').next().unwrap_or_default();
                collection(api_version, plural, None)
            }
            _ => place.collection,
        };
        base.push_str(&format!("?limit={PAGE}"));
        if !scope.labels.is_empty() {
            base.push_str(&format!("&labelSelector={}", query(&scope.labels)));
        }
        let mut objects = Vec::new();
        let mut path = base.clone();
        for _ in 0..MOST_PAGES {
            let call = Call { headers: &self.headers, accept, ..Call::get(path, &attempt) };
            let answer = self.member.call(&call).await?;
            let mut list: Value = answer.json().map_err(|reason| self.member.error(&attempt, reason))?;
            if let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) {
                objects.extend(items);
            }
            match list["metadata"]["continue"].as_str() {
                Some(next) if !next.is_empty() => path = format!("{base}&continue={}", query(next)),
                _ => return Ok(objects),
            }
        }
        Err(self.member.error(&attempt, Reason::Malformed { detail: "the list does not end".to_owned() }))
    }
}
