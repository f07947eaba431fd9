//! What requests share: the routes, the limits, what was refused of late, and counts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::keys::KeyStore;
use super::limits::{Budget, Failures};
use super::proof::Slot;
use super::routes::{NotReady, Routes};
use crate::model::{Clock, Kind, Network, ObjectKey, Timestamp};
use crate::objects::{Change, ChangeKind, ChangeTarget, Objects};
use crate::queue::Queue;

/// Refusals remembered per Receiver.
const REMEMBERED: usize = 100;
const BRIEF: &str = "the lock is held for one look or one insert, which cannot panic";
const READING: &str = "reading the routes cannot panic: what compiles expressions catches its own";

/// Knobs of the receiver.
#[derive(Clone, Debug)]
pub struct ReceiverSettings {
    /// Receivers may only wake objects of their own namespace.
    pub no_cross_namespace_refs: bool,
    /// Accept SHA-1 signatures, as Flux does.
    pub accept_sha1: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Larger bodies are 413.
    pub body_limit: usize,
    /// Memory for all bodies under way; beyond it 503.
    pub memory: usize,
    /// A body that takes longer is 408.
    pub body_timeout: Duration,
    /// So much of a body is stored.
    pub stored_body: usize,
    /// Where Google shows the keys of its identity tokens.
    pub google_keys: String,
    /// For all that an issuer is asked at once.
    pub keys_deadline: Duration,
}

/// How often the keys of issuers are looked after.
const KEEP_KEYS_EVERY: Duration = Duration::from_secs(60);

impl Default for ReceiverSettings {
    fn default() -> Self {
        Self {
            no_cross_namespace_refs: false,
            accept_sha1: true,
            trusted_proxies: Vec::new(),
            // GitHub's and GitLab's cap.
            body_limit: 25 << 20,
            memory: 64 << 20,
            body_timeout: Duration::from_secs(30),
            stored_body: 256 << 10,
            google_keys: "https://www.googleapis.com/oauth2/v3/certs".to_owned(),
            keys_deadline: Duration::from_secs(5),
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Stored, and jobs with it.
    Accepted,
    /// Stored; nothing to do.
    Recorded,
    /// Stored before.
    Duplicate,
    /// An unsigned test ping.
    Ping,
    /// The proof failed.
    Refused,
    /// Authentic, but not readable.
    Malformed,
    /// Too large, too slow, of the wrong type or method.
    Unfit,
    /// No memory or no store.
    Unavailable,
}

impl Outcome {
    /// The word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Recorded => "recorded",
            Outcome::Duplicate => "duplicate",
            Outcome::Ping => "ping",
            Outcome::Refused => "refused",
            Outcome::Malformed => "malformed",
            Outcome::Unfit => "unfit",
            Outcome::Unavailable => "unavailable",
        }
    }
}

/// A count for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The Receiver; `None` for paths that are nobody's.
    pub receiver: Option<ObjectKey>,
    /// What became of the request.
    pub outcome: Outcome,
    /// Which token matched, where one did: shows when the old one is no longer in use.
    pub token: Option<Slot>,
    /// How often.
    pub count: u64,
}

/// A request that was refused although it knew the path. It is kept in memory only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub address: Option<IpAddr>,
    /// The event it claimed, with control characters escaped.
    pub event: String,
    /// The delivery id it claimed, likewise.
    pub sender_id: String,
    /// Why it was refused; the sender was not told.
    pub reason: String,
}

/// What a count is kept by: receiver, outcome, token.
type Counted = (Option<ObjectKey>, Outcome, Option<Slot>);

/// What requests share. Cheap to clone.
#[derive(Clone)]
pub struct ReceiverState(Arc<Shared>);

struct Shared {
    objects: Objects,
    queue: Queue,
    clock: Clock,
    settings: ReceiverSettings,
    routing: Mutex<Routing>,
    budget: Budget,
    keys: KeyStore,
    failures: Mutex<Failures>,
    rejections: Mutex<BTreeMap<ObjectKey, VecDeque<Rejection>>>,
    counts: Mutex<BTreeMap<Counted, u64>>,
    /// Receivers whose senders sign with SHA-1; each is warned of once.
    sha1: Mutex<BTreeSet<ObjectKey>>,
}

/// The routes, and the changes that they do not know of yet.
struct Routing {
    changes: broadcast::Receiver<Change>,
    routes: Arc<Routes>,
}

