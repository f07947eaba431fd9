//! A repository on a real `git http-backend`, an agent, policies whose images the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use serde_json::{Value, json};
use sluice::app::{Agent, AgentOptions};
use sluice::demo::git_server::GitServer;
use sluice::demo::repository::{Change, DemoRepository};
use sluice::model::{Cause, CauseKind, Clock, Kind, ObjectKey};
use sluice::objects::Objects;
use sluice::queue::{JobState, NewJob, Priority, Queue, Story};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, patiently};

pub const NS: &str = "gitops-project";

/// What happens between a push's advertisement and the push.
pub type Meddle = Arc<dyn Fn(usize) + Send + Sync>;

pub struct World {
    /// Goes with the world.
    _dir: TempDir,
    pub repository: DemoRepository,
    pub objects: Objects,
    pub queue: Queue,
    pub git_url: String,
    /// Requests to git, by `METHOD path?query`.
    pub requests: Arc<std::sync::Mutex<Vec<String>>>,
    stop: CancellationToken,
    agent: tokio::task::JoinHandle<anyhow::Result<()>>,
    server: tokio::task::JoinHandle<()>,
}

pub fn automation() -> ObjectKey {
    ObjectKey::new(Kind::ImageUpdateAutomation, NS, "image-update-automation")
}

pub fn source() -> ObjectKey {
    ObjectKey::new(Kind::GitRepository, NS, "git-repo")
}

pub fn policy(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::ImagePolicy, NS, name)
}

/// The manifests around an automation: its source, and policies that stand still until a test sets them.
pub fn surroundings(git_url: &str, policies: &[&str]) -> String {
    let mut text = format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: git-repo, namespace: {NS}}}\n\
         spec: {{interval: 1h, url: \"{git_url}\", ref: {{branch: master}}}}\n"
    );
    for policy in policies {
        text.push_str(&format!(
            "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\n\
             metadata: {{name: {policy}, namespace: {NS}, labels: {{app: {policy}}}}}\n\
             spec: {{suspend: true, imageRepositoryRef: {{name: image-repo}}, policy: {{semver: {{range: 1.0.x}}}}}}\n"
        ));
    }
    text
}

/// An automation in today's version with this below `spec`.
pub fn manifest(annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
         metadata: {{name: image-update-automation, namespace: {NS}, annotations: {{{annotations}}}}}\n\
         spec:\n  interval: 1h\n  sourceRef: {{kind: GitRepository, name: git-repo}}\n{spec}"
    )
}

pub const COMMIT: &str = "    commit: {author: {email: fluxbot@flux.com, name: fluxbot}}\n";

impl World {
    /// Starts with `files` on master and the manifests that `manifests` makes of the repository's URL.
    pub async fn start(files: &[(&str, &str)], manifests: impl Fn(&str) -> String) -> Self {
        Self::start_with(files, manifests, Arc::new(|_| {}), |_| {}).await
    }

    /// The same with manifests that name the commit master stands at.
    pub async fn start_pinned(files: &[(&str, &str)], manifests: impl Fn(&str, &str) -> String) -> Self {
        Self::start_at(files, manifests, Arc::new(|_| {}), |_| {}).await
    }

    /// The same, with somebody who meddles: called with the number of the push that is about to arrive.
    pub async fn start_with(
        files: &[(&str, &str)],
        manifests: impl Fn(&str) -> String,
        meddle: Meddle,
        options: impl FnOnce(&mut AgentOptions),
    ) -> Self {
        Self::start_at(files, |url, _| manifests(url), meddle, options).await
    }

