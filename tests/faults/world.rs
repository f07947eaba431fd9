//! Two simulated members, a forge and a chat around an agent; each can be made to do something when a request passes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use kube_sim::{ClusterHandle, Moment, Passing, Simulator, Verdict};
use secrecy::SecretString;
use serde_json::Value;
use sluice::demo::forge::{push_body, signature};
use sluice::demo::git_server::GitServer;
use sluice::demo::repository::{Change, DemoRepository};
use sluice::demo::world::{CHART, World as Manifests};
use sluice::receiver::hook_path;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::process::{AgentProcess, Launch};

/// How long a test waits for anything before it says what it waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The namespace of every object of the agent.
pub(crate) const NAMESPACE: &str = "gitops-project";

/// Fails the test when `work` takes longer than anything here should.
pub(crate) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// A request as it passes one of the servers: `member1 POST secrets`, before or after it is done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) what: String,
    pub(crate) done: bool,
    /// The how manieth of its like.
    pub(crate) number: usize,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let when = if self.done { "done, not answered" } else { "arrived" };
        write!(f, "{} (number {}) {when}", self.what, self.number)
    }
}

type Spring = Box<dyn Fn() + Send + Sync>;

/// Sees every request, remembers them, and springs at one.
#[derive(Default)]
pub(crate) struct Trap(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    seen: Vec<Point>,
    armed: Option<(Point, Spring)>,
    sprung: bool,
}

impl Trap {
    /// Forgets what was seen, and springs at `point`.
    pub(crate) fn arm(&self, point: Point, spring: impl Fn() + Send + Sync + 'static) {
        *self.lock() = Inner { armed: Some((point, Box::new(spring))), ..Inner::default() };
    }

    /// Forgets what was seen, and lets everything pass.
    pub(crate) fn disarm(&self) {
        *self.lock() = Inner::default();
    }

    /// The points that were passed, in order.
    pub(crate) fn seen(&self) -> Vec<Point> {
        self.lock().seen.clone()
    }

    /// A request passes; false when it must not go on.
    pub(crate) fn pass(&self, what: &str, done: bool) -> bool {
        let mut inner = self.lock();
        if inner.sprung {
            return false;
        }
        let number = inner.seen.iter().filter(|seen| seen.what == what && seen.done == done).count();
        let point = Point { what: what.to_owned(), done, number };
        if let Some((armed, spring)) = &inner.armed
            && *armed == point
        {
            spring();
            inner.sprung = true;
        }
        inner.seen.push(point);
        !inner.sprung
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The chat: keeps every message.
#[derive(Default)]
pub(crate) struct Chat {
    told: Mutex<Vec<Value>>,
    /// Answers 500 and repeats the request's own headers and address, as a badly written proxy would.
    pub(crate) echo: std::sync::atomic::AtomicBool,
    came: tokio::sync::Notify,
}

impl Chat {
    /// The bodies of all messages so far.
    pub(crate) fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until a message with all these texts was told.
    pub(crate) async fn until(&self, texts: &[&str]) {
        let fits = |told: &Value| {
            let body = told.to_string();
            texts.iter().all(|text| body.contains(text))
        };
        let wait = async {
            loop {
                let came = self.came.notified();
                if self.told().iter().any(fits) {
                    return;
                }
                came.await;
            }
        };
        patiently(&format!("a message with {texts:?}"), wait).await;
    }
}

/// How a world differs from the demonstration's.
#[derive(Default)]
pub(crate) struct Setup {
    /// Name and password of the git server.
    pub(crate) login: Option<(String, String)>,
    /// The token of the receiver.
    pub(crate) hook_token: Option<String>,
    /// What is appended to the chat's address.
    pub(crate) chat_path: String,
    /// Flags of the agent instead of the usual ones.
    pub(crate) flags: Option<Vec<String>>,
    /// Files beside the chart's in the repository.
    pub(crate) files: Vec<(&'static str, &'static str)>,
    /// Whether the agent's log is kept.
    pub(crate) log: bool,
}

/// An agent and everything around it.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) repository: DemoRepository,
    pub(crate) git_url: String,
    pub(crate) members: [ClusterHandle; 2],
    pub(crate) chat: Arc<Chat>,
    pub(crate) trap: Arc<Trap>,
    pub(crate) agent: AgentProcess,
    pub(crate) http: reqwest::Client,
    pub(crate) token: String,
    servers: tokio::task::JoinSet<()>,
}

impl World {
    /// Starts everything; `edit` may change the manifests before the agent reads them.
    pub(crate) async fn start(setup: Setup, edit: impl FnOnce(&Path, &Around)) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let dir = TempDir::new().unwrap();
        let trap = Arc::new(Trap::default());
        let mut servers = tokio::task::JoinSet::new();
        let simulator = Simulator::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let members = ["member1", "member2"].map(|name| {
            let member = simulator.add_cluster(name);
            member.on_request(Some(beside(name, &trap)));
            member
        });
        servers.spawn(simulator.run(CancellationToken::new()));

