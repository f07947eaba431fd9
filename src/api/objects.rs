//! Objects: list, show, and the three things that may be changed about them.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use flux_api::{FluxObject, annotation};
use serde::Deserialize;

use super::goal::is_static;
use super::wire::{
    ClusterReach, DiffReport, DiffRequest, ObjectList, ProblemLine, ReconcileRequest, Requested, Suspended,
    VersionInfo,
};
use super::{ApiError, ApiState};
use crate::model::{Kind, ObjectKey};
use crate::objects::Objects;

pub(super) type Named = Path<(String, String, String)>;

pub(super) async fn version() -> Json<VersionInfo> {
    Json(VersionInfo { version: env!("CARGO_PKG_VERSION").to_owned() })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListQuery {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

pub(super) async fn list(
    State(state): State<ApiState>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ObjectList>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let kind = query.kind.as_deref().map(kind_of).transpose()?;
    let wanted = |key: &ObjectKey| {
        kind.is_none_or(|kind| kind == key.kind)
            && query.namespace.as_deref().is_none_or(|namespace| namespace == key.namespace)
            && query.name.as_deref().is_none_or(|name| name == key.name)
    };
    let objects = kind.map_or_else(|| state.objects.all(), |kind| state.objects.list(kind));
    let faults = state.faults();
    let mut items: BTreeMap<ObjectKey, serde_json::Value> = BTreeMap::new();
    for object in &objects {
        let key = ObjectKey::new(object.kind(), object.namespace(), object.name());
        if wanted(&key) {
            items.insert(key, faults.shown(object));
        }
    }
    let absent = faults.absent().filter(|(key, _)| wanted(key));
    items.extend(absent.map(|(key, item)| (key.clone(), item)));
    let items = items.into_values().collect();
    Ok(Json(ObjectList { api_version: "v1".to_owned(), kind: "List".to_owned(), items }))
}

pub(super) async fn show(
    State(state): State<ApiState>,
    Path((kind, namespace, name)): Named,
) -> Result<Json<serde_json::Value>, ApiError> {
    let key = key_of(&kind, &namespace, &name)?;
    let faults = state.faults();
    if let Some(object) = state.objects.get(&key) {
        return Ok(Json(faults.shown(&object)));
    }
    let absent = faults.absent().find(|(absent, _)| **absent == key).map(|(_, item)| item);
    absent.map(Json).ok_or_else(|| missing(&state.objects, &key))
}

/// The sources of an object that can be reconciled by themselves, the first of the chain first.
pub(super) async fn sources(
    State(state): State<ApiState>,
    Path((kind, namespace, name)): Named,
) -> Result<Json<Vec<ObjectKey>>, ApiError> {
    let key = key_of(&kind, &namespace, &name)?;
    if state.objects.get(&key).is_none() {
        return Err(missing(&state.objects, &key));
    }
    Ok(Json(chain(&state.objects, &key)))
}

fn chain(objects: &Objects, key: &ObjectKey) -> Vec<ObjectKey> {
    let mut found = Vec::new();
    let mut at = key.clone();
    // Release, chart, source: there is no longer chain, and none that turns back upon itself.
    for _ in 0..2 {
        let Some(next) = objects.get(&at).and_then(|object| source_of(&object)) else { break };
        let Some(object) = objects.get(&next) else { break };
        // A chart made for a release is built by the release; registries have nothing to fetch.
        // One that is suspended stays: who asks for it hears so, instead of reading that all went well.
        if objects.owner(&next).is_none() && !is_static(&object) {
            found.push(next.clone());
        }
        at = next;
    }
    found.reverse();
    found
}

/// What an object takes its content from.
pub(super) fn source_of(object: &FluxObject) -> Option<ObjectKey> {
    let own = object.namespace();
    let key = |reference: &flux_api::SourceRef| {
        ObjectKey::new(reference.kind, reference.namespace(own), &reference.name)
    };
    match object {
        FluxObject::HelmRelease(one) => match (&one.spec.chart, &one.spec.chart_ref) {
            (Some(chart), _) => Some(key(&chart.spec.source_ref)),
            (None, reference) => reference.as_ref().map(key),
        },
        FluxObject::Kustomization(one) => Some(key(&one.spec.source_ref)),
        FluxObject::HelmChart(one) => Some(key(&one.spec.source_ref)),
        FluxObject::ImageUpdateAutomation(one) => Some(key(&one.spec.source_ref)),
        FluxObject::ImagePolicy(one) => {
            let reference = &one.spec.image_repository_ref;
            Some(ObjectKey::new(Kind::ImageRepository, reference.namespace(own), &reference.name))
        }
        _ => None,
    }
}

pub(super) async fn reconcile(
    State(state): State<ApiState>,
    Path((kind, namespace, name)): Named,
    body: Bytes,
) -> Result<Json<Requested>, ApiError> {
    let key = key_of(&kind, &namespace, &name)?;
    let request: ReconcileRequest = read(&body)?;
    let object = state.objects.get(&key).ok_or_else(|| missing(&state.objects, &key))?;
    if object.suspended() {
        return Err(suspended(&key));
    }
    if is_static(&object) {
        return Err(ApiError::bad_request(format!(
            "`{key}` is used by others; nothing reconciles it by itself"
        )));
    }
    if let Some(owner) = state.objects.owner(&key) {
        return Err(ApiError::conflict(format!(
            "`{key}` was made for `{owner}`, which builds it\nhint: reconcile `{owner}` instead"
        )));
    }
    if (request.force || request.reset) && key.kind != Kind::HelmRelease {
        return Err(ApiError::bad_request("`force` and `reset` are for HelmReleases"));
    }
    let requested_at = format!("{:.9}", state.clock.now());
    let mut objects = if request.with_source { chain(&state.objects, &key) } else { Vec::new() };
    if let Some(asleep) = objects.iter().find(|one| is_suspended(&state.objects, one)) {
        return Err(suspended(asleep));
    }
    objects.push(key.clone());
    for one in &objects {
        let mut annotations = BTreeMap::from([(annotation::REQUESTED_AT.to_owned(), requested_at.clone())]);
        if *one == key && request.force {
            annotations.insert(annotation::FORCE_AT.to_owned(), requested_at.clone());
        }
        if *one == key && request.reset {
            annotations.insert(annotation::RESET_AT.to_owned(), requested_at.clone());
        }
        // Whoever follows the objects puts the job in: the annotation works the same when `flux` sets it.
        state.objects.annotate(one, annotations).await?;
    }
    Ok(Json(Requested { requested_at, objects }))
}

fn is_suspended(objects: &Objects, key: &ObjectKey) -> bool {
    objects.get(key).is_some_and(|object| object.suspended())
}

fn suspended(key: &ObjectKey) -> ApiError {
    ApiError::conflict(format!(
        "`{key}` is suspended\nhint: `sluice resume {} {} -n {}` first",
        short(key.kind),
        key.name,
        key.namespace
    ))
}

pub(super) async fn suspend(
    State(state): State<ApiState>,
    Path(named): Named,
) -> Result<Json<Suspended>, ApiError> {
    set_suspend(&state, named, true).await
}

pub(super) async fn resume(
    State(state): State<ApiState>,
    Path(named): Named,
) -> Result<Json<Suspended>, ApiError> {
    set_suspend(&state, named, false).await
}

async fn set_suspend(
    state: &ApiState,
    (kind, namespace, name): (String, String, String),
    suspended: bool,
) -> Result<Json<Suspended>, ApiError> {
    let object = key_of(&kind, &namespace, &name)?;
    let found = state.objects.get(&object).ok_or_else(|| missing(&state.objects, &object))?;
    state.objects.set_suspend(&object, suspended).await?;
    Ok(Json(Suspended { is_static: is_static(&found), object, suspended }))
}

pub(super) async fn problems(State(state): State<ApiState>) -> Json<Vec<ProblemLine>> {
    let problems = state.objects.problems();
    Json(
        problems
            .into_iter()
            .map(|it| ProblemLine { file: it.file, line: it.line, object: it.key, message: it.message })
            .collect(),
    )
}

pub(super) async fn diff(State(state): State<ApiState>, body: Bytes) -> Result<Json<DiffReport>, ApiError> {
    let request: DiffRequest = read(&body)?;
    for key in &request.objects {
        if state.objects.get(key).is_none() {
            return Err(missing(&state.objects, key));
        }
        if !matches!(key.kind, Kind::HelmRelease | Kind::Kustomization) {
            return Err(ApiError::bad_request(format!(
                "`{key}` applies nothing to a cluster\nhint: a diff is of a HelmRelease or a Kustomization"
            )));
        }
    }
    let Some(diff) = &state.callbacks.diff else {
        return Err(ApiError::new(
            StatusCode::NOT_IMPLEMENTED,
            "this agent cannot tell what would change\nhint: `sluice template` renders a chart without a cluster",
        ));
    };
    diff(request).await.map(Json)
}

pub(super) async fn clusters(State(state): State<ApiState>) -> Result<Json<Vec<ClusterReach>>, ApiError> {
    (state.callbacks.reach)(()).await.map(Json)
}

/// A JSON body; an empty one means the defaults.
fn read<T: serde::de::DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, format!("the body is not what is asked for here: {error}"))
    })
}