    async fn start_at(
        files: &[(&str, &str)],
        manifests: impl Fn(&str, &str) -> String,
        meddle: Meddle,
        options: impl FnOnce(&mut AgentOptions),
    ) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let dir = TempDir::new().unwrap();
        let repository = DemoRepository::create(dir.path().join("git/team/app.git"), "master").unwrap();
        let changes: Vec<Change<'_>> =
            files.iter().map(|(path, text)| Change::Write(path, text.as_bytes())).collect();
        let begin = repository.commit("master", &changes, "Begin").unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let git_url = format!("http://{}/team/app.git", listener.local_addr().unwrap());
        let requests = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (seen, pushes) = (Arc::clone(&requests), Arc::new(AtomicUsize::new(0)));
        let router = GitServer::new(dir.path().join("git")).router().layer(from_fn(
            move |request: Request, next: Next| {
                let (seen, pushes, meddle) = (Arc::clone(&seen), Arc::clone(&pushes), Arc::clone(&meddle));
                async move {
                    let line = format!("{} {}", request.method(), request.uri());
                    let is_push = line.starts_with("POST") && line.ends_with("/git-receive-pack");
                    seen.lock().unwrap().push(line);
                    if is_push {
                        let number = pushes.fetch_add(1, Ordering::SeqCst) + 1;
                        tokio::task::spawn_blocking(move || meddle(number)).await.unwrap();
                    }
                    let response: Response = next.run(request).await;
                    response
                }
            },
        ));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let place = dir.path().join("manifests");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("all.yaml"), manifests(&git_url, &begin)).unwrap();
        let mut agent_options = AgentOptions::new(place, dir.path().join("state"));
        options(&mut agent_options);
        let stop = CancellationToken::new();
        let agent = Agent::start(agent_options).await.unwrap();
        let (objects, queue) = (agent.objects.clone(), agent.queue.clone());
        let agent = tokio::spawn(agent.run(stop.clone().cancelled_owned()));
        Self { _dir: dir, repository, objects, queue, git_url, requests, stop, agent, server }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        patiently("the agent to stop", self.agent).await.unwrap().unwrap();
        self.server.abort();
    }

    pub fn status(&self, key: &ObjectKey) -> Value {
        self.objects.get(key).map(|object| object.status_json()).unwrap_or_default()
    }

    pub async fn until(&self, key: &ObjectKey, fits: impl Fn(&Value) -> bool) -> Value {
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
        self.status(key)
    }

    /// Waits until a condition of the automation says so.
    pub async fn ready(&self, holds: &str) -> Value {
        self.until(&automation(), |status| condition(status, "Ready")["status"] == holds).await
    }

    /// Sets what a policy resolved to, and tells the automation as the policy's own story does.
    pub async fn resolve(&self, name: &str, image: &str, tag: &str) {
        self.set_policy(name, image, tag).await;
        self.wake(CauseKind::Dependency).await;
    }

    /// Sets what a policy resolved to; nobody is told.
    pub async fn set_policy(&self, name: &str, image: &str, tag: &str) {
        let key = policy(name);
        let object = self.objects.get(&key).unwrap();
        let mut status = object.status_json();
        status["latestRef"] = json!({"name": image, "tag": tag});
        self.objects.patch_status(&key, &object.metadata().uid, status).await.unwrap();
    }

    /// Puts in a job for the automation.
    pub async fn wake(&self, cause: CauseKind) {
        let job = NewJob {
            object: automation(),
            cause: Cause::of(cause),
            due_at: Clock::system().now(),
            payload: Value::Null,
            priority: Priority::Push,
        };
        self.queue.enqueue(vec![job]).await.unwrap();
    }

    /// Asks for a run, as `flux reconcile` does, and waits until it is over.
    pub async fn request(&self) -> Value {
        let at = uuid::Uuid::new_v4().to_string();
        let asked = [("reconcile.fluxcd.io/requestedAt".to_owned(), at.clone())];
        self.objects.annotate(&automation(), asked.into()).await.unwrap();
        self.until(&automation(), |status| status["lastHandledReconcileAt"] == at.as_str()).await
    }

    /// Waits until nothing is to be done any more.
    pub async fn rest(&self) {
        let quiet = async {
            loop {
                let mut busy = false;
                for key in [automation(), source()] {
                    let story = self.queue.story_of_object(&key, 20).await.unwrap();
                    busy |= story.jobs.iter().any(|job| {
                        job.state == JobState::Running
                            || (job.state == JobState::Pending && job.due_at <= Clock::system().now())
                    });
                }
                if !busy {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        patiently("the agent to come to rest", quiet).await;
    }

    /// What was done for an object, once all is done.
    pub async fn story(&self, key: &ObjectKey) -> Story {
        self.rest().await;
        self.queue.story_of_object(key, 20).await.unwrap()
    }

    /// The source stands at what the repository shows, and the automation has run once.
    pub async fn settled(&self) {
        let head = self.head("master");
        self.until(&source(), |status| revision(status).ends_with(&head)).await;
        self.ready("True").await;
        self.rest().await;
    }

    pub fn head(&self, branch: &str) -> String {
        self.repository.head(branch).unwrap().unwrap()
    }

    pub fn text(&self, branch: &str, path: &str) -> String {
        self.repository.read(branch, path).unwrap().unwrap()
    }

    /// A commit as `git cat-file` shows it.
    pub fn commit(&self, id: &str) -> Commit {
        let repository = git2::Repository::open_bare(self.repository.path()).unwrap();
        let commit = repository.find_commit(git2::Oid::from_str(id).unwrap()).unwrap();
        let tree = commit.tree().unwrap();
        let parent = commit.parent(0).unwrap();
        let diff = repository.diff_tree_to_tree(Some(&parent.tree().unwrap()), Some(&tree), None).unwrap();
        Commit {
            parents: commit.parent_ids().map(|id| id.to_string()).collect(),
            message: commit.message().unwrap().to_owned(),
            author: format!("{} <{}>", commit.author().name().unwrap(), commit.author().email().unwrap()),
            committer: format!(
                "{} <{}>",
                commit.committer().name().unwrap(),
                commit.committer().email().unwrap()
            ),
            files: diff
                .deltas()
                .map(|delta| delta.new_file().path().unwrap().display().to_string())
                .collect(),
        }
    }

    /// How many commits a branch has.
    pub fn count(&self, branch: &str) -> usize {
        let repository = git2::Repository::open_bare(self.repository.path()).unwrap();
        let mut walk = repository.revwalk().unwrap();
        walk.push_ref(&format!("refs/heads/{branch}")).unwrap();
        walk.count()
    }

    /// Writes a hook that the git server runs.
    pub fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let hooks = self.repository.path().join("hooks");
        std::fs::create_dir_all(&hooks).unwrap();
        let path = hooks.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A setting of the served repository.
    pub fn configure(&self, name: &str, value: &str) {
        let repository = git2::Repository::open_bare(self.repository.path()).unwrap();
        repository.config().unwrap().set_str(name, value).unwrap();
    }
}

pub struct Commit {
    pub parents: Vec<String>,
    pub message: String,
    pub author: String,
    pub committer: String,
    pub files: Vec<String>,
}

pub fn condition(status: &Value, kind: &str) -> Value {
    let all = status["conditions"].as_array();
    all.and_then(|all| all.iter().find(|condition| condition["type"] == kind)).cloned().unwrap_or_default()
}

pub fn revision(status: &Value) -> String {
    status["artifact"]["revision"].as_str().unwrap_or_default().to_owned()
}
