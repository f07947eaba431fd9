//! `sluice serve`: the agent, its listeners, and the signals that end it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::attach::attach;
use super::{Answer, Context};
use crate::api::bind_tcp;
use crate::app::{Agent, AgentOptions};
use crate::cluster::KubeconfigPolicy;
use crate::config::{AgentFlags, ProcessEnvironment, Settings};
use crate::source::AddressPolicy;
use crate::telemetry;

/// Run the agent
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// The directory with Flux manifests
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    flags: AgentFlags,
}

pub(super) async fn run(args: ServeArgs, cx: &Context) -> anyhow::Result<Answer> {
    let settings = Settings::load(&args.flags.0.over(&cx.flags.0), &ProcessEnvironment)?;
    telemetry::init(&settings.log).map_err(anyhow::Error::msg)?;
    serve(settings, args.dir).await?;
    Ok(Answer::Done)
}

/// Serves the manifests in `dir` until SIGINT or SIGTERM.
pub(super) async fn serve(settings: Settings, dir: PathBuf) -> anyhow::Result<()> {
    if !dir.is_dir() {
        bail!("`{}` is not a directory\nhint: give the directory with your Flux manifests", dir.display());
    }
    make_state(&settings.state)?;
    let mut options = AgentOptions::new(&dir, &settings.state);
    options.concurrent = settings.concurrent;
    options.queue.keep_deliveries = settings.retention.keep_deliveries;
    options.queue.max_deliveries = settings.retention.max_deliveries;
    options.queue.max_bodies = settings.retention.max_bodies;
    options.queue.keep_jobs = settings.retention.keep_jobs;
    options.queue.max_jobs = settings.retention.max_jobs;
    options.queue.keep_messages = settings.retention.keep_messages;
    options.clusters.in_flight = settings.kube_in_flight;
    options.clusters.policy = KubeconfigPolicy {
        exec: settings.insecure_kubeconfig_exec,
        insecure_tls: settings.insecure_kubeconfig_tls,
        ..options.clusters.policy
    };
    options.reconciler.no_cross_namespace_refs = settings.no_cross_namespace_refs;
    options.reconciler.default_service_account.clone_from(&settings.default_service_account);
    options.receiver.no_cross_namespace_refs = settings.no_cross_namespace_refs;
    options.receiver.trusted_proxies.clone_from(&settings.trusted_proxies);
    options.receiver.accept_sha1 = settings.accept_sha1;
    if settings.no_local_addresses {
        options.sources.addresses = AddressPolicy::NoLocal;
        options.notify.no_local = true;
    }
    options.open_store().await?;
    let hooks = bind_tcp(settings.listen, "webhooks", "listen").await?;
    tracing::info!(
        "webhooks arrive on http://{}",
        hooks.local_addr().context("the webhook listener has no address")?
    );
    options.hooks = Some(hooks);
    let mut agent = Agent::start(options).await?;
    attach(&mut agent, &settings).await?;
    for problem in agent.objects.problems() {
        tracing::warn!("{problem}");
    }
    tracing::info!(
        "serving {} objects from `{}`, state in `{}`",
        agent.objects.all().len(),
        dir.display(),
        settings.state.display()
    );
    agent.run(asked_to_stop()?).await
}

/// Makes the state directory for its owner alone; one that is there keeps its mode.
fn make_state(state: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .with_context(|| format!("failed to make the state directory `{}`", state.display()))
}

/// Resolves at the first SIGINT or SIGTERM.
fn asked_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
    })
}
