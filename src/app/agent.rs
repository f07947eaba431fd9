//! The running agent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::store::QueueStore;
use crate::cluster::{ClusterSettings, Clusters};
use crate::model::Clock;
use crate::notify;
use crate::objects::Objects;
use crate::queue::{Queue, QueueSettings, Writer};
use crate::receiver::{self, ReceiverSettings, ReceiverState, ServeLimits};
use crate::reconcile::{
    Reconciler, ReconcilerParts, ReconcilerSettings, follow_changes, send_messages, work,
};
use crate::render::pool::RenderPool;
use crate::source::{SourceLimits, Sources};
use crate::telemetry::Metrics;

/// Everything the agent is started with; the listeners are opened by the caller.
pub struct AgentOptions {
    /// The directory of manifests.
    pub manifests: PathBuf,
    /// The directory of its own state.
    pub state: PathBuf,
    /// Jobs at once.
    pub concurrent: usize,
    /// Knobs of the store.
    pub queue: QueueSettings,
    /// Knobs of member clusters.
    pub clusters: ClusterSettings,
    /// Bounds of sources.
    pub sources: SourceLimits,
    /// Knobs of reconciling.
    pub reconciler: ReconcilerSettings,
    /// Where messages may go.
    pub notify: notify::Policy,
    /// Knobs of the webhook receiver.
    pub receiver: ReceiverSettings,
    /// Where webhooks arrive, opened by the caller; without it none do.
    pub hooks: Option<TcpListener>,
    /// The store, if [`AgentOptions::open_store`] has opened it already.
    pub store: Option<OpenStore>,
    /// Counters and histograms.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
}

impl AgentOptions {
    /// The defaults over these two directories.
    pub fn new(manifests: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self {
            manifests: manifests.into(),
            state: state.into(),
            concurrent: 256,
            queue: QueueSettings::default(),
            clusters: ClusterSettings::default(),
            sources: SourceLimits::default(),
            reconciler: ReconcilerSettings::default(),
            notify: notify::Policy::default(),
            receiver: ReceiverSettings::default(),
            hooks: None,
            store: None,
            metrics: Metrics::new(),
            clock: Clock::system(),
        }
    }
}

/// A store that is open and held, and that nobody writes to yet.
pub struct OpenStore(Queue, Writer);

impl AgentOptions {
    /// Opens the store, and so takes the state directory for this process: whoever starts a second agent hears of the
    /// first one before anything else is in the way.
    ///
    /// # Errors
    /// When the store cannot be opened, or another process holds it.
    pub async fn open_store(&mut self) -> anyhow::Result<()> {
        let (queue, writer) = Queue::open(&self.state, self.queue.clone(), self.clock.clone()).await?;
        self.store = Some(OpenStore(queue, writer));
        Ok(())
    }
}

/// How often kept repositories are tidied.
const TIDY_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

async fn keep_tidy(sources: Sources, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + TIDY_EVERY, TIDY_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = timer.tick() => {
                if let Err(error) = sources.tidy().await {
                    tracing::warn!("failed to tidy the kept repositories: {error}");
                }
            }
        }
    }
}

