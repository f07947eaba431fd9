//! `sluice serve`: the agent with its listeners, from settings to the last task's end.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::agent::{Agent, AgentOptions};
use super::callbacks::callbacks;
use crate::api::{self, ApiParts, ApiState, Door};
use crate::cluster::{ClusterSettings, KubeconfigPolicy};
use crate::config::Settings;
use crate::model::Clock;
use crate::queue::QueueSettings;
use crate::telemetry;

/// The file name of the API's socket in the state directory.
pub const SOCKET: &str = "sluice.sock";

/// Runs the agent over the manifests in `dir` until SIGTERM or Ctrl-C.
///
/// # Errors
/// When a listener, the store or the directory cannot be opened, or a task of the agent fails.
pub async fn serve(settings: Settings, dir: PathBuf) -> anyhow::Result<()> {
    let clock = Clock::system();
    let mut options = AgentOptions::new(dir, &settings.state);
    options.concurrent = settings.concurrent;
    options.queue = QueueSettings {
        keep_deliveries: settings.retention.keep_deliveries,
        max_deliveries: settings.retention.max_deliveries,
        max_bodies: settings.retention.max_bodies,
        keep_jobs: settings.retention.keep_jobs,
        max_jobs: settings.retention.max_jobs,
        keep_messages: settings.retention.keep_messages,
        ..QueueSettings::default()
    };
    options.clusters = ClusterSettings {
        in_flight: settings.kube_in_flight,
        policy: KubeconfigPolicy {
            exec: settings.insecure_kubeconfig_exec,
            insecure_tls: settings.insecure_kubeconfig_tls,
            ..KubeconfigPolicy::default()
        },
        ..ClusterSettings::default()
    };
    options.reconciler.no_cross_namespace_refs = settings.no_cross_namespace_refs;
    options.reconciler.default_service_account = settings.default_service_account.clone();
    options.receiver.no_cross_namespace_refs = settings.no_cross_namespace_refs;
    // Opened first: a sender that comes early waits in the system's line instead of being refused.
    options.hooks = Some(api::bind_tcp(settings.listen, "webhooks", "--listen").await?);
    let metrics = telemetry::Metrics::new();
    options.metrics = metrics.clone();
    let mut agent = Agent::start(options).await?;
    attach_api(&mut agent, &settings, &clock).await?;
    if let Some(address) = settings.metrics_listen {
        let listener = api::bind_tcp(address, "metrics and health", "--metrics-listen").await?;
        let ready = api::readiness(agent.queue.clone());
        let observe = api::observed(metrics.clone(), agent.queue.clone(), agent.objects.clone(), clock);
        let routes = telemetry::routes(metrics, ready, observe);
        let shutdown = agent.shutdown_token();
        agent.supervise("the metrics listener", api::serve_tcp(listener, routes, shutdown));
    }
    tracing::info!("webhooks arrive at http://{}/hook/…", settings.listen);
    for problem in agent.objects.problems() {
        tracing::warn!("{problem}");
    }
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    agent
        .run(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            tracing::info!("stopping");
        })
        .await
}

async fn attach_api(agent: &mut Agent, settings: &Settings, clock: &Clock) -> anyhow::Result<()> {
    let state = api_state(agent, clock, settings.api_token.clone(), settings.public_url.clone());
    attach_socket(agent, &state, &settings.state).await?;
    if let Some(address) = settings.api_listen {
        let listener = api::bind_tcp(address, "the API", "--api-listen").await?;
        let routes = api::routes(state, Door::Network);
        let shutdown = agent.shutdown_token();
        agent.supervise("the API listener", api::serve_tcp(listener, routes, shutdown));
    }
    Ok(())
}

/// The API over an agent's rooms.
fn api_state(
    agent: &Agent,
    clock: &Clock,
    token: Option<secrecy::SecretString>,
    public_url: Option<url::Url>,
) -> ApiState {
    ApiState::new(ApiParts {
        queue: agent.queue.clone(),
        objects: agent.objects.clone(),
        clock: clock.clone(),
        token,
        public_url,
        callbacks: callbacks(agent, clock),
    })
}

async fn attach_socket(agent: &mut Agent, state: &ApiState, dir: &Path) -> anyhow::Result<()> {
    let socket = api::bind_socket(&dir.join(SOCKET)).await?;
    let routes = api::routes(state.clone(), Door::Socket);
    let shutdown = agent.shutdown_token();
    agent.supervise("the API socket", api::serve_socket(socket, routes, shutdown));
    Ok(())
}

/// Serves the API of an agent that somebody else started (the demonstration) over its socket alone.
///
/// # Errors
/// When the socket cannot be opened.
pub async fn attach(agent: &mut Agent, state: &Path, public_url: Option<url::Url>) -> anyhow::Result<()> {
    let api = api_state(agent, &Clock::system(), None, public_url);
    attach_socket(agent, &api, state).await
}
