//! Waits until objects are ready, done or gone: by watch, with Flux's rules and words.
//!
//! Polls nothing and holds no task of its own: dropping the wait ends its watches.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::error::{ApiError, Reason};
use super::kstatus::{self, Health, Status};
use super::object::ObjectId;
use super::pool::Cluster;
use super::read::collection;
use super::watch::{Event, Follower};

/// Above this many objects of one kind in one namespace, the collection is followed instead of each by name.
const BY_NAME: usize = 8;
/// Objects whose pods are asked for the cause of a lost wait.
const EXPLAINED: usize = 5;

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitFor {
    /// Every object is current; a Job need only have started.
    #[default]
    Ready,
    /// Every object is current, and Jobs are complete (`waitForJobs`).
    ReadyWithJobs,
    /// Hooks: Jobs and Pods have ended well, anything else exists.
    HookDone,
    /// No object is there any more.
    Deleted,
}

/// Decides an object's status ahead of the built-in rules, or leaves it to them (`healthCheckExprs`).
pub type StatusReader = Arc<dyn Fn(&ObjectId, &Value) -> Option<Status> + Send + Sync>;

/// How to wait.
#[derive(Clone)]
pub struct WaitOptions {
    /// How long at most.
    pub timeout: Duration,
    /// For what.
    pub wait_for: WaitFor,
    /// End as soon as one object has failed.
    pub fail_fast: bool,
    /// Jobs that remove themselves after their end (`ttlSecondsAfterFinished`): gone is good.
    pub vanishing: Vec<ObjectId>,
    /// Rules of the caller's own.
    pub reader: Option<StatusReader>,
    /// Ends the wait early.
    pub cancel: CancellationToken,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            wait_for: WaitFor::Ready,
            fail_fast: true,
            vanishing: Vec::new(),
            reader: None,
            cancel: CancellationToken::new(),
        }
    }
}

impl fmt::Debug for WaitOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { timeout, wait_for, fail_fast, vanishing, reader, cancel: _ } = self;
        f.debug_struct("WaitOptions")
            .field("timeout", timeout)
            .field("wait_for", wait_for)
            .field("fail_fast", fail_fast)
            .field("vanishing", vanishing)
            .field("reader", &reader.is_some())
            .finish_non_exhaustive()
    }
}

/// How an object stood when the wait ended.
#[derive(Clone, Debug)]
pub struct ObjectState {
    /// Which object.
    pub object: ObjectId,
    /// Its status; none if it could never be read.
    pub status: Option<Status>,
    /// Why it could not be read the last time.
    pub error: Option<ApiError>,
    /// What its pods say, for workloads.
    pub causes: Vec<String>,
}

/// Why a wait ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// The time is up.
    TimedOut,
    /// Something failed that will not recover by itself.
    Failed,
    /// The caller cancelled it.
    Cancelled,
}

/// The objects are not all as awaited.
#[derive(Clone, Debug, thiserror::Error)]
pub struct WaitError {
    /// Why the wait ended.
    pub end: WaitEnd,
    /// What was waited for.
    pub wait_for: WaitFor,
    /// The objects to blame, in the order given: those that failed, or at the end of the time all that are not ready.
    pub objects: Vec<ObjectState>,
}

/// Flux's sentence (fluxcd/pkg `ssa/manager_wait.go`).
impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.end, self.wait_for) {
            (WaitEnd::Cancelled, _) => return f.write_str("context canceled"),
            (_, WaitFor::Deleted) => {
                let names: Vec<_> = self.objects.iter().map(|o| o.object.subject()).collect();
                return write!(f, "{} termination timeout: context deadline exceeded", names.join(", "));
            }
            (WaitEnd::TimedOut, _) => f.write_str("timeout waiting for: [")?,
            (WaitEnd::Failed, _) => f.write_str("failed early due to stalled resources: [")?,
        }
        for (index, state) in self.objects.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match &state.status {
                Some(status) => {
                    write!(f, "{} status: '{}'", state.object.subject(), status.health.as_str())?;
                }
                None => write!(f, "can't determine status for {}", state.object.subject())?,
            }
            if let Some(error) = &state.error {
                write!(f, ": {error}")?;
            }
        }
        f.write_str("]")
    }
}

impl WaitError {
    /// The same in Helm's words, one line per object.
    pub fn helm_text(&self) -> String {
        let mut lines: Vec<String> = self
            .objects
            .iter()
            .map(|state| {
                let ObjectId { kind, name, .. } = &state.object;
                let namespace = state.object.namespace_or_empty();
                let unknown = Status::unknown("");
                let Status { health, message } = state.status.as_ref().unwrap_or(&unknown);
                let verb = if self.wait_for == WaitFor::Deleted { "still exists." } else { "not ready." };
                format!(
                    "resource {kind}/{namespace}/{name} {verb} status: {}, message: {message}",
                    health.as_str()
                )
            })
            .collect();
        match self.end {
            WaitEnd::TimedOut => lines.push("context deadline exceeded".to_owned()),
            WaitEnd::Cancelled => lines.push("context canceled".to_owned()),
            WaitEnd::Failed => {}
        }
        lines.join("\n")
    }

