//! Server-side apply of many objects: one request each, in the order of whoever rendered them.
//!
//! Whether an object was created, changed or left alone is read off the answer; no object is read beforehand. What an
//! apply means for a release (history, remediation) is not known here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use super::applied::{
    Action, Applied, ApplyError, ApplyOptions, Change, Cleanup, ObjectFailure, Rules, Warning,
};
use super::error::{ApiError, Reason};
use super::kinds::Capabilities;
use super::kstatus::{self, Health};
use super::managed::{self, ManagedEntry};
use super::mask::SecretValues;
use super::member::Call;
use super::object::{Manifest, ObjectId};
use super::order;
use super::pool::Cluster;
use super::read::{Place, query};
use super::wait::{WaitFor, WaitOptions};

/// How long definitions (CRDs, namespaces, classes) may take to be usable; kustomize-controller's figure.
const SETTLE: Duration = Duration::from_secs(60);
/// How often a take-over of field managers is tried while others change the object.
const TAKE_OVERS: usize = 3;

/// One object's result within a group.
struct Outcome {
    index: usize,
    object: ObjectId,
    result: Result<(Change, Vec<String>), ApiError>,
}

impl Cluster {
    /// Applies the objects, group by group; a group with a failure ends the apply after its other objects.
    pub async fn apply(&self, objects: &[Manifest], options: &ApplyOptions) -> Result<Applied, ApplyError> {
        let mut applied: Vec<(usize, Change)> = Vec::new();
        let mut warnings: Vec<Warning> = Vec::new();
        let mut failures: Vec<(usize, ObjectFailure)> = Vec::new();
        if let Err(failure) = self.check_kinds(objects).await {
            return Err(ApplyError { failures: vec![failure], applied: Applied::default() });
        }
        for group in order::to_apply(objects, &options.order) {
            let stop = AtomicBool::new(false);
            let members = group.members.iter().copied().map(|index| {
                let stop = &stop;
                Box::pin(async move {
                    let object = &objects[index];
                    if stop.load(Ordering::Relaxed) {
                        return None;
                    }
                    let result = self.apply_one(object, options).await;
                    if result
                        .as_ref()
                        .is_err_and(|e| e.is_about_the_cluster() || options.cancel.is_cancelled())
                    {
                        stop.store(true, Ordering::Relaxed);
                    }
                    Some(Outcome { index, object: object.id.clone(), result })
                })
            });
            let mut running = stream::iter(members).buffer_unordered(options.concurrency.max(1));
            while let Some(outcome) = running.next().await {
                let Some(Outcome { index, object, result }) = outcome else { continue };
                match result {
                    Ok((change, texts)) => {
                        for text in texts {
                            if !warnings.iter().any(|w| w.text == text) {
                                warnings.push(Warning { object: change.object.clone(), text });
                            }
                        }
                        applied.push((index, change));
                    }
                    Err(error) => failures.push((index, ObjectFailure { object, error })),
                }
            }
            drop(running);
            if failures.is_empty() && group.settle && !options.dry_run {
                let unready: Vec<(usize, ObjectId)> = applied
                    .iter()
                    .filter(|(index, change)| group.members.contains(index) && !change.ready)
                    .map(|(index, change)| (*index, change.object.clone()))
                    .collect();
                if let Err(error) = self.settle(&unready, options).await {
                    failures.push(error);
                }
            }
            if !failures.is_empty() {
                break;
            }
        }
        applied.sort_by_key(|(index, _)| *index);
        let changes = applied.into_iter().map(|(_, change)| change).collect();
        let applied = Applied { changes, warnings };
        if failures.is_empty() {
            return Ok(applied);
        }
        failures.sort_by_key(|(index, _)| *index);
        Err(ApplyError { failures: failures.into_iter().map(|(_, failure)| failure).collect(), applied })
    }