/// A started agent: its rooms, and the tasks that run them.
pub struct Agent {
    /// Flux objects.
    pub objects: Objects,
    /// The durable store.
    pub queue: Queue,
    /// Member clusters.
    pub clusters: Clusters,
    /// Git.
    pub sources: Sources,
    /// The stories of each kind.
    pub reconciler: Reconciler,
    /// The inbox's door.
    pub receiver: ReceiverState,
    /// Counters and histograms.
    pub metrics: Metrics,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    store: tokio::task::JoinHandle<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

impl Agent {
    /// Opens the store, reads the manifests, begins to work.
    ///
    /// # Errors
    /// When the store or the directory cannot be opened.
    pub async fn start(mut options: AgentOptions) -> anyhow::Result<Self> {
        if options.store.is_none() {
            options.open_store().await?;
        }
        let AgentOptions {
            manifests,
            state,
            concurrent,
            queue: _,
            clusters,
            sources,
            reconciler,
            notify,
            receiver,
            hooks,
            store,
            metrics,
            clock,
        } = options;
        let OpenStore(queue, writer) = store.context("the store was opened above")?;
        // The store outlives every other task: what they finish last is still written.
        let store = tokio::spawn(async move { writer.run().await.map_err(anyhow::Error::from) });
        let (objects, watcher) =
            Objects::directory(manifests, Arc::new(QueueStore(queue.clone())), clock.clone()).await?;
        let sources = Sources::new(&state, sources, clock.clone())
            .with_context(|| format!("failed to open the git store below `{}`", state.display()))?;
        let clusters = Clusters::new(clusters, clock.clone());
        let pool = RenderPool::new().context("failed to start the render threads")?;
        let receiver = ReceiverState::new(objects.clone(), queue.clone(), clock.clone(), receiver);
        let readiness = receiver.clone();
        let reconciler = Reconciler::new(ReconcilerParts {
            hook_paths: Box::new(move |key| readiness.path_of(key)),
            objects: objects.clone(),
            queue: queue.clone(),
            sources: sources.clone(),
            clusters: clusters.clone(),
            pool,
            notify: notify::Client::new(notify),
            metrics: metrics.clone(),
            clock,
            settings: reconciler,
        });
        let shutdown = CancellationToken::new();
        let mut agent = Self {
            objects,
            queue,
            clusters,
            sources,
            reconciler: reconciler.clone(),
            receiver: receiver.clone(),
            metrics,
            tasks: JoinSet::new(),
            store,
            shutdown: shutdown.clone(),
        };
        if let Some(listener) = hooks {
            let (keys, until) = (receiver.clone(), shutdown.clone());
            agent.supervise("the keeper of issuers' keys", async move {
                keys.keep_keys(until).await;
                Ok(())
            });
            let shutdown = shutdown.clone();
            let router = receiver::router(receiver);
            agent.supervise("the webhook listener", async move {
                let limits = ServeLimits::default();
                receiver::serve(listener, router, limits, shutdown).await.context("failed to serve webhooks")
            });
        }
        agent.supervise("the manifest watcher", {
            let shutdown = shutdown.clone();
            async move {
                watcher.run(shutdown).await;
                Ok(())
            }
        });
        agent.supervise("the keeper of repositories", keep_tidy(agent.sources.clone(), shutdown.clone()));
        agent.supervise("the change follower", follow_changes(reconciler.clone(), shutdown.clone()));
        agent.supervise("the workers", work(reconciler.clone(), concurrent, shutdown.clone()));
        agent.supervise("the message sender", send_messages(reconciler, shutdown));
        Ok(agent)
    }

    /// The token every task of the agent listens to.
    pub fn shutdown_token(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Adds a long-running task; when it ends early, the agent stops.
    pub fn supervise(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Runs until `stop` resolves or a task ends early, then stops everything in order.
    ///
    /// # Errors
    /// With the error of the task that ended early.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut stored = None;
        let early = tokio::select! {
            () = stop => None,
            ended = self.tasks.join_next() => ended,
            ended = &mut self.store => {
                stored = Some(ended);
                None
            }
        };
        let mut first = match early {
            None => Ok(()),
            Some(Ok((name, Ok(())))) => Err(anyhow::anyhow!("{name} ended although nobody asked it to")),
            Some(Ok((name, Err(error)))) => Err(error.context(format!("{name} failed"))),
            Some(Err(error)) => Err(anyhow::anyhow!("a task of the agent ended: {error}")),
        };
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            let failure = match ended {
                Ok((_, Ok(()))) => continue,
                Ok((name, Err(error))) => error.context(format!("{name} failed")),
                Err(error) => anyhow::anyhow!("a task of the agent ended: {error}"),
            };
            if first.is_ok() {
                first = Err(failure);
            } else {
                tracing::error!("{failure:#}");
            }
        }
        let closed = self.queue.close().await;
        let stored = match stored {
            Some(stored) => stored,
            None => self.store.await,
        };
        let stored = stored.context("the store's writer ended")?;
        if first.is_ok() {
            first = stored.context("the store failed");
            if let (Ok(()), Err(error)) = (&first, closed) {
                first = Err(error.into());
            }
        }
        first
    }
}
