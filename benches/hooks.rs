//! Webhooks: how many a second, how fast, and whether any is lost when the agent is killed.
//!
//! 64 clients with a connection each send signed GitHub pushes of 10 KB, each with an id of its own; the answer comes
//! after the row and its job are on disk. First each sends the next hook when the last is answered (how many a second),
//! then all send at given times, whether the last was answered or not (how long a forge waits: a hook that could not be
//! sent in time counts from when it should have been). At last the same while the agent is killed with SIGKILL again and
//! again; every hook that was answered with 200 must be in the store afterwards, with its job.
//!
//! Agent and bench share the machine, so the bench is to be light: one thread sends, and the forge remembers what `git`
//! answered (the repository does not change), giving it out as late as a forge on another machine would.
//!
//!     scripts/bench-hooks [--hooks 20000] [--clients 64] [--kills 10] [--seconds 10]

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Response, Uri, header};
use sluice::demo::forge::{push_body, signature};
use sluice::demo::git_server::GitServer;
use sluice::demo::repository::{Change, DemoRepository};
use sluice::model::Clock;
use sluice::queue::{DeliveryFilter, Queue, QueueSettings};
use sluice::receiver::hook_path;
use support::{AgentProcess, Figures, Launch, argument, load};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

const TOKEN: &str = "bench-token";
const BODY: usize = 10 * 1024;
/// How far away the forge is.
const FORGE_TAKES: Duration = Duration::from_millis(25);

/// A forge with one commit. The same question has the same answer, so `git` is asked once.
struct Forge {
    url: String,
    commit: String,
}

#[derive(Clone)]
struct Remembering {
    git: axum::Router,
    answers: Arc<Mutex<HashMap<Question, Answer>>>,
}

type Question = (Method, Uri, Bytes);
type Answer = (axum::http::response::Parts, Bytes);

impl Forge {
    /// Opens the port; the forge answers for as long as the task runs.
    async fn open(root: &std::path::Path) -> (Self, tokio::task::JoinHandle<()>) {
        let repository = DemoRepository::create(root.join("app.git"), "master").unwrap();
        repository.commit("master", &[Change::Write("README.md", b"hello")], "Say hello").unwrap();
        let commit = repository.head("master").unwrap().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/app.git", listener.local_addr().unwrap());
        let remembering = Remembering { git: GitServer::new(root).router(), answers: Arc::default() };
        let router = axum::Router::new().fallback(remembered).with_state(remembering);
        (Self { url, commit }, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
    }
}

async fn remembered(State(forge): State<Remembering>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let question = (head.method.clone(), head.uri.clone(), body.clone());
    let known = forge.answers.lock().unwrap().get(&question).cloned();
    let (head, body) = match known {
        Some(known) => known,
        None => {
            let answer = ask_git(forge.git.clone(), head, body).await;
            forge.answers.lock().unwrap().insert(question, answer.clone());
            answer
        }
    };
    tokio::time::sleep(FORGE_TAKES).await;
    Response::from_parts(head, body.into())
}

async fn ask_git(git: axum::Router, head: Parts, body: Bytes) -> Answer {
    let answer = git.oneshot(Request::from_parts(head, Body::from(body))).await.unwrap();
    let (mut head, body) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    (head, axum::body::to_bytes(body, 1 << 20).await.unwrap())
}

struct Plan {
    address: SocketAddr,
    head: String,
    body: Vec<u8>,
    left: AtomicUsize,
}

impl Plan {
    fn new(address: SocketAddr, forge: &Forge, hooks: usize) -> Self {
        // The commit the source stands at: what is measured is receiving, not how many processes git needs for a fetch.
        let mut body = push_body(&forge.url, "refs/heads/master", &forge.commit, &forge.commit);
        // As long as a push with a handful of commits.
        let padding = "x".repeat(BODY - body.len() - 20);
        body.truncate(body.len() - 1);
        body.extend_from_slice(format!(",\"padding\":\"{padding}\"}}").as_bytes());
        let path = hook_path(TOKEN.as_bytes(), "push", "bench");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: {}\r\nContent-Length: {}\r\n",
            signature(TOKEN, &body),
            body.len()
        );
        Self { address, head, body, left: AtomicUsize::new(hooks) }
    }