    /// Before anything is touched: every kind is known, or its CRD is among the objects.
    async fn check_kinds(&self, objects: &[Manifest]) -> Result<(), ObjectFailure> {
        let fails = |object: &Manifest, error| ObjectFailure { object: object.id.clone(), error };
        let Some(first) = objects.first() else { return Ok(()) };
        let known = self.member.kinds.get(&self.member, &self.headers).await.map_err(|e| fails(first, e))?;
        let unknown = |known: &Capabilities| {
            objects.iter().find(|object| {
                self.place(known, &object.id).is_none() && !objects.iter().any(|o| defines(o, &object.id))
            })
        };
        let Some(missing) = unknown(&known) else { return Ok(()) };
        let newer = self.member.kinds.newer(&known, &self.member, &self.headers).await;
        let Some(missing) = unknown(&newer.map_err(|e| fails(missing, e))?) else { return Ok(()) };
        let attempt = attempt(missing);
        let error = self.unknown_kind(&missing.id.api_version(), &missing.id.kind, &attempt);
        Err(fails(missing, error))
    }

    /// Waits until definitions are usable; what they define is then asked for again.
    async fn settle(
        &self,
        unready: &[(usize, ObjectId)],
        options: &ApplyOptions,
    ) -> Result<(), (usize, ObjectFailure)> {
        let Some((first, _)) = unready.first() else { return Ok(()) };
        let ids: Vec<ObjectId> = unready.iter().map(|(_, id)| id.clone()).collect();
        let wait = WaitOptions {
            timeout: SETTLE,
            wait_for: WaitFor::Ready,
            cancel: options.cancel.clone(),
            ..WaitOptions::default()
        };
        let Err(error) = Box::pin(self.wait(&ids, &wait)).await else { return Ok(()) };
        let (index, object) = match error.objects.first() {
            Some(status) => {
                let found = unready.iter().find(|(_, id)| *id == status.object);
                (found.map_or(*first, |(index, _)| *index), status.object.clone())
            }
            None => (*first, ids[0].clone()),
        };
        let attempt = format!("wait for {} `{}`", object.kind, object.place());
        let reason = Reason::Refused { code: 504, message: error.to_string() };
        Err((index, ObjectFailure { object, error: self.member.error(&attempt, reason) }))
    }

    async fn apply_one(
        &self,
        manifest: &Manifest,
        options: &ApplyOptions,
    ) -> Result<(Change, Vec<String>), ApiError> {
        let attempt = attempt(manifest);
        if options.cancel.is_cancelled() {
            return Err(self.member.error(&attempt, Reason::Cancelled));
        }
        let target = self.target(manifest, options, attempt).await?;
        if let Some(change) = self.ruled_out(&target, options).await? {
            return Ok((change, Vec::new()));
        }
        let body = target.body();
        let mut answer = match self.patch(&target, options, &body, options.dry_run).await {
            Ok(answer) => answer,
            Err(error) => match Box::pin(self.recover(&target, options, &body, error)).await? {
                Recovered::Unblocked(answer) => answer,
                Recovered::Recreated(answer) => {
                    let change = self.change(&target, options, &answer, &body, Some(Action::Recreated))?;
                    return Ok((change, answer.warnings()));
                }
            },
        };
        let mut forced = None;
        if !options.dry_run && answer.status != StatusCode::CREATED {
            for _ in 0..TAKE_OVERS {
                let Some(patch) = self.cleanup_patch(&target, options, &answer)? else { break };
                forced = Some(Action::Configured);
                match self.send_json_patch(&target, options, &patch).await {
                    Ok(_) => {}
                    // Somebody changed the object in between: apply again and look again.
                    Err(error)
                        if matches!(error.reason, Reason::Invalid { .. } | Reason::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
                answer = self.patch(&target, options, &body, false).await?;
            }
        }
        let change = self.change(&target, options, &answer, &body, forced)?;
        Ok((change, answer.warnings()))
    }

    /// Where an object goes: its namespace filled in, or dropped where its kind has none.
    async fn target<'a>(
        &self,
        manifest: &'a Manifest,
        options: &ApplyOptions,
        attempt: String,
    ) -> Result<Target<'a>, ApiError> {
        let mut id = manifest.id.clone();
        if id.namespace.is_none() {
            id.namespace = options.default_namespace.clone();
        }
        let place = self.locate(&id, &attempt).await?;
        id.namespace = place.namespaced.then(|| id.namespace.take().unwrap_or_else(|| "default".to_owned()));
        let secrets = id.is_secret().then(|| SecretValues::of(&manifest.json));
        Ok(Target { manifest, id, place, attempt, secrets })
    }