    /// What people want to know beyond Flux's sentence: each object's own message, and what its pods say.
    pub fn details(&self) -> Vec<String> {
        let told = self.objects.iter().filter_map(|state| {
            let message = state.status.as_ref().map(|s| s.message.as_str()).filter(|m| !m.is_empty())?;
            let causes = match state.causes.as_slice() {
                [] => String::new(),
                causes => format!(" ({})", causes.join("; ")),
            };
            Some(format!("{}: {message}{causes}", state.object.subject()))
        });
        told.collect()
    }
}

/// What is known about one object during the wait.
struct Tracked {
    object: ObjectId,
    status: Option<Status>,
    /// The status before its pods were considered.
    own: Option<Status>,
    error: Option<ApiError>,
    /// Its pods that have failed, by name; kept for StatefulSets and ReplicaSets only.
    failed_pods: HashMap<String, bool>,
    pods_followed: bool,
    /// Which pods are its own, for workloads.
    selector: Option<String>,
}

/// Which objects a follower's events are about.
enum Subject {
    /// Objects of one kind and namespace: name to index.
    Objects(HashMap<String, usize>),
    /// The pods of one object.
    PodsOf(usize),
}

type Next<'a> = BoxFuture<'a, (Follower<'a>, Subject, Event)>;

fn follow<'a>(mut follower: Follower<'a>, subject: Subject) -> Next<'a> {
    Box::pin(async move {
        let event = follower.next().await;
        (follower, subject, event)
    })
}

impl Cluster {
    /// Waits for the objects.
    pub async fn wait(&self, objects: &[ObjectId], options: &WaitOptions) -> Result<(), WaitError> {
        let mut tracked: Vec<Tracked> = objects
            .iter()
            .map(|object| Tracked {
                object: object.clone(),
                status: None,
                own: None,
                error: None,
                failed_pods: HashMap::new(),
                pods_followed: false,
                selector: None,
            })
            .collect();
        if tracked.is_empty() {
            return Ok(());
        }
        let end = tokio::select! {
            biased;
            () = options.cancel.cancelled() => Some(WaitEnd::Cancelled),
            end = tokio::time::timeout(options.timeout, Box::pin(self.observe(&mut tracked, options))) => {
                end.unwrap_or(Some(WaitEnd::TimedOut))
            }
        };
        let Some(end) = end else { return Ok(()) };
        let blamed = tracked.into_iter().filter(|t| match end {
            WaitEnd::Failed => t.health() == Some(Health::Failed),
            WaitEnd::TimedOut | WaitEnd::Cancelled => !t.is_done(options),
        });
        let mut objects = Vec::new();
        for Tracked { object, status, error, selector, .. } in blamed {
            let causes = match &selector {
                Some(selector) if end != WaitEnd::Cancelled && objects.len() < EXPLAINED => {
                    self.pod_causes(&object, selector).await
                }
                _ => Vec::new(),
            };
            objects.push(ObjectState { object, status, error, causes });
        }
        Err(WaitError { end, wait_for: options.wait_for, objects })
    }

    /// Follows the objects until all are done (none) or the wait is lost.
    async fn observe(&self, tracked: &mut [Tracked], options: &WaitOptions) -> Option<WaitEnd> {
        let mut events: FuturesUnordered<Next<'_>> = FuturesUnordered::new();
        for (follower, subject) in self.followers(tracked, options).await {
            events.push(follow(follower, subject));
        }
        if let Some(verdict) = verdict(tracked, options) {
            return verdict;
        }
        while let Some((follower, subject, event)) = events.next().await {
            let mut touched = Vec::new();
            match &subject {
                Subject::Objects(names) => self.note(tracked, names, event, options, &mut touched),
                Subject::PodsOf(owner) => {
                    note_pods(&mut tracked[*owner], event, self.member.clock.now());
                }
            }
            for index in touched {
                if let Some(pods) = self.pods_follower(&mut tracked[index]) {
                    events.push(follow(pods, Subject::PodsOf(index)));
                }
            }
            if let Some(verdict) = verdict(tracked, options) {
                return verdict;
            }
            let is_needed = match &subject {
                Subject::Objects(names) => names.values().any(|index| !tracked[*index].is_done(options)),
                Subject::PodsOf(owner) => !tracked[*owner].is_done(options),
            };
            if is_needed {
                events.push(follow(follower, subject));
            }
        }
        // Every follower was dropped as not needed, so all are done.
        None
    }

