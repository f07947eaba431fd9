//! The demonstration's registry: images over the distribution API, and a hook for every tag that is pushed, as Harbor
//! sends it.
//!
//! It holds everything in memory, within bounds, and asks nobody to log in. It is no part of the agent, and no registry
//! to keep anything in.

mod client;
mod serve;
mod store;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::forge::HookTarget;
pub use client::{Pushed, push_image};
use store::Store;

/// Hooks waiting to be sent; a person does not push faster.
const WAITING: usize = 64;
/// How long one hook may take before the registry gives up on it.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// A hook that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAnswered {
    /// `host/path:tag`.
    pub image: String,
    /// The answer's status code; 0 when there was none.
    pub status: u16,
    /// How long the answer took.
    pub took: Duration,
}

/// The registry.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Where it is: `127.0.0.1:5000`.
    pub host: String,
    /// Where its hooks go; the token is the value of the header `Authorization`.
    pub hook: HookTarget,
}

/// A manifest that was given a tag.
#[derive(Debug)]
struct Tagged {
    repository: String,
    tag: String,
    digest: String,
}

/// The tasks that make a registry run; the caller owns them.
pub struct RegistryTasks {
    listener: TcpListener,
    host: String,
    store: Arc<Store>,
    sender: mpsc::Sender<Tagged>,
    tagged: mpsc::Receiver<Tagged>,
    hook: HookTarget,
    answered: mpsc::Sender<ImageAnswered>,
}

impl Registry {
    /// Opens the port (0 for any). `answered` hears of every hook's answer.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub async fn create(
        port: u16,
        answered: mpsc::Sender<ImageAnswered>,
    ) -> anyhow::Result<(Self, RegistryTasks)> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("failed to open port {port} for the registry"))?;
        let host = listener.local_addr()?.to_string();
        let hook = HookTarget::default();
        let (sender, tagged) = mpsc::channel(WAITING);
        let registry = Self { host: host.clone(), hook: hook.clone() };
        let store = Arc::new(Store::default());
        Ok((registry, RegistryTasks { listener, host, store, sender, tagged, hook, answered }))
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Pushes an image of a few bytes, as `docker push` would, and returns the manifest's digest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub async fn push(&self, repository: &str, tag: &str) -> anyhow::Result<Pushed> {
        push_image(&self.url(), repository, tag).await
    }
}

impl RegistryTasks {
    /// Serves images and sends hooks until `shutdown`.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, host, store, sender, mut tagged, hook, answered } = self;
        let router = serve::router(store, move |one| {
            // A full line means that nobody takes hooks any more; the interval finds the tag.
            sender.try_send(one).ok();
        });
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let sending = async move {
            let client = reqwest::Client::builder().no_proxy().timeout(HOOK_TIMEOUT).build()?;
            while let Some(one) = tagged.recv().await {
                if let Some((target, token)) = hook.get() {
                    answered.try_send(send(&client, &target, &token, &host, &one).await).ok();
                }
            }
            anyhow::Ok(())
        };
        tokio::select! {
            served = serving.into_future() => served.context("failed to serve the registry"),
            sent = sending => sent,
            () = shutdown.cancelled() => Ok(()),
        }
    }
}

/// The hook of a pushed tag, in Harbor's default format.
pub fn hook_body(host: &str, repository: &str, tag: &str, digest: &str) -> String {
    let (namespace, name) = repository.split_once('/').unwrap_or(("library", repository));
    json!({
        "type": "PUSH_ARTIFACT",
        "occur_at": jiff::Timestamp::now().as_second(),
        "operator": "demo",
        "event_data": {
            "resources": [{
                "digest": digest, "tag": tag, "resource_url": format!("{host}/{repository}:{tag}"),
            }],
            "repository": {
                "name": name, "namespace": namespace, "repo_full_name": repository, "repo_type": "public",
            },
        },
    })
    .to_string()
}

async fn send(
    client: &reqwest::Client,
    target: &str,
    token: &str,
    host: &str,
    tagged: &Tagged,
) -> ImageAnswered {
    let clock = std::time::Instant::now();
    let answer = client
        .post(target)
        .header("Content-Type", "application/json")
        .header("Authorization", token)
        .body(hook_body(host, &tagged.repository, &tagged.tag, &tagged.digest))
        .send()
        .await;
    ImageAnswered {
        image: format!("{host}/{}:{}", tagged.repository, tagged.tag),
        status: answer.map_or(0, |answer| answer.status().as_u16()),
        took: clock.elapsed(),
    }
}
