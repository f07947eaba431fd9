//! The demonstration's forge: a git repository over HTTP that sends a signed push hook for every push, as GitHub does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::git_server::{GitServer, Pushed};
use super::repository::{Change, DemoRepository};
use super::world::CHART;

/// Hooks waiting to be sent; a person does not push faster.
const WAITING: usize = 64;

/// How long one hook may take before the forge gives up on it.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// A hook that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The forge's delivery id.
    pub id: String,
    /// The commit that was pushed.
    pub commit: String,
    /// The answer's status code; 0 when there was none.
    pub status: u16,
    /// How long the answer took.
    pub took: Duration,
}

/// Where to send hooks, known once the agent has a receiver.
#[derive(Clone, Debug, Default)]
pub struct HookTarget(Arc<std::sync::Mutex<Option<(String, String)>>>);

impl HookTarget {
    /// Sends hooks to `url`, signed with `token`, from now on.
    pub fn set(&self, url: impl Into<String>, token: impl Into<String>) {
        *self.0.lock().expect("held for one write") = Some((url.into(), token.into()));
    }

    pub(super) fn get(&self) -> Option<(String, String)> {
        self.0.lock().expect("held for one read").clone()
    }
}

/// The forge.
#[derive(Debug, Clone)]
pub struct Forge {
    /// The repository behind it.
    pub repository: DemoRepository,
    /// Its URL.
    pub url: String,
    /// Where its hooks go.
    pub hook: HookTarget,
}

/// The tasks that make a forge run; the caller owns them.
pub struct ForgeTasks {
    listener: TcpListener,
    server: GitServer,
    pushes: mpsc::Receiver<Pushed>,
    hook: HookTarget,
    url: String,
    answered: mpsc::Sender<Answered>,
}

impl Forge {
    /// Makes the repository with the chart in it and opens the port. `answered` hears of every hook's answer.
    ///
    /// # Errors
    /// When the repository or the port cannot be made.
    pub async fn create(
        root: &Path,
        port: u16,
        answered: mpsc::Sender<Answered>,
    ) -> anyhow::Result<(Self, ForgeTasks)> {
        let repository = DemoRepository::create(root.join("hello-kubernetes.git"), "master")?;
        let changes: Vec<Change<'_>> =
            CHART.iter().map(|(path, text)| Change::Write(path, text.as_bytes())).collect();
        repository.commit("master", &changes, "Say hello from every cluster")?;
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("failed to open port {port} for the git repository"))?;
        let url = format!("http://{}/hello-kubernetes.git", listener.local_addr()?);
        let (sender, pushes) = mpsc::channel(WAITING);
        let server = GitServer::new(root).on_push(move |pushed| {
            // A full line means that nobody takes hooks any more; the interval finds the push.
            sender.try_send(pushed).ok();
        });
        let hook = HookTarget::default();
        let forge = Self { repository, url: url.clone(), hook: hook.clone() };
        Ok((forge, ForgeTasks { listener, server, pushes, hook, url, answered }))
    }
}

impl ForgeTasks {
    /// Serves the repository and sends hooks until `shutdown`.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, server, mut pushes, hook, url, answered } = self;
        let stop = shutdown.clone();
        let serving = axum::serve(listener, server.router()).with_graceful_shutdown(stop.cancelled_owned());
        let sending = async move {
            let client = reqwest::Client::builder().no_proxy().timeout(HOOK_TIMEOUT).build()?;
            while let Some(pushed) = pushes.recv().await {
                if let Some((target, token)) = hook.get() {
                    let answer = send(&client, &target, &token, &url, &pushed).await;
                    answered.try_send(answer).ok();
                }
            }
            anyhow::Ok(())
        };
        tokio::select! {
            served = serving.into_future() => served.context("failed to serve the git repository"),
            sent = sending => sent,
            () = shutdown.cancelled() => Ok(()),
        }
    }
}

/// `X-Hub-Signature-256` of a body.
pub fn signature(token: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The body of GitHub's push event, as far as anybody reads it.
pub fn push_body(url: &str, reference: &str, before: &str, after: &str) -> Vec<u8> {
    let page = url.trim_end_matches(".git");
    json!({
        "ref": reference, "before": before, "after": after, "forced": false, "deleted": false,
        "repository": {
            "full_name": "demo/hello-kubernetes", "html_url": page, "clone_url": url, "url": page,
        },
        "head_commit": { "id": after },
    })
    .to_string()
    .into_bytes()
}

async fn send(client: &reqwest::Client, target: &str, token: &str, url: &str, pushed: &Pushed) -> Answered {
    const NONE: &str = "0000000000000000000000000000000000000000";
    let commit = pushed.new.clone().unwrap_or_else(|| NONE.to_owned());
    let body = push_body(url, &pushed.reference, pushed.old.as_deref().unwrap_or(NONE), &commit);
    let id = uuid::Uuid::new_v4().to_string();
    let clock = std::time::Instant::now();
    let answer = client
        .post(target)
        .header("Content-Type", "application/json")
        .header("X-GitHub-Event", "push")
        .header("X-GitHub-Delivery", &id)
        .header("X-Hub-Signature-256", signature(token, &body))
        .body(body)
        .send()
        .await;
    let status = answer.map_or(0, |answer| answer.status().as_u16());
    Answered { id, commit, status, took: clock.elapsed() }
}