    /// One follower per object, or per kind and namespace where there are many.
    async fn followers<'a>(
        &'a self,
        tracked: &mut [Tracked],
        options: &WaitOptions,
    ) -> Vec<(Follower<'a>, Subject)> {
        let mut collections: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, tracked) in tracked.iter_mut().enumerate() {
            let attempt = format!("wait for {} `{}`", tracked.object.kind, tracked.object.place());
            match self.locate(&tracked.object, &attempt).await {
                Ok(place) => collections.entry(place.collection).or_default().push(index),
                Err(error) if matches!(error.reason, Reason::UnknownKind { .. }) => {
                    tracked.status = Some(match options.wait_for {
                        WaitFor::Deleted => Status::not_found(),
                        _ => Status::unknown(error.reason.to_string()),
                    });
                    tracked.error = Some(error);
                }
                Err(error) => {
                    tracked.error = Some(error);
                    // The cluster cannot tell its kinds right now; guess the path, the follower keeps trying.
                    let id = &tracked.object;
                    let plural = format!("{}s", id.kind.to_lowercase());
                    let path = collection(&id.api_version(), &plural, id.namespace.as_deref());
                    collections.entry(path).or_default().push(index);
                }
            }
        }
        let mut followers = Vec::new();
        for (path, members) in collections {
            let id = &tracked[members[0]].object;
            let (api_version, kind) = (id.api_version(), id.kind.clone());
            if members.len() > BY_NAME {
                let names = members.iter().map(|i| (tracked[*i].object.name.clone(), *i)).collect();
                let follower = Follower::of_labels(self, path, api_version, kind, "");
                followers.push((follower, Subject::Objects(names)));
                continue;
            }
            for index in members {
                let name = tracked[index].object.name.clone();
                let follower =
                    Follower::of_name(self, path.clone(), api_version.clone(), kind.clone(), &name);
                followers.push((follower, Subject::Objects(HashMap::from([(name, index)]))));
            }
        }
        followers
    }

    /// Takes in an event about objects that are waited for.
    fn note(
        &self,
        tracked: &mut [Tracked],
        names: &HashMap<String, usize>,
        event: Event,
        options: &WaitOptions,
        touched: &mut Vec<usize>,
    ) {
        let index_of =
            |object: &Value| object["metadata"]["name"].as_str().and_then(|name| names.get(name)).copied();
        match event {
            Event::Listed(objects) => {
                let mut there = Vec::new();
                for object in objects {
                    if let Some(index) = index_of(&object) {
                        there.push(index);
                        self.assess(&mut tracked[index], &object, options);
                        touched.push(index);
                    }
                }
                for index in names.values().filter(|index| !there.contains(index)) {
                    tracked[*index].set(Status::not_found());
                }
            }
            Event::Changed(object) => {
                if let Some(index) = index_of(&object) {
                    self.assess(&mut tracked[index], &object, options);
                    touched.push(index);
                }
            }
            Event::Gone(object) => {
                if let Some(index) = index_of(&object) {
                    tracked[index].set(Status::not_found());
                }
            }
            Event::Trouble(error) => {
                for index in names.values() {
                    tracked[*index].error = Some(error.clone());
                }
            }
        }
    }

    fn assess(&self, tracked: &mut Tracked, object: &Value, options: &WaitOptions) {
        let now = self.member.clock.now();
        if matches!(tracked.object.group.as_str(), "apps" | "batch") {
            tracked.selector = label_selector(&object["spec"]["selector"]);
        }
        let custom = options.reader.as_ref().and_then(|reader| reader(&tracked.object, object));
        let status = custom.unwrap_or_else(|| match options.wait_for {
            WaitFor::Ready | WaitFor::Deleted => kstatus::compute(object, now),
            WaitFor::ReadyWithJobs => kstatus::compute_with_jobs(object, now),
            WaitFor::HookDone => kstatus::compute_hook(object),
        });
        // Nobody rolls out a paused Deployment: Helm does not wait for one.
        let is_paused = tracked.object.group == "apps"
            && tracked.object.kind == "Deployment"
            && object.pointer("/spec/paused") == Some(&Value::Bool(true));
        if is_paused && options.wait_for != WaitFor::Deleted && status.health == Health::InProgress {
            return tracked
                .set(Status { health: Health::Current, message: "Deployment is paused".to_owned() });
        }
        tracked.set(status);
    }

    /// StatefulSets and ReplicaSets fail with their pods, so these are followed too.
    fn pods_follower<'a>(&'a self, tracked: &mut Tracked) -> Option<Follower<'a>> {
        let owns_pods = tracked.object.group == "apps"
            && matches!(tracked.object.kind.as_str(), "StatefulSet" | "ReplicaSet");
        if !owns_pods || tracked.pods_followed || tracked.health() != Some(Health::InProgress) {
            return None;
        }
        let selector = tracked.selector.clone()?;
        tracked.pods_followed = true;
        let path = collection("v1", "pods", tracked.object.namespace.as_deref());
        Some(Follower::of_labels(self, path, "v1".to_owned(), "Pod".to_owned(), &selector))
    }
}

