//! The world the whole-path tests run in.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use kube_sim::{ClusterHandle, Simulator};
use serde_json::Value;
use sluice::app::{Agent, AgentOptions};
use sluice::demo::git_server::GitServer;
use sluice::demo::repository::{Change, DemoRepository};
use sluice::demo::world::{CHART, World};
use sluice::model::{Kind, ObjectKey};
use sluice::objects::Objects;
use sluice::queue::Queue;
use sluice::reconcile::Reconciler;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// How long a test waits for anything before it says what it waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Fails the test when `work` takes longer than anything here should.
pub async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// A running agent between a repository and two simulated members.
pub struct Pipeline {
    pub dir: TempDir,
    pub repository: DemoRepository,
    pub objects: Objects,
    pub queue: Queue,
    pub reconciler: Reconciler,
    members: [ClusterHandle; 2],
    stop: CancellationToken,
    agent: tokio::task::JoinHandle<anyhow::Result<()>>,
    servers: tokio::task::JoinSet<()>,
}

impl Pipeline {
    pub async fn start() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let dir = TempDir::new().unwrap();
        let stop = CancellationToken::new();
        let mut servers = tokio::task::JoinSet::new();
        let simulator = Simulator::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let members = [simulator.add_cluster("member1"), simulator.add_cluster("member2")];
        servers.spawn(simulator.run(stop.clone()));

        let repository =
            DemoRepository::create(dir.path().join("git/hello-kubernetes.git"), "master").unwrap();
        let changes: Vec<Change<'_>> =
            CHART.iter().map(|(path, text)| Change::Write(path, text.as_bytes())).collect();
        repository.commit("master", &changes, "Say hello").unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let git_url = format!("http://{}/hello-kubernetes.git", listener.local_addr().unwrap());
        let router = GitServer::new(dir.path().join("git")).router();
        servers.spawn(async move { axum::serve(listener, router).await.unwrap() });

        World {
            git_url,
            kubeconfigs: [members[0].kubeconfig(), members[1].kubeconfig()],
            hook_token: "test-token".into(),
            chat_url: None,
        }
        .write_manifests(&dir.path().join("manifests"))
        .unwrap();
        let options = AgentOptions::new(dir.path().join("manifests"), dir.path().join("state"));
        let agent = Agent::start(options).await.unwrap();
        let (objects, queue) = (agent.objects.clone(), agent.queue.clone());
        let reconciler = agent.reconciler.clone();
        let agent = tokio::spawn(agent.run(stop.clone().cancelled_owned()));
        Self { dir, repository, objects, queue, reconciler, members, stop, agent, servers }
    }

    pub fn member(&self, number: u8) -> &ClusterHandle {
        &self.members[usize::from(number - 1)]
    }

    /// Ends the agent; a task that failed fails the test.
    pub async fn stop(mut self) {
        self.stop.cancel();
        patiently("the agent to stop", self.agent).await.unwrap().unwrap();
        self.servers.shutdown().await;
    }

    /// A file of the manifests.
    pub fn manifest(&self, file: &str) -> PathBuf {
        self.dir.path().join("manifests").join(file)
    }

    pub fn status(&self, key: &ObjectKey) -> Value {
        self.objects.get(key).map(|object| object.status_json()).unwrap_or_default()
    }

    /// Waits until an object's status fits, looking again at every change.
    pub async fn until(&self, key: &ObjectKey, fits: impl Fn(&Value) -> bool) {
        let mut changes = self.objects.subscribe();
        let wait = async {
            while !fits(&self.status(key)) {
                changes.recv().await.ok();
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!(
                "`{key}` did not get there: {}\nproblems: {:?}",
                self.status(key),
                self.objects.problems()
            );
        }
    }

    pub async fn ready(&self, key: &ObjectKey) {
        self.until(key, |status| {
            status["conditions"].as_array().is_some_and(|conditions| {
                conditions
                    .iter()
                    .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            })
        })
        .await;
    }

    /// Waits until a release's newest revision is `version` and deployed.
    pub async fn version(&self, key: &ObjectKey, version: i64) {
        self.until(key, |status| {
            status["history"][0]["version"] == version && status["history"][0]["status"] == "deployed"
        })
        .await;
    }

    /// Helm's records of a release on a member: revision and status, oldest first.
    pub fn records(&self, member: u8) -> Vec<(u64, String)> {
        let name = format!("app-member{member}-app");
        let mut all: Vec<(u64, String)> = self
            .member(member)
            .list("v1", "secrets", Some("gitops-project"))
            .iter()
            .filter(|secret| secret["metadata"]["labels"]["name"] == name)
            .map(|secret| {
                let label = |key: &str| secret["metadata"]["labels"][key].as_str().unwrap().to_owned();
                (label("version").parse().unwrap(), label("status"))
            })
            .collect();
        all.sort();
        all
    }

    /// Commits an edit and asks for the source to be looked at, as somebody without a webhook would.
    pub async fn push(&self, from: &str, to: &str, path: &str) {
        self.edit(from, to, path);
        self.look().await;
    }

    /// Commits an edit, and tells nobody.
    pub fn edit(&self, from: &str, to: &str, path: &str) {
        let text = self.repository.read("master", path).unwrap().unwrap();
        assert!(text.contains(from), "`{from}` is not in {path}: {text}");
        let text = text.replace(from, to);
        self.commit(&[Change::Write(path, text.as_bytes())]);
    }

    /// Where the branch stands.
    pub fn head(&self) -> String {
        tokio::task::block_in_place(|| self.repository.head("master").unwrap().unwrap())
    }

    /// Commits any changes, and tells nobody.
    pub fn commit(&self, changes: &[Change<'_>]) {
        tokio::task::block_in_place(|| self.repository.commit("master", changes, "Change it").unwrap());
    }

    /// Asks for the source to be looked at.
    pub async fn look(&self) {
        let source = ObjectKey::new(Kind::GitRepository, "gitops-project", "git-repo");
        let asked = [("reconcile.fluxcd.io/requestedAt".to_owned(), uuid::Uuid::new_v4().to_string())];
        self.objects.annotate(&source, asked.into()).await.unwrap();
    }
}
