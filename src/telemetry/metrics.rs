//! What is counted. One registry per agent, no global: several agents may run in one process.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The metrics of one agent. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    deliveries: Family<DeliveryLabels, Counter>,
    jobs: Family<JobLabels, Counter>,
    notifications: Family<ByOutcome, Counter>,
    reconciles: Family<ObjectLabels, Histogram, fn() -> Histogram>,
    pushes: Histogram,
    applies: Family<ClusterLabels, Histogram, fn() -> Histogram>,
    fetches: Family<KindLabels, Histogram, fn() -> Histogram>,
    renders: Histogram,
    queue: Family<StateLabels, Gauge>,
    queue_oldest: Gauge<f64, std::sync::atomic::AtomicU64>,
    outbox: Family<StateLabels, Gauge>,
    outbox_oldest: Gauge<f64, std::sync::atomic::AtomicU64>,
    set_aside: Gauge,
    kept_deliveries: Gauge,
    objects: Family<ReadyLabels, Gauge>,
}

/// Deliveries that are counted together.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub struct DeliveryLabels {
    /// The Receiver's type.
    pub provider: String,
    /// `namespace/name`; empty for paths that are nobody's.
    pub receiver: String,
    /// The key of the Secret whose token matched; empty where none did.
    pub token: String,
    /// `accepted`, `duplicate`, `refused` …
    pub outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByOutcome {
    provider: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobLabels {
    kind: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ObjectLabels {
    kind: String,
    name: String,
    namespace: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClusterLabels {
    cluster: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReadyLabels {
    kind: String,
    ready: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: String,
}

/// How the queue stands at the moment of a scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueGauges {
    /// Jobs that wait, timers included.
    pub pending: u64,
    /// Jobs that could run now.
    pub due: u64,
    /// Jobs that run.
    pub running: u64,
    /// How long the oldest due job has been due.
    pub oldest_due: Duration,
    /// Objects set aside.
    pub set_aside: u64,
    /// Messages that wait.
    pub outbox_pending: u64,
    /// How long the oldest has waited.
    pub outbox_oldest: Duration,
    /// Messages given up.
    pub outbox_dead: u64,
    /// Deliveries kept.
    pub deliveries: u64,
}

/// From 1 ms to 131 s: one call, or one apply with its waiting.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 18))
}

/// From 50 ms to 7 min: a push on its way through everything.
fn long_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.05, 2.0, 14))
}