/// None to go on; otherwise how the wait ends.
fn verdict(tracked: &[Tracked], options: &WaitOptions) -> Option<Option<WaitEnd>> {
    if tracked.iter().all(|t| t.is_done(options)) {
        return Some(None);
    }
    if options.wait_for == WaitFor::Deleted {
        return None;
    }
    let failed = |t: &Tracked| t.health() == Some(Health::Failed);
    let any_failed = tracked.iter().any(failed);
    // What has failed never becomes current, so there is nothing left to wait for.
    let all_ended = tracked.iter().all(|t| failed(t) || t.is_done(options));
    (any_failed && (options.fail_fast || all_ended)).then_some(Some(WaitEnd::Failed))
}

fn note_pods(owner: &mut Tracked, event: Event, now: crate::model::Timestamp) {
    let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    match event {
        Event::Listed(pods) => {
            owner.failed_pods =
                pods.iter().map(|pod| (name(pod), kstatus::pod_has_failed(pod, now))).collect();
        }
        Event::Changed(pod) => {
            owner.failed_pods.insert(name(&pod), kstatus::pod_has_failed(&pod, now));
        }
        Event::Gone(pod) => {
            owner.failed_pods.remove(&name(&pod));
        }
        Event::Trouble(_) => return,
    }
    owner.consider_pods();
}

impl Tracked {
    fn health(&self) -> Option<Health> {
        self.status.as_ref().map(|status| status.health)
    }

    fn set(&mut self, status: Status) {
        self.error = None;
        self.own = Some(status);
        self.consider_pods();
    }

    fn consider_pods(&mut self) {
        let failed = self.failed_pods.values().filter(|failed| **failed).count();
        self.status = self.own.clone().map(|own| kstatus::with_failed_pods(own, failed));
    }

    fn is_done(&self, options: &WaitOptions) -> bool {
        match (options.wait_for, self.health()) {
            (WaitFor::Deleted, health) => health == Some(Health::NotFound),
            (_, Some(Health::Current)) => true,
            (_, Some(Health::NotFound)) => options.vanishing.iter().any(|id| id.same_object(&self.object)),
            _ => false,
        }
    }
}

/// A LabelSelector as a query has it.
fn label_selector(selector: &Value) -> Option<String> {
    let mut parts = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push(format!("{key}={}", value.as_str()?));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str()?;
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(kind: &str, name: &str, status: Option<Status>) -> ObjectState {
        ObjectState {
            object: ObjectId::new("apps/v1", kind, "shop", name),
            status,
            error: None,
            causes: Vec::new(),
        }
    }

    #[test]
    fn errors_are_in_the_words_of_flux_and_helm() {
        let waiting = Status { health: Health::InProgress, message: "Available: 0/1".to_owned() };
        let objects = vec![state("Deployment", "web", Some(waiting)), state("StatefulSet", "db", None)];
        let error = WaitError { end: WaitEnd::TimedOut, wait_for: WaitFor::Ready, objects };
        assert_eq!(
            error.to_string(),
            "timeout waiting for: [Deployment/shop/web status: 'InProgress', can't determine status for StatefulSet/shop/db]"
        );
        assert_eq!(
            error.helm_text(),
            "resource Deployment/shop/web not ready. status: InProgress, message: Available: 0/1\n\
             resource StatefulSet/shop/db not ready. status: Unknown, message: \n\
             context deadline exceeded"
        );
        assert_eq!(error.details(), ["Deployment/shop/web: Available: 0/1"]);
        let failed = Status { health: Health::Failed, message: "Job Failed. failed: 1/1".to_owned() };
        let objects = vec![state("Job", "migrate", Some(failed))];
        let error = WaitError { end: WaitEnd::Failed, wait_for: WaitFor::HookDone, objects };
        assert_eq!(
            error.to_string(),
            "failed early due to stalled resources: [Job/shop/migrate status: 'Failed']"
        );
    }

    #[test]
    fn label_selectors_become_queries() {
        let selector = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["d", "e"]}, {"key": "f", "operator": "Exists"},
            {"key": "g", "operator": "DoesNotExist"}, {"key": "h", "operator": "NotIn", "values": ["i"]}]});
        assert_eq!(label_selector(&selector).unwrap(), "a=b,c in (d,e),f,!g,h notin (i)");
        assert_eq!(label_selector(&json!({})), None);
    }
}