impl ReceiverState {
    /// Reads the Receivers; changes are noticed from then on.
    pub fn new(objects: Objects, queue: Queue, clock: Clock, settings: ReceiverSettings) -> Self {
        // Subscribed first, so that no change falls between the two.
        let changes = objects.subscribe();
        let routes = Arc::new(Routes::read(&objects, &Routes::default()));
        let routing = Mutex::new(Routing { changes, routes });
        let budget = Budget::new(settings.memory);
        let keys = KeyStore::new(settings.google_keys.clone(), settings.keys_deadline, clock.clone());
        Self(Arc::new(Shared {
            objects,
            queue,
            clock,
            settings,
            routing,
            budget,
            keys,
            failures: Mutex::default(),
            rejections: Mutex::default(),
            counts: Mutex::default(),
            sha1: Mutex::default(),
        }))
    }

    /// The paths of every Receiver, the current one first, or why it has none.
    pub fn readiness(&self) -> BTreeMap<ObjectKey, Result<Vec<String>, NotReady>> {
        self.routes().state.clone()
    }

    /// Where a Receiver's hook is, or Flux's reason and the text why there is none. The first path is that of `token`.
    pub fn path_of(&self, receiver: &ObjectKey) -> Result<String, (&'static str, String)> {
        match self.routes().state.get(receiver) {
            Some(Ok(paths)) => Ok(paths.first().cloned().unwrap_or_default()),
            Some(Err(problem)) => Err((problem.reason(), problem.to_string())),
            None => Err(("ValidationFailed", format!("`{receiver}` is not known to the webhook listener"))),
        }
    }

    /// The last refusals of a Receiver, oldest first.
    pub fn rejections(&self, receiver: &ObjectKey) -> Vec<Rejection> {
        self.lock(&self.0.rejections).get(receiver).into_iter().flatten().cloned().collect()
    }

    /// Counts since the start.
    pub fn counts(&self) -> Vec<Count> {
        self.lock(&self.0.counts)
            .iter()
            .map(|((receiver, outcome, token), count)| Count {
                receiver: receiver.clone(),
                outcome: *outcome,
                token: *token,
                count: *count,
            })
            .collect()
    }

    /// Fetches the keys of issuers before deliveries need them, until `shutdown`.
    pub async fn keep_keys(self, shutdown: CancellationToken) {
        let mut timer = tokio::time::interval(KEEP_KEYS_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = timer.tick() => {}
            }
            let sources = self.routes().sources();
            self.0.keys.retain(&sources);
            let fetching = futures::future::join_all(sources.iter().map(|source| self.0.keys.keep(source)));
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = fetching => {}
            }
        }
    }

    pub(super) fn keys(&self) -> &KeyStore {
        &self.0.keys
    }

    pub(super) fn objects(&self) -> &Objects {
        &self.0.objects
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.0.queue
    }

    pub(super) fn settings(&self) -> &ReceiverSettings {
        &self.0.settings
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The routes as they are now: read again if a Receiver or a Secret has changed since the last request.
    pub(super) fn routes(&self) -> Arc<Routes> {
        let mut routing = self.0.routing.lock().expect(READING);
        // Under the lock to the end: who has read an older state must not put it in the place of a newer one.
        if routing.has_changed() {
            routing.routes = Arc::new(Routes::read(&self.0.objects, &routing.routes));
        }
        Arc::clone(&routing.routes)
    }

    pub(super) fn count(&self, receiver: Option<&ObjectKey>, outcome: Outcome, token: Option<Slot>) {
        *self.lock(&self.0.counts).entry((receiver.cloned(), outcome, token)).or_default() += 1;
    }

    /// Notes a failed proof; false if there are too many to write each down.
    pub(super) fn failed(&self, receiver: &ObjectKey, address: Option<IpAddr>) -> bool {
        let now = self.now();
        self.lock(&self.0.failures).note(receiver, address, now)
    }

    /// Whether nobody has been told yet that a Receiver's sender signs with SHA-1.
    pub(super) fn is_first_sha1(&self, receiver: &ObjectKey) -> bool {
        self.lock(&self.0.sha1).insert(receiver.clone())
    }

    pub(super) fn remember(&self, receiver: &ObjectKey, rejection: Rejection) {
        let mut rejections = self.lock(&self.0.rejections);
        let last = rejections.entry(receiver.clone()).or_default();
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(rejection);
    }

    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().expect(BRIEF)
    }
}

impl Routing {
    /// Whether the routes are older than what they were read from. Each change is told once.
    fn has_changed(&mut self) -> bool {
        let mut changed = false;
        loop {
            match self.changes.try_recv() {
                Ok(Change { target, what }) => {
                    changed |= match target {
                        ChangeTarget::Object(key) => {
                            key.kind == Kind::Receiver && what != ChangeKind::StatusChanged
                        }
                        ChangeTarget::Secret(..) => true,
                        ChangeTarget::ConfigMap(..) | ChangeTarget::Namespace(_) => false,
                    }
                }
                Err(TryRecvError::Lagged(_)) => changed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return changed,
            }
        }
    }
}