    /// Sends one hook; the answer's code, or nothing when the connection broke.
    async fn send(&self, stream: &mut Option<TcpStream>, id: &str) -> Option<u16> {
        if stream.is_none() {
            let opened = TcpStream::connect(self.address).await.ok()?;
            opened.set_nodelay(true).ok();
            *stream = Some(opened);
        }
        let answer = self.exchange(stream.as_mut()?, id).await;
        if answer.is_none() {
            *stream = None;
        }
        answer
    }

    async fn exchange(&self, stream: &mut TcpStream, id: &str) -> Option<u16> {
        let mut request = Vec::with_capacity(self.head.len() + self.body.len() + 64);
        request.extend_from_slice(self.head.as_bytes());
        request.extend_from_slice(b"X-GitHub-Delivery: ");
        request.extend_from_slice(id.as_bytes());
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(&self.body);
        stream.write_all(&request).await.ok()?;
        // An answer is a few hundred bytes, and there is none but the one asked for.
        let mut answer = Vec::with_capacity(1024);
        loop {
            if stream.read_buf(&mut answer).await.ok()? == 0 {
                return None;
            }
            if let Some(code) = whole(&answer) {
                return Some(code);
            }
        }
    }
}

/// The code of an answer that has arrived in full.
fn whole(answer: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap();
    (body.len() >= length).then(|| head.split(' ').nth(1).unwrap().parse().unwrap())
}

/// One client: sends until nothing is left. Ids that were answered with 200, and how long the answers took.
async fn client(plan: Arc<Plan>) -> Vec<(String, Duration)> {
    let mut stream = None;
    let mut accepted = Vec::new();
    while plan.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let id = uuid::Uuid::new_v4().to_string();
        let clock = Instant::now();
        match plan.send(&mut stream, &id).await {
            Some(200) => accepted.push((id, clock.elapsed())),
            Some(_) => {}
            // The agent is down for the moment; a forge would come again later too.
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    accepted
}

/// One client of an open loop: sends at its times, however long the answers take. How long each took.
async fn paced(plan: Arc<Plan>, first: Instant, every: Duration, last: Instant) -> (Vec<Duration>, usize) {
    let (mut stream, mut took, mut refused) = (None, Vec::new(), 0);
    let mut due = first;
    while due < last {
        let id = uuid::Uuid::new_v4().to_string();
        let now = Instant::now();
        // A timer wakes up to a millisecond late; that is not the agent's time. Being late for the answer before is.
        let from = if now < due {
            tokio::time::sleep_until(due.into()).await;
            Instant::now()
        } else {
            due
        };
        match plan.send(&mut stream, &id).await {
            Some(200) => took.push(from.elapsed()),
            _ => refused += 1,
        }
        due += every;
    }
    (took, refused)
}

/// `rate` hooks a second for a while, spread evenly over the clients.
async fn open_loop(plan: Plan, clients: usize, rate: usize, seconds: usize) {
    let plan = Arc::new(plan);
    let first = Instant::now() + Duration::from_millis(100);
    let every = Duration::from_secs_f64(clients as f64 / rate as f64);
    let last = first + Duration::from_secs(seconds as u64);
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let own = first + every.mul_f64(client as f64 / clients as f64);
            tokio::spawn(paced(Arc::clone(&plan), own, every, last))
        })
        .collect();
    let (mut took, mut refused) = (Vec::new(), 0);
    for task in tasks {
        let (answered, others) = task.await.unwrap();
        took.extend(answered);
        refused += others;
    }
    println!(
        "open loop, {clients} clients, {rate} hooks/s: answer {}, {refused} not answered with 200, load {}",
        Figures::of(took),
        load()
    );
}

