//! One push to many members: how long until the last of a thousand is changed, how much memory that takes, and what one
//! dead and one hanging member cost the others.
//!
//! The members are simulated (`crates/kube-sim`) in this process, behind one TLS port; the agent is a process of its own.
//! What this shows is how the agent grows with its members, not how fast an API server is.
//!
//!     scripts/bench-fanout [--members 1000] [--pushes 20]

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube_sim::{ClusterHandle, Fault, Moment, Passing, Simulator, Verdict};
use sluice::demo::forge::{Forge, push_body, signature};
use sluice::demo::repository::Change;
use sluice::receiver::hook_path;
use support::{AgentProcess, Figures, Launch, argument, free_address, load};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "bench-token";
const VALUES: &str = "helm-chart/values.yaml";
const NAMESPACE: &str = "bench";

/// A member's Service was changed, or its release recorded as deployed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Changed,
    Recorded,
}

struct Seen {
    member: usize,
    what: What,
    at: Instant,
}

/// An agent with as many members as wanted.
struct Crowd {
    members: Vec<ClusterHandle>,
    forge: Forge,
    agent: AgentProcess,
    seen: mpsc::UnboundedReceiver<Seen>,
    http: reqwest::Client,
    dir: TempDir,
    port: usize,
    stop: CancellationToken,
    servers: tokio::task::JoinSet<()>,
}

fn beside(member: usize, seen: &mpsc::UnboundedSender<Seen>) -> kube_sim::Observer {
    let seen = seen.clone();
    Arc::new(move |passing: &Passing<'_>| {
        let about = |plural: &str| passing.path.split('/').any(|part| part == plural);
        let what = match (passing.moment, passing.method) {
            (Moment::Done, "PATCH") if about("services") => Some(What::Changed),
            (Moment::Done, "PUT") if about("secrets") => Some(What::Recorded),
            _ => None,
        };
        if let Some(what) = what {
            // Nobody listens any more at the end.
            drop(seen.send(Seen { member, what, at: Instant::now() }));
        }
        Verdict::Pass
    })
}

fn kubeconfig(member: usize, text: &str) -> String {
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: member{member}-kubeconfig, namespace: {NAMESPACE}}}\nstringData:\n  value: |\n{indented}"
    )
}

fn release(member: usize) -> String {
    format!(
        "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: member{member}, namespace: {NAMESPACE}}}\nspec:\n  interval: 1h\n  releaseName: app\n  storageNamespace: default\n  targetNamespace: default\n  kubeConfig:\n    secretRef: {{name: member{member}-kubeconfig}}\n  chart:\n    spec:\n      chart: ./helm-chart\n      sourceRef: {{kind: GitRepository, name: app}}\n      reconcileStrategy: Revision\n  values: {{config: {{message: 'member{member}'}}}}\n"
    )
}

fn source(name: &str, url: &str) -> String {
    format!(
        "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n  interval: 1h\n  url: {url}\n  ref: {{branch: master}}\n"
    )
}

fn receiver() -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: token, namespace: {NAMESPACE}}}\nstringData: {{token: {TOKEN}}}\n---\napiVersion: notification.toolkit.fluxcd.io/v1\nkind: Receiver\nmetadata: {{name: push, namespace: {NAMESPACE}}}\nspec:\n  type: github\n  events: [push]\n  secretRef: {{name: token}}\n  resources:\n  - {{kind: GitRepository, name: app}}\n"
    )
}