        let repository =
            DemoRepository::create(dir.path().join("git/hello-kubernetes.git"), "master").unwrap();
        let files = CHART.iter().chain(&setup.files);
        let changes: Vec<Change<'_>> =
            files.map(|(path, text)| Change::Write(path, text.as_bytes())).collect();
        repository.commit("master", &changes, "Say hello").unwrap();
        let mut server = GitServer::new(dir.path().join("git"));
        if let Some((name, password)) = &setup.login {
            server = server.basic_auth(name, SecretString::from(password.clone()));
        }
        let git = served(&mut servers, server.router(), "git", &trap).await;
        let git_url = format!("{git}/hello-kubernetes.git");

        let chat = Arc::new(Chat::default());
        let router = axum::Router::new().fallback(hear).with_state(Arc::clone(&chat));
        let chat_url = served(&mut servers, router, "chat", &trap).await + &setup.chat_path;

        let token = setup.hook_token.clone().unwrap_or_else(|| "fault-token".to_owned());
        let manifests = dir.path().join("manifests");
        Manifests {
            git_url: git_url.clone(),
            kubeconfigs: [members[0].kubeconfig(), members[1].kubeconfig()],
            hook_token: token.clone(),
            chat_url: Some(chat_url.clone()),
        }
        .write_manifests(&manifests)
        .unwrap();
        edit(&manifests, &Around { chat_url: &chat_url, members: &members });
        let mut launch = Launch::new(&manifests, &dir.path().join("state"));
        if let Some(flags) = setup.flags {
            launch.flags = flags;
        }
        launch.log = setup.log.then(|| dir.path().join("log"));
        let agent = tokio::task::block_in_place(|| AgentProcess::launch(launch));
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { dir, repository, git_url, members, chat, trap, agent, http, token, servers }
    }

    /// The demonstration's world as it is.
    pub(crate) async fn plain() -> Self {
        Self::start(Setup::default(), |_, _| {}).await
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.dir.path().join("manifests")
    }

    /// Replaces a text of a file in the repository; the commit.
    pub(crate) fn commit(&self, path: &str, edit: impl FnOnce(&str) -> String) -> String {
        let text = self.repository.read("master", path).unwrap().unwrap();
        let text = edit(&text);
        self.repository.commit("master", &[Change::Write(path, text.as_bytes())], "Change it").unwrap()
    }

    /// Sends the push hook of a commit; the answer's code, or nothing when there was no answer.
    pub(crate) async fn hook(&self, commit: &str, id: &str) -> Option<u16> {
        let body = push_body(&self.git_url, "refs/heads/master", commit, commit);
        let path = hook_path(self.token.as_bytes(), "push", NAMESPACE);
        let request = self
            .http
            .post(format!("http://{}{path}", self.agent.listen))
            .header("Content-Type", "application/json")
            .header("X-GitHub-Event", "push")
            .header("X-GitHub-Delivery", id)
            .header("X-Hub-Signature-256", signature(&self.token, &body))
            .body(body);
        Some(request.send().await.ok()?.status().as_u16())
    }