async fn flood(plan: Plan, clients: usize) -> (Vec<(String, Duration)>, Duration) {
    let plan = Arc::new(plan);
    let clock = Instant::now();
    let tasks: Vec<_> = (0..clients).map(|_| tokio::spawn(client(Arc::clone(&plan)))).collect();
    let mut accepted = Vec::new();
    for task in tasks {
        accepted.extend(task.await.unwrap());
    }
    (accepted, clock.elapsed())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (hooks, clients, kills) = (argument("hooks", 20_000), argument("clients", 64), argument("kills", 10));
    let seconds = argument("seconds", 10);
    let dir = tempfile::TempDir::new().unwrap();
    let (forge, git) = Forge::open(&dir.path().join("git")).await;
    let manifests = dir.path().join("manifests");
    std::fs::create_dir_all(&manifests).unwrap();
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: token, namespace: bench}}\nstringData: {{token: {TOKEN}}}\n---\n\
         apiVersion: notification.toolkit.fluxcd.io/v1\nkind: Receiver\nmetadata: {{name: push, namespace: bench}}\nspec:\n  type: github\n  events: [push]\n  secretRef: {{name: token}}\n  resources:\n  - {{kind: GitRepository, name: app}}\n---\n\
         apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: app, namespace: bench}}\nspec:\n  interval: 1h\n  url: {}\n  ref: {{branch: master}}\n",
        forge.url
    );
    std::fs::write(manifests.join("bench.yaml"), text).unwrap();
    let state = dir.path().join("state");
    println!("load before: {}", load());
    // As it runs at its users', one line of log for each hook included.
    let mut agent = AgentProcess::launch(Launch {
        flags: ["--api-listen", "off", "--metrics-listen", "off"].map(str::to_owned).into(),
        log: Some(dir.path().join("log")),
        ..Launch::new(&manifests, &state)
    });
    let address = agent.listen;

    flood(Plan::new(address, &forge, hooks / 20), clients).await;
    for clients in [1, clients] {
        let (accepted, took) =
            flood(Plan::new(address, &forge, if clients == 1 { hooks / 20 } else { hooks }), clients).await;
        let count = accepted.len();
        let figures = Figures::of(accepted.into_iter().map(|(_, took)| took).collect());
        println!("{clients} clients: {:.0} hooks/s, answer {figures}", count as f64 / took.as_secs_f64());
    }
    for rate in [500, 1000, 2000] {
        open_loop(Plan::new(address, &forge, 0), clients, rate, seconds).await;
    }
    println!("memory at most: {:.0} MB, load {}", agent.peak_memory(), load());

    // The agent dies again and again while hooks come in.
    let done = Arc::new(AtomicBool::new(false));
    let killer = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            let mut killed = 0;
            while killed < kills && !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(150));
                agent.kill_and_restart();
                killed += 1;
            }
            (agent, killed)
        })
    };
    let (accepted, _) = flood(Plan::new(address, &forge, 10_000), clients).await;
    done.store(true, Ordering::Relaxed);
    let (agent, killed) = killer.join().unwrap();
    agent.kill();

    let (queue, writer) = Queue::open(&state, QueueSettings::default(), Clock::system()).await.unwrap();
    let writing = tokio::spawn(writer.run());
    let stored = queue.list_deliveries(&DeliveryFilter::default(), 10_000_000).await.unwrap();
    let stored: HashMap<String, u64> = stored
        .into_iter()
        .filter_map(|delivery| {
            Some((delivery.sender_id?, delivery.jobs.iter().map(|(_, count)| count).sum()))
        })
        .collect();
    let lost = accepted.iter().filter(|(id, _)| !stored.contains_key(id)).count();
    let idle = accepted.iter().filter(|(id, _)| stored.get(id) == Some(&0)).count();
    println!(
        "killed {killed} times during 10000 hooks: {} answered with 200, of these {lost} lost, {idle} without a job",
        accepted.len()
    );
    println!("load after: {}", load());
    queue.close().await.unwrap();
    writing.await.unwrap().unwrap();
    git.abort();
    assert_eq!((lost, idle), (0, 0));
}