impl Crowd {
    async fn start(count: usize) -> Self {
        let dir = TempDir::new().unwrap();
        let stop = CancellationToken::new();
        let mut servers = tokio::task::JoinSet::new();
        let (sender, _answers) = mpsc::channel(1);
        let (forge, tasks) = Forge::create(&dir.path().join("git"), 0, sender).await.unwrap();
        let shutdown = stop.clone();
        servers.spawn(async move { tasks.run(shutdown).await.unwrap() });
        let simulator = Simulator::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let members: Vec<ClusterHandle> = (0..count)
            .map(|number| {
                let member = simulator.add_cluster(&format!("member{number}"));
                member.on_request(Some(beside(number, &sender)));
                member
            })
            .collect();
        servers.spawn(simulator.run(stop.clone()));
        let manifests = dir.path().join("manifests");
        std::fs::create_dir_all(&manifests).unwrap();
        let releases: String = (0..count).map(release).collect();
        std::fs::write(manifests.join("app.yaml"), source("app", &forge.url) + &receiver()).unwrap();
        std::fs::write(manifests.join("releases.yaml"), releases).unwrap();
        for (number, member) in members.iter().enumerate() {
            write_kubeconfig(&manifests, number, &member.kubeconfig());
        }
        let agent = AgentProcess::launch(Launch::new(&manifests, &dir.path().join("state")));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { members, forge, agent, seen, http, dir, port: 80, stop, servers }
    }

    /// Waits until every member but `without` is changed and recorded; when each was.
    async fn arrived(&mut self, without: &[usize]) -> (Vec<Instant>, Vec<Instant>) {
        let count = self.members.len();
        let (mut changed, mut recorded) = (vec![None; count], vec![None; count]);
        let complete = |times: &[Option<Instant>]| {
            times.iter().enumerate().all(|(member, at)| at.is_some() || without.contains(&member))
        };
        let wait = async {
            while !complete(&changed) || !complete(&recorded) {
                let Seen { member, what, at } = self.seen.recv().await.unwrap();
                let times = if what == What::Changed { &mut changed } else { &mut recorded };
                // An old record is superseded at the same time as the new one is deployed; either will do.
                times[member].get_or_insert(at);
            }
        };
        let patience = Duration::from_secs(300);
        if tokio::time::timeout(patience, wait).await.is_err() {
            let missing = changed.iter().filter(|at| at.is_none()).count();
            panic!("{missing} members are not changed after {patience:?}");
        }
        let told = |times: Vec<Option<Instant>>| {
            let others = times.into_iter().enumerate().filter(|(member, _)| !without.contains(member));
            others.map(|(_, at)| at.unwrap()).collect()
        };
        (told(changed), told(recorded))
    }

    /// Pushes a change of one object; how long it took until each member was changed, and until it was recorded.
    async fn push(&mut self, without: &[usize]) -> (Vec<Duration>, Vec<Duration>) {
        // What the push before left to be recorded is no part of this one.
        while self.seen.try_recv().is_ok() {}
        let text = self.forge.repository.read("master", VALUES).unwrap().unwrap();
        let (from, to) = (format!("port: {}\n", self.port), format!("port: {}\n", self.port + 1));
        self.port += 1;
        assert!(text.contains(&from));
        let text = text.replacen(&from, &to, 1);
        let change = [Change::Write(VALUES, text.as_bytes())];
        let commit = self.forge.repository.commit("master", &change, "Change it").unwrap();
        let body = push_body(&self.forge.url, "refs/heads/master", &commit, &commit);
        let path = hook_path(TOKEN.as_bytes(), "push", NAMESPACE);
        let request = self
            .http
            .post(format!("http://{}{path}", self.agent.listen))
            .header("Content-Type", "application/json")
            .header("X-GitHub-Event", "push")
            .header("X-GitHub-Delivery", uuid::Uuid::new_v4().to_string())
            .header("X-Hub-Signature-256", signature(TOKEN, &body))
            .body(body);
        let clock = Instant::now();
        assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
        let (changed, recorded) = self.arrived(without).await;
        let since = |times: Vec<Instant>| times.into_iter().map(|at| at - clock).collect();
        (since(changed), since(recorded))
    }