/// The buckets of fluxcd/pkg `runtime/metrics`, so that its dashboards draw the same lines.
fn flux_seconds() -> Histogram {
    Histogram::new(exponential_buckets(10e-9, 10.0, 10))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at nought.
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            deliveries: Family::default(),
            jobs: Family::default(),
            notifications: Family::default(),
            reconciles: Family::new_with_constructor(flux_seconds),
            pushes: long_seconds(),
            applies: Family::new_with_constructor(seconds),
            fetches: Family::new_with_constructor(seconds),
            renders: seconds(),
            queue: Family::default(),
            queue_oldest: Gauge::default(),
            outbox: Family::default(),
            outbox_oldest: Gauge::default(),
            set_aside: Gauge::default(),
            kept_deliveries: Gauge::default(),
            objects: Family::default(),
        };
        let mut registry = Registry::default();
        registry.register(
            "sluice_deliveries",
            "Webhook deliveries by provider, receiver, token and outcome",
            inner.deliveries.clone(),
        );
        registry.register("sluice_jobs", "Jobs that ended, by kind and outcome", inner.jobs.clone());
        registry.register(
            "sluice_notifications",
            "Messages by provider and outcome",
            inner.notifications.clone(),
        );
        registry.register(
            "gotk_reconcile_duration_seconds",
            "The duration in seconds of a GitOps Toolkit resource reconciliation",
            inner.reconciles.clone(),
        );
        registry.register(
            "sluice_push_to_applied_seconds",
            "From a delivery's arrival until a cluster had it",
            inner.pushes.clone(),
        );
        registry.register(
            "sluice_apply_seconds",
            "One release or apply, by member cluster",
            inner.applies.clone(),
        );
        registry.register("sluice_fetch_seconds", "One fetch of a source, by kind", inner.fetches.clone());
        registry.register("sluice_render_seconds", "One rendering", inner.renders.clone());
        registry.register("sluice_queue_depth", "Jobs in the queue by state", inner.queue.clone());
        registry.register(
            "sluice_queue_oldest_seconds",
            "How long the oldest due job has been due",
            inner.queue_oldest.clone(),
        );
        registry.register("sluice_outbox_depth", "Messages in the outbox by state", inner.outbox.clone());
        registry.register(
            "sluice_outbox_oldest_seconds",
            "How long the oldest message has waited",
            inner.outbox_oldest.clone(),
        );
        registry.register(
            "sluice_set_aside_objects",
            "Objects set aside because their jobs took the worker down",
            inner.set_aside.clone(),
        );
        registry.register("sluice_kept_deliveries", "Deliveries in the store", inner.kept_deliveries.clone());
        registry.register("sluice_objects", "Objects by kind and readiness", inner.objects.clone());
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION").to_owned() }).set(1);
        registry.register("sluice_build_info", "This build", build);
        inner.registry = registry;
        Self(Arc::new(inner))
    }

    /// So many deliveries have come in so far with these labels.
    pub fn deliveries(&self, labels: &DeliveryLabels, so_far: u64) {
        let counter = self.0.deliveries.get_or_create(labels);
        counter.inc_by(so_far.saturating_sub(counter.get()));
    }

    /// A job ended.
    pub fn job(&self, kind: &str, outcome: &str) {
        let labels = JobLabels { kind: kind.to_owned(), outcome: outcome.to_owned() };
        self.0.jobs.get_or_create(&labels).inc();
    }

    /// A message was sent, retried or refused.
    pub fn notification(&self, provider: &str, outcome: &str) {
        let labels = ByOutcome { provider: provider.to_owned(), outcome: outcome.to_owned() };
        self.0.notifications.get_or_create(&labels).inc();
    }

    /// An object was reconciled.
    pub fn reconcile(&self, kind: &str, namespace: &str, name: &str, took: Duration) {
        let labels =
            ObjectLabels { kind: kind.to_owned(), name: name.to_owned(), namespace: namespace.to_owned() };
        self.0.reconciles.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// An object is gone; its series goes with it.
    pub fn forget(&self, kind: &str, namespace: &str, name: &str) {
        let labels =
            ObjectLabels { kind: kind.to_owned(), name: name.to_owned(), namespace: namespace.to_owned() };
        self.0.reconciles.remove(&labels);
    }

    /// What a delivery brought has reached a cluster.
    pub fn push_applied(&self, took: Duration) {
        self.0.pushes.observe(took.as_secs_f64());
    }

    /// A release or apply on a member cluster ended.
    pub fn apply(&self, cluster: &str, took: Duration) {
        let labels = ClusterLabels { cluster: cluster.to_owned() };
        self.0.applies.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A source was fetched.
    pub fn fetch(&self, kind: &str, took: Duration) {
        self.0.fetches.get_or_create(&KindLabels { kind: kind.to_owned() }).observe(took.as_secs_f64());
    }

    /// Something was rendered.
    pub fn render(&self, took: Duration) {
        self.0.renders.observe(took.as_secs_f64());
    }

    /// How many objects of a kind are ready (`True`, `False`, `Unknown`).
    pub fn objects(&self, kind: &str, ready: &str, count: usize) {
        let labels = ReadyLabels { kind: kind.to_owned(), ready: ready.to_owned() };
        self.0.objects.get_or_create(&labels).set(signed(count as u64));
    }

    /// How the queue stands.
    pub fn queue(&self, now: &QueueGauges) {
        let set = |family: &Family<StateLabels, Gauge>, state: &str, value: u64| {
            family.get_or_create(&StateLabels { state: state.to_owned() }).set(signed(value));
        };
        set(&self.0.queue, "pending", now.pending);
        set(&self.0.queue, "due", now.due);
        set(&self.0.queue, "running", now.running);
        set(&self.0.outbox, "pending", now.outbox_pending);
        set(&self.0.outbox, "dead", now.outbox_dead);
        self.0.queue_oldest.set(now.oldest_due.as_secs_f64());
        self.0.outbox_oldest.set(now.outbox_oldest.as_secs_f64());
        self.0.set_aside.set(signed(now.set_aside));
        self.0.kept_deliveries.set(signed(now.deliveries));
    }

    /// Everything, as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode_registry(&mut text, &self.0.registry)
            .expect("writing to a String cannot fail");
        process(&mut text);
        text.push_str("# EOF\n");
        text
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Memory and open files of this process, where the system tells.
fn process(text: &mut String) {
    /// Linux' page size on every machine we are built for.
    const PAGE: u64 = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|line| line.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    if let Some(pages) = pages {
        let name = "process_resident_memory_bytes";
        gauge(text, name, "Resident memory size in bytes", pages * PAGE);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        let name = "process_open_fds";
        gauge(text, name, "Number of open file descriptors", files.count() as u64);
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: u64) {
    text.push_str(&format!("# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_those_dashboards_ask_for() {
        let metrics = Metrics::new();
        let accepted = DeliveryLabels {
            provider: "github".to_owned(),
            receiver: "apps/push".to_owned(),
            token: "token.previous".to_owned(),
            outcome: "accepted".to_owned(),
        };
        metrics.deliveries(&accepted, 1);
        metrics.deliveries(&accepted, 1);
        metrics.reconcile("HelmRelease", "apps", "web", Duration::from_millis(250));
        metrics.push_applied(Duration::from_secs(2));
        metrics.apply("member1", Duration::from_millis(80));
        metrics.queue(&QueueGauges {
            due: 3,
            oldest_due: Duration::from_millis(1500),
            ..QueueGauges::default()
        });
        let text = metrics.encode();
        for line in [
            r#"sluice_deliveries_total{provider="github",receiver="apps/push",token="token.previous",outcome="accepted"} 1"#,
            r#"gotk_reconcile_duration_seconds_count{kind="HelmRelease",name="web",namespace="apps"} 1"#,
            "sluice_push_to_applied_seconds_count 1",
            r#"sluice_apply_seconds_count{cluster="member1"} 1"#,
            r#"sluice_queue_depth{state="due"} 3"#,
            "sluice_queue_oldest_seconds 1.5",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        metrics.forget("HelmRelease", "apps", "web");
        assert!(!metrics.encode().contains("name=\"web\""));
    }
}