    /// The object's identity in this cluster.
    pub(super) async fn resolve(
        &self,
        manifest: &Manifest,
        options: &ApplyOptions,
    ) -> Result<ObjectId, ApiError> {
        Ok(self.target(manifest, options, attempt(manifest)).await?.id)
    }

    /// What the object would be after an apply.
    pub(super) async fn would_become(
        &self,
        manifest: &Manifest,
        options: &ApplyOptions,
    ) -> Result<Value, ApiError> {
        let target = self.target(manifest, options, attempt(manifest)).await?;
        let answer = self.patch(&target, options, &target.body(), true).await?;
        answer.json().map_err(|reason| self.member.error(&target.attempt, reason))
    }

    /// Whether a label or annotation keeps us from the object.
    async fn ruled_out(
        &self,
        target: &Target<'_>,
        options: &ApplyOptions,
    ) -> Result<Option<Change>, ApiError> {
        let Rules { skip, if_not_present, recreate: _ } = &options.rules;
        let manifest = &target.manifest.json["metadata"];
        let skipped = |uid: &str, resource_version: &str| Change {
            object: target.id.clone(),
            action: Action::Skipped,
            uid: uid.to_owned(),
            resource_version: resource_version.to_owned(),
            generation: 0,
            footprint: String::new(),
            ready: true,
        };
        if carries(manifest, skip) {
            return Ok(Some(skipped("", "")));
        }
        let only_create = carries(manifest, if_not_present);
        if skip.is_empty() && !only_create {
            return Ok(None);
        }
        let Some(live) = self.get_metadata(&target.id).await? else { return Ok(None) };
        let metadata = json!({"labels": live.labels, "annotations": live.annotations});
        let ruled_out = only_create || carries(&metadata, skip);
        Ok(ruled_out.then(|| skipped(&live.uid, &live.resource_version)))
    }

    async fn patch(
        &self,
        target: &Target<'_>,
        options: &ApplyOptions,
        body: &Bytes,
        dry_run: bool,
    ) -> Result<Answer, ApiError> {
        let path = format!(
            "{}?fieldManager={}&force={}{}",
            target.place.object,
            query(&options.field_manager),
            options.force_conflicts,
            if dry_run { "&dryRun=All" } else { "" },
        );
        let call = Call {
            headers: &self.headers,
            secrets: target.secrets.as_ref(),
            // Applying the same object twice is applying it once.
            repeatable: true,
            ..Call::with_body(
                Method::PATCH,
                path,
                body.clone(),
                "application/apply-patch+yaml",
                &target.attempt,
            )
        };
        self.member.call(&call).await
    }

    /// A refused apply may be possible after all: by taking over fields first, or by starting anew.
    async fn recover(
        &self,
        target: &Target<'_>,
        options: &ApplyOptions,
        body: &Bytes,
        error: ApiError,
    ) -> Result<Recovered, ApiError> {
        if let Reason::Conflict { managers, .. } = &error.reason
            && !managers.is_empty()
            && !options.cleanup.managers.is_empty()
            && !options.dry_run
        {
            let live = self.get(&target.id).await?.unwrap_or_default();
            let entries = managed_entries(&live);
            if let Some(entries) =
                managed::take_over(&entries, &options.cleanup.managers, &options.field_manager)
            {
                let patch = json_patch(&live, Some(entries), &[], &[]);
                self.send_json_patch(target, options, &patch).await?;
                return self.patch(target, options, body, false).await.map(Recovered::Unblocked);
            }
        }
        let wanted = options.recreate_on_immutable
            || carries(&target.manifest.json["metadata"], &options.rules.recreate);
        if !wanted || options.dry_run || target.id.is_crd() {
            return Err(error);
        }
        let is_immutable = says_immutable(&error)
            || (matches!(error.reason, Reason::Invalid { .. })
                && self.would_be_valid_anew(target, body).await);
        if !is_immutable {
            return Err(error);
        }
        self.remove(&target.id, super::delete::Propagation::Background).await?;
        let wait = WaitOptions {
            timeout: SETTLE,
            wait_for: WaitFor::Deleted,
            cancel: options.cancel.clone(),
            ..WaitOptions::default()
        };
        if Box::pin(self.wait(std::slice::from_ref(&target.id), &wait)).await.is_err() {
            let message = format!(
                "immutable field detected, the old object is still there after {} s",
                SETTLE.as_secs()
            );
            return Err(self.member.error(&target.attempt, Reason::Refused { code: 409, message }));
        }
        self.patch(target, options, body, false).await.map(Recovered::Recreated)
    }