    async fn pushes(&mut self, count: usize, without: &[usize]) -> Figures {
        let mut all = Vec::new();
        for _ in 0..count {
            all.extend(self.push(without).await.0);
            // The ends of the jobs are written meanwhile, as between a person's pushes.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Figures::of(all)
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.agent.kill();
        self.servers.shutdown().await;
    }
}

fn write_kubeconfig(manifests: &Path, member: usize, text: &str) {
    // As a whole or not at all: the agent looks at any moment.
    let path = manifests.join(format!("member{member}-kubeconfig.yaml"));
    let draft = manifests.join(format!(".member{member}-kubeconfig"));
    std::fs::write(&draft, kubeconfig(member, text)).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// Ten sources and nothing to do.
async fn idle() {
    let dir = TempDir::new().unwrap();
    let (sender, _answers) = mpsc::channel(1);
    let (forge, tasks) = Forge::create(&dir.path().join("git"), 0, sender).await.unwrap();
    let stop = CancellationToken::new();
    let git = tokio::spawn(tasks.run(stop.clone()));
    let manifests = dir.path().join("manifests");
    std::fs::create_dir_all(&manifests).unwrap();
    let sources: String = (0..10).map(|number| source(&format!("app-{number}"), &forge.url)).collect();
    std::fs::write(manifests.join("sources.yaml"), sources).unwrap();
    let agent = AgentProcess::start(&manifests, &dir.path().join("state"));
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!(
        "idle with ten sources: {:.1} MB now, {:.1} MB at most",
        agent.memory_now(),
        agent.peak_memory()
    );
    agent.kill();
    stop.cancel();
    git.await.unwrap().unwrap();
}

async fn many(count: usize) {
    let clock = Instant::now();
    let mut crowd = Crowd::start(count).await;
    crowd.arrived(&[]).await;
    println!(
        "{count} members: installed everywhere after {:.1} s, memory at most {:.0} MB",
        clock.elapsed().as_secs_f64(),
        crowd.agent.peak_memory()
    );
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (changed, recorded) = crowd.push(&[]).await;
        let last = |all: &[Duration]| all.iter().max().unwrap().as_secs_f64();
        println!(
            "{count} members: one changed object on all after {:.2} s, recorded on all after {:.2} s; each: {}; memory now {:.0} MB, at most {:.0} MB, load {}",
            last(&changed),
            last(&recorded),
            Figures::of(changed),
            crowd.agent.memory_now(),
            crowd.agent.peak_memory(),
            load()
        );
    }
    crowd.end().await;
}

/// One dead and one hanging member of a hundred.
async fn isolated(pushes: usize) {
    const COUNT: usize = 100;
    let out = [COUNT - 2, COUNT - 1];
    let mut crowd = Crowd::start(COUNT).await;
    crowd.arrived(&[]).await;
    crowd.pushes(3, &[]).await;
    let manifests = crowd.dir.path().join("manifests");
    let mut both: [Vec<Figures>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        let well = crowd.pushes(pushes, &out).await;
        println!("{} members, all well: each of the others {well}, load {}", COUNT, load());
        both[0].push(well);
        // One accepts connections and never answers, at the other's address nobody listens.
        crowd.members[out[0]].set_fault(Some(Fault::Hang));
        let nowhere = crowd.members[out[1]].kubeconfig();
        let server = nowhere.lines().find(|line| line.trim().starts_with("server:")).unwrap();
        let dead = nowhere.replace(server, &format!("    server: https://{}", free_address()));
        write_kubeconfig(&manifests, out[1], &dead);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let ill = crowd.pushes(pushes, &out).await;
        println!("{} members, one dead and one hanging: each of the others {ill}, load {}", COUNT, load());
        both[1].push(ill);
        crowd.members[out[0]].set_fault(None);
        write_kubeconfig(&manifests, out[1], &crowd.members[out[1]].kubeconfig());
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let [well, ill] = both.map(Figures::merge);
    let more = ill.quantile(0.99).as_secs_f64() / well.quantile(0.99).as_secs_f64() - 1.0;
    println!("others' p99 with one dead and one hanging member: {:+.1} %", more * 100.0);
    crowd.end().await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (members, pushes) = (argument("members", 1000), argument("pushes", 20));
    println!("load before: {}", load());
    idle().await;
    many(members / 10).await;
    many(members).await;
    isolated(pushes).await;
    println!("load after: {}", load());
}
