//! The JSON of the API. Kept apart from the rooms' own types, so that those can change without breaking scripts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Cause, ObjectKey, Timestamp};

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// One sentence.
    pub error: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// `GET /version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// The agent's version.
    pub version: String,
}

/// `GET /objects`: whole objects, as `kubectl get -o json` lists them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectList {
    /// `v1`.
    pub api_version: String,
    /// `List`.
    pub kind: String,
    /// The objects.
    pub items: Vec<Value>,
}

/// `POST …/reconcile`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReconcileRequest {
    /// Its sources too.
    pub with_source: bool,
    /// A one-off install or upgrade whatever the state (HelmRelease).
    pub force: bool,
    /// Start counting failures anew (HelmRelease).
    pub reset: bool,
}

/// What was asked to reconcile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The value of the `requestedAt` annotation; the status will carry it as `lastHandledReconcileAt`.
    pub requested_at: String,
    /// Sources first.
    pub objects: Vec<ObjectKey>,
}

/// `POST …/suspend`, `POST …/resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// The object.
    pub object: ObjectKey,
    /// Whether it is suspended now.
    pub suspended: bool,
    /// Nothing reconciles this kind, so there is nothing to wait for.
    pub is_static: bool,
}

/// Something wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemLine {
    /// The file, relative to the directory served.
    pub file: String,
    /// The line; 0 where the whole file is meant.
    pub line: u32,
    /// The object, where it is known.
    pub object: Option<ObjectKey>,
    /// What is wrong.
    pub message: String,
}

/// One delivery in the inbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryLine {
    /// Our id.
    pub id: String,
    /// The Receiver.
    pub receiver: ObjectKey,
    /// Its type.
    pub provider: String,
    /// The sender's word for the event.
    pub event: String,
    /// The sender's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<String>,
    /// When the request's head had arrived.
    pub received_at: Timestamp,
    /// When it was on disk.
    pub stored_at: Timestamp,
    /// What the body says.
    pub facts: Value,
    /// Why nothing, or not everything, came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How many jobs stand in which state because of it.
    pub jobs: BTreeMap<String, u64>,
}

/// A delivery that was refused; it is in no store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// When.
    pub at: Timestamp,
    /// The Receiver whose path it knew.
    pub receiver: ObjectKey,
    /// The event it claimed, with control characters escaped.
    pub event: String,
    /// The delivery id it claimed, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<String>,
    /// Why; the sender was not told.
    pub reason: String,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// One delivery with its body and all that came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryDetail {
    /// The line of the list.
    #[serde(flatten)]
    pub line: DeliveryLine,
    /// Headers without credentials.
    pub headers: Vec<(String, String)>,
    /// The body as far as it was kept, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// How long it was on the wire.
    pub body_size: u64,
    /// What came of it.
    pub story: StoryView,
}

/// What a replay put into the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// The objects whose jobs were put in.
    pub objects: Vec<ObjectKey>,
    /// Why nothing, or not everything, came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where a Receiver listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookLine {
    /// The Receiver.
    pub receiver: ObjectKey,
    /// Its type.
    pub provider: String,
    /// `/hook/<hex>`; none when its secret cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The whole address, when `--public-url` is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Deliveries are recorded and nothing is done.
    pub suspended: bool,
}

/// A story: deliveries, the jobs they caused, what those did, who was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoryView {
    /// Oldest first.
    pub deliveries: Vec<DeliveryLine>,
    /// Oldest first.
    pub jobs: Vec<JobLine>,
    /// In order of time.
    pub steps: Vec<StepLine>,
    /// Oldest first.
    pub messages: Vec<MessageLine>,
    /// How the objects in it stand now.
    pub objects: Vec<ObjectNow>,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobLine {
    /// Its id.
    pub id: String,
    /// Its object.
    pub object: ObjectKey,
    /// `pending`, `running`, `done`, `failed`, `superseded`, `dead`.
    pub state: String,
    /// Why it ran, oldest first.
    pub causes: Vec<Cause>,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When it was put in.
    pub created_at: Timestamp,
    /// From when on it may run.
    pub due_at: Timestamp,
    /// When a worker took it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The job that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
}

/// One thing a job did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLine {
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// For which object.
    pub object: ObjectKey,
    /// `fetch`, `render`, `apply` …
    pub step: String,
    /// For which member cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// At which revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_us: u64,
    /// `done`, `unchanged`, `skipped`, `failed`.
    pub outcome: String,
    /// A sentence for people.
    pub detail: String,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageLine {
    /// Its number.
    pub id: i64,
    /// The Alert that matched.
    pub alert: ObjectKey,
    /// The Provider that sends.
    pub provider: ObjectKey,
    /// What it is about.
    pub object: ObjectKey,
    /// `info` or `error`.
    pub severity: String,
    /// Flux's word.
    pub reason: String,
    /// The text.
    pub message: String,
    /// `pending`, `sending`, `sent`, `dead`.
    pub state: String,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When it was put in.
    pub created_at: Timestamp,
    /// When it was sent or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// How an object stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectNow {
    /// The object.
    pub object: ObjectKey,
    /// `True`, `False` or `Unknown`.
    pub ready: String,
    /// What it says about that.
    pub message: String,
    /// What it stands at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Whether it is left alone on purpose.
    pub suspended: bool,
}

/// `GET /wait`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WaitQuery {
    /// The kind, or a short name of it.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Wait until everything that follows from the object stands at this revision or commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Wait until the request with this `requestedAt` was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<String>,
    /// How many seconds to hold the answer at most; 60 is the longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitReport {
    /// All have it.
    pub done: bool,
    /// At least one never will without help: it failed, or it is suspended.
    pub failed: bool,
    /// Who is waited for.
    pub members: Vec<WaitMember>,
}

/// One that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitMember {
    /// The object.
    pub object: ObjectKey,
    /// The cluster it is applied to; none for what is applied to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Where it stands.
    pub state: WaitState,
    /// Its revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What it says.
    pub message: String,
}

/// Where one that is waited for stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitState {
    /// It has it.
    Ready,
    /// Not yet.
    Waiting,
    /// Never without help.
    Failed,
    /// It is left alone on purpose, and has it not.
    Suspended,
}

/// `POST /diff`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiffRequest {
    /// Which HelmReleases and Kustomizations; none: all of `namespace`.
    pub objects: Vec<ObjectKey>,
    /// All of this namespace; none: of every namespace.
    pub namespace: Option<String>,
    /// At which revision of the source; none: at the one it stands at.
    pub revision: Option<String>,
}

/// What would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffReport {
    /// One per object and cluster.
    pub objects: Vec<ObjectDiff>,
}

/// What one object would change on its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectDiff {
    /// The HelmRelease or Kustomization.
    pub object: ObjectKey,
    /// The member cluster; empty for the agent's own.
    pub cluster: String,
    /// The revision that was rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Why it could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What would change.
    pub changes: Vec<ResourceChange>,
}

/// What would happen to one Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceChange {
    /// `Deployment/app/web`.
    pub resource: String,
    /// YAML as it is, secrets masked; none: it would be created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// YAML as it would be, secrets masked; none: it would be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Whether a member cluster can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReach {
    /// The cluster, by the name objects know it by.
    pub cluster: String,
    /// The objects that name it.
    pub objects: Vec<ObjectKey>,
    /// Its Kubernetes version, when it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it cannot be used, when it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One event of `GET /stream`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEvent {
    /// `Kind/namespace/name`.
    pub target: String,
    /// `added`, `spec`, `metadata`, `status`, `removed`, `invalid`.
    pub what: String,
    /// When it was told.
    pub at: Timestamp,
}