    /// Whether a refused object would be accepted if it were new: then it is the change that is refused, not the
    /// object. Asked by a dry run under a name of its own.
    async fn would_be_valid_anew(&self, target: &Target<'_>, body: &Bytes) -> bool {
        let Ok(mut object) = serde_json::from_slice::<Value>(body) else { return false };
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return false };
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), "sluice-check-".into());
        let attempt = "check the object anew";
        let call = Call {
            headers: &self.headers,
            secrets: target.secrets.as_ref(),
            ..Call::with_body(
                Method::POST,
                format!("{}?dryRun=All", target.place.collection),
                object.to_string().into(),
                "application/json",
                attempt,
            )
        };
        self.member.call(&call).await.is_ok()
    }

    /// What there is to clean up on the object just applied, as a JSON patch.
    fn cleanup_patch(
        &self,
        target: &Target<'_>,
        options: &ApplyOptions,
        answer: &Answer,
    ) -> Result<Option<Value>, ApiError> {
        let Cleanup { managers, annotations, labels } = &options.cleanup;
        if managers.is_empty() && annotations.is_empty() && labels.is_empty() {
            return Ok(None);
        }
        let live: Value = answer.json().map_err(|reason| self.member.error(&target.attempt, reason))?;
        let entries = managed::take_over(&managed_entries(&live), managers, &options.field_manager);
        let stray = |field: &str, keys: &[String]| -> Vec<String> {
            let is_stray = |key: &&String| {
                live["metadata"][field].get(key.as_str()).is_some()
                    && target.manifest.json["metadata"][field].get(key.as_str()).is_none()
            };
            keys.iter().filter(is_stray).cloned().collect()
        };
        let (annotations, labels) = (stray("annotations", annotations), stray("labels", labels));
        if entries.is_none() && annotations.is_empty() && labels.is_empty() {
            return Ok(None);
        }
        Ok(Some(json_patch(&live, entries, &annotations, &labels)))
    }

    async fn send_json_patch(
        &self,
        target: &Target<'_>,
        options: &ApplyOptions,
        patch: &Value,
    ) -> Result<Answer, ApiError> {
        let path = format!("{}?fieldManager={}", target.place.object, query(&options.field_manager));
        let call = Call {
            headers: &self.headers,
            secrets: target.secrets.as_ref(),
            ..Call::with_body(
                Method::PATCH,
                path,
                patch.to_string().into(),
                "application/json-patch+json",
                &target.attempt,
            )
        };
        self.member.call(&call).await
    }

    /// Reads off an answer what the apply did.
    fn change(
        &self,
        target: &Target<'_>,
        options: &ApplyOptions,
        answer: &Answer,
        body: &Bytes,
        forced: Option<Action>,
    ) -> Result<Change, ApiError> {
        let live: Value = answer.json().map_err(|reason| self.member.error(&target.attempt, reason))?;
        let metadata = &live["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        let entries = managed_entries(&live);
        let footprint = managed::footprint(&entries);
        let (resource_version, generation) =
            (text("resourceVersion"), metadata["generation"].as_i64().unwrap_or(0));
        let same_as_before = !options.dry_run
            && self.member.seen.note(&target.id, &resource_version, &(body, &footprint, generation));
        let action = match forced {
            Some(action) => action,
            None if answer.status == StatusCode::CREATED => Action::Created,
            None if same_as_before || !changed_now(answer, &entries, &options.field_manager) => {
                Action::Unchanged
            }
            None => Action::Configured,
        };
        if target.id.is_crd() && action != Action::Unchanged && !options.dry_run {
            self.member.kinds.define(&target.manifest.json);
        }
        let ready = kstatus::compute(&live, self.member.clock.now()).health == Health::Current;
        let object = target.id.clone();
        Ok(Change { object, action, uid: text("uid"), resource_version, generation, footprint, ready })
    }
}

/// An object on its way to the cluster.
struct Target<'a> {
    manifest: &'a Manifest,
    id: ObjectId,
    place: Place,
    attempt: String,
    secrets: Option<SecretValues>,
}