    /// Waits until a release's newest record on its member is `deployed`, and fits.
    pub(crate) async fn deployed(&self, member: usize, fits: impl Fn(&ClusterHandle) -> bool) {
        let wait = self.members[member - 1].until(|cluster| {
            newest(cluster, &release(member)).is_some_and(|(_, status)| status == "deployed") && fits(cluster)
        });
        patiently(&format!("member{member} to be as wanted"), wait).await;
    }

    /// Ends everything.
    pub(crate) async fn end(mut self) {
        self.agent.kill();
        self.servers.shutdown().await;
    }
}

/// What manifests may need to name before the world is there.
pub(crate) struct Around<'w> {
    pub(crate) chat_url: &'w str,
    pub(crate) members: &'w [ClusterHandle; 2],
}

/// The name of a member's release.
pub(crate) fn release(member: usize) -> String {
    format!("app-member{member}-app")
}

/// The name of every object of a member's release.
pub(crate) fn name(member: usize) -> String {
    format!("hello-kubernetes-{}", release(member))
}

/// Helm's records of a release: revision and status, oldest first.
pub(crate) fn records(cluster: &ClusterHandle, release: &str) -> Vec<(u64, String)> {
    let mut all: Vec<(u64, String)> = cluster
        .list("v1", "secrets", Some(NAMESPACE))
        .iter()
        .filter(|secret| secret["metadata"]["labels"]["name"] == release)
        .map(|secret| {
            let label = |key: &str| secret["metadata"]["labels"][key].as_str().unwrap().to_owned();
            (label("version").parse().unwrap(), label("status"))
        })
        .collect();
    all.sort();
    all
}

fn newest(cluster: &ClusterHandle, release: &str) -> Option<(u64, String)> {
    records(cluster, release).pop()
}

fn beside(member: &'static str, trap: &Arc<Trap>) -> kube_sim::Observer {
    let trap = Arc::clone(trap);
    Arc::new(move |passing: &Passing<'_>| {
        let what = format!("{member} {} {}", passing.method, resource(passing.path));
        if trap.pass(&what, passing.moment == Moment::Done) { Verdict::Pass } else { Verdict::Cut }
    })
}

/// The plural of a path: `/apis/apps/v1/namespaces/app/deployments/web` is about `deployments`.
fn resource(path: &str) -> &str {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let group = parts.next();
    let skipped = if group == Some("api") { 1 } else { 2 };
    let rest: Vec<&str> = parts.skip(skipped).collect();
    match rest[..] {
        ["namespaces", _, plural, ..] => plural,
        [plural, ..] => plural,
        [] => "discovery",
    }
}

async fn served(
    servers: &mut tokio::task::JoinSet<()>,
    router: axum::Router,
    name: &'static str,
    trap: &Arc<Trap>,
) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = (name, Arc::clone(trap));
    let router = router.layer(axum::middleware::from_fn_with_state(state, trapped));
    servers.spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn trapped(
    State((name, trap)): State<(&'static str, Arc<Trap>)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let what = format!("{name} {} {path}", request.method());
    if !trap.pass(&what, false) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let answer = next.run(request).await;
    if trap.pass(&what, true) { answer } else { StatusCode::BAD_GATEWAY.into_response() }
}

async fn hear(State(chat): State<Arc<Chat>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if chat.echo.load(std::sync::atomic::Ordering::SeqCst) {
        let text = format!("no route to {}: {:?}", head.uri, head.headers);
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    }
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    chat.told.lock().unwrap().push(body);
    chat.came.notify_waiters();
    StatusCode::OK.into_response()
}