fn kind_of(text: &str) -> Result<Kind, ApiError> {
    text.parse().map_err(|_| {
        let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        ApiError::bad_request(format!("`{text}` is not a kind\nhint: kinds are {}", kinds.join(", ")))
    })
}

pub(super) fn key_of(kind: &str, namespace: &str, name: &str) -> Result<ObjectKey, ApiError> {
    if namespace.is_empty() || name.is_empty() {
        return Err(ApiError::bad_request("an object has a kind, a namespace and a name"));
    }
    Ok(ObjectKey::new(kind_of(kind)?, namespace, name))
}

/// That an object is not there, and where one of its name is.
pub(super) fn missing(objects: &Objects, key: &ObjectKey) -> ApiError {
    if let Some(invalid) = objects.invalid().into_iter().find(|invalid| invalid.key == *key) {
        return ApiError::conflict(format!("the manifest of `{key}` is not valid: {}", invalid.message));
    }
    let elsewhere = objects.list(key.kind).into_iter().find(|object| object.name() == key.name);
    ApiError::not_found(match elsewhere {
        Some(object) => {
            format!("`{key}` does not exist\nhint: there is one in namespace `{}`", object.namespace())
        }
        None => format!("`{key}` does not exist"),
    })
}

/// The word people type for a kind.
fn short(kind: Kind) -> &'static str {
    kind.short_names().first().copied().unwrap_or(kind.plural())
}