impl Target<'_> {
    /// The manifest as JSON, with the namespace the object belongs into.
    fn body(&self) -> Bytes {
        if self.id.namespace == self.manifest.id.namespace {
            return self.manifest.json.to_string().into();
        }
        let mut json = self.manifest.json.clone();
        if let Some(metadata) = json.get_mut("metadata").and_then(Value::as_object_mut) {
            match &self.id.namespace {
                Some(namespace) => metadata.insert("namespace".to_owned(), namespace.as_str().into()),
                None => metadata.remove("namespace"),
            };
        }
        json.to_string().into()
    }
}

enum Recovered {
    Unblocked(Answer),
    Recreated(Answer),
}

fn attempt(manifest: &Manifest) -> String {
    format!("apply {} `{}`", manifest.id.kind, manifest.id.place())
}

/// Whether `crd` is the definition of `id`'s kind.
pub(super) fn defines(crd: &Manifest, id: &ObjectId) -> bool {
    crd.id.is_crd() && crd.json["spec"]["group"] == *id.group && crd.json["spec"]["names"]["kind"] == *id.kind
}

/// Whether metadata carries one of the labels or annotations.
pub(super) fn carries(metadata: &Value, rules: &[(String, String)]) -> bool {
    rules.iter().any(|(key, value)| {
        ["annotations", "labels"].iter().any(|field| {
            metadata[field].get(key).and_then(Value::as_str).is_some_and(|v| v.eq_ignore_ascii_case(value))
        })
    })
}

fn managed_entries(object: &Value) -> Vec<ManagedEntry> {
    serde_json::from_value(object["metadata"]["managedFields"].clone()).unwrap_or_default()
}

/// Whether the server noted a change by `manager` while it worked on this answer. The time is in whole seconds and by
/// the server's clock, as is the answer's `Date`.
fn changed_now(answer: &Answer, entries: &[ManagedEntry], manager: &str) -> bool {
    let Some(applied_at) = managed::applied_at(entries, manager) else { return false };
    let date = answer.headers.get(http::header::DATE).and_then(|d| d.to_str().ok());
    let Some(date) = date.and_then(|d| jiff::fmt::rfc2822::parse(d).ok()) else { return true };
    let age = date.timestamp().duration_since(applied_at).as_millis();
    age <= i128::try_from(answer.took.as_millis()).unwrap_or(i128::MAX) + 1_000
}

/// Whether it is the change that is refused. An object with other faults besides is not worth deleting: it could not
/// be created either.
fn says_immutable(error: &ApiError) -> bool {
    match &error.reason {
        Reason::Invalid { causes, .. } if !causes.is_empty() => {
            causes.iter().all(|cause| is_immutable_text(&cause.message))
        }
        Reason::Invalid { message, .. }
        | Reason::Conflict { message, .. }
        | Reason::Refused { message, .. }
        | Reason::Forbidden { message, .. }
        | Reason::Server { message, .. } => is_immutable_text(message),
        _ => false,
    }
}

/// The texts by which API servers say that a field cannot be changed, and those of admission webhooks and CEL rules
/// (fluxcd/pkg `ssa/errors/immutable.go`).
fn is_immutable_text(text: &str) -> bool {
    const SAYINGS: [&str; 5] = [
        "is immutable",
        "immutable field",
        "may not change once set",
        "updates to statefulset spec for fields other than",
        "pod updates may not change fields other than",
    ];
    SAYINGS.iter().any(|saying| text.contains(saying))
}

fn json_patch(
    live: &Value,
    entries: Option<Vec<ManagedEntry>>,
    annotations: &[String],
    labels: &[String],
) -> Value {
    let mut patch = vec![json!({
        "op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"],
    })];
    let pointer =
        |field: &str, key: &str| format!("/metadata/{field}/{}", key.replace('~', "~0").replace('/', "~1"));
    for (field, keys) in [("annotations", annotations), ("labels", labels)] {
        patch.extend(keys.iter().map(|key| json!({"op": "remove", "path": pointer(field, key)})));
    }
    if let Some(entries) = entries {
        patch.push(json!({"op": "replace", "path": "/metadata/managedFields", "value": entries}));
    }
    Value::Array(patch)
}
