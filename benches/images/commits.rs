//! What one commit costs when many policies and files are concerned.
//!
//! A git repository over HTTP (`git http-backend`), the agent in this process. The split comes from the agent's own store.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::app::{Agent, AgentOptions};
use sluice::demo::git_server::GitServer;
use sluice::demo::repository::{Change, DemoRepository};
use sluice::model::{Cause, CauseKind, Clock, Kind, ObjectKey};
use sluice::queue::{NewJob, Priority};
use tokio_util::sync::CancellationToken;

const POLICIES: usize = 200;
const FILES: usize = 2000;
const NS: &str = "apps";

/// 200 policies get a new image at once; their markers stand in 2,000 files of one repository.
pub(crate) async fn one_commit_of_many_policies(rounds: usize) {
    let dir = tempfile::TempDir::new().unwrap();
    let repository = DemoRepository::create(dir.path().join("git/app.git"), "main").unwrap();
    let files: Vec<(String, String)> = (0..FILES).map(file).collect();
    let changes: Vec<Change<'_>> =
        files.iter().map(|(path, text)| Change::Write(path, text.as_bytes())).collect();
    repository.commit("main", &changes, "Begin").unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/app.git", listener.local_addr().unwrap());
    let router = GitServer::new(dir.path().join("git")).router();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let manifests = dir.path().join("manifests");
    std::fs::create_dir_all(&manifests).unwrap();
    std::fs::write(manifests.join("all.yaml"), objects(&url)).unwrap();
    let agent = Agent::start(AgentOptions::new(manifests, dir.path().join("state"))).await.unwrap();
    let (objects, queue) = (agent.objects.clone(), agent.queue.clone());
    let stop = CancellationToken::new();
    let agent = tokio::spawn(agent.run(stop.clone().cancelled_owned()));
    let automation = ObjectKey::new(Kind::ImageUpdateAutomation, NS, "auto");
    let until = async |fits: &dyn Fn(&Value) -> bool| {
        let mut changes = objects.subscribe();
        while !fits(&objects.get(&automation).map(|it| it.status_json()).unwrap_or_default()) {
            changes.recv().await.ok();
        }
    };
    until(&|status| status["observedSourceRevision"].is_string()).await;
    let mut took = Vec::new();
    for round in 1..=rounds {
        let tag = format!("1.0.{round}");
        for number in 0..POLICIES {
            let key = ObjectKey::new(Kind::ImagePolicy, NS, format!("policy-{number}"));
            let object = objects.get(&key).unwrap();
            let mut status = object.status_json();
            status["latestRef"] = json!({"name": format!("reg.example/team/app-{number}"), "tag": tag});
            objects.patch_status(&key, &object.metadata().uid, status).await.unwrap();
        }
        let job = NewJob {
            object: automation.clone(),
            cause: Cause::of(CauseKind::Dependency),
            due_at: Clock::system().now(),
            payload: Value::Null,
            priority: Priority::Push,
        };
        let begun = Instant::now();
        queue.enqueue(vec![job]).await.unwrap();
        until(&|status| status["observedPolicies"]["policy-0"]["tag"] == tag.as_str()).await;
        took.push(begun.elapsed());
    }
    let head = repository.head("main").unwrap().unwrap();
    let commits = git2::Repository::open_bare(repository.path()).unwrap();
    let tree = commits.find_commit(git2::Oid::from_str(&head).unwrap()).unwrap();
    assert_eq!(tree.parent(0).unwrap().parent_count(), usize::from(rounds > 1), "one commit for each round");
    took.sort();
    println!("{POLICIES} policies, {FILES} files, one commit: {rounds} rounds");
    println!("  median {:?}, worst {:?}", took[rounds / 2], took[rounds - 1]);
    let story = queue.story_of_object(&automation, 50).await.unwrap();
    for step in ["fetch", "update", "commit", "push"] {
        let mut all: Vec<Duration> =
            story.steps.iter().filter(|found| found.step == step).map(|found| found.duration).collect();
        all.sort();
        if let Some(median) = all.get(all.len() / 2) {
            println!("  {step:<7} median {median:?}");
        }
    }
    stop.cancel();
    agent.await.unwrap().unwrap();
    server.abort();
}

/// A Deployment of about 2 KB with two images.
fn file(number: usize) -> (String, String) {
    let (one, two) = (number % POLICIES, (number * 7 + 3) % POLICIES);
    let mut text = format!(
        "# application {number}\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{number}\n  namespace: {NS}\nspec:\n  \
         replicas: 2\n  template:\n    spec:\n      containers:\n"
    );
    for (name, policy) in [("main", one), ("sidecar", two)] {
        text.push_str(&format!(
            "        - name: {name}\n          image: reg.example/team/app-{policy}:1.0.0 # {{\"$imagepolicy\": \"{NS}:policy-{policy}\"}}\n"
        ));
        for variable in 0..12 {
            text.push_str(&format!("          # setting {variable}\n"));
            text.push_str(&format!("          key-{variable}: \"value {variable} of {number}\"\n"));
        }
    }
    (format!("clusters/{}/app-{number}.yaml", number % 40), text)
}

fn objects(url: &str) -> String {
    let mut text = format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: repo, namespace: {NS}}}\n\
         spec: {{interval: 1h, url: \"{url}\", ref: {{branch: main}}}}\n---\n\
         apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\nmetadata: {{name: auto, namespace: {NS}}}\n\
         spec:\n  interval: 1h\n  sourceRef: {{kind: GitRepository, name: repo}}\n  \
         git: {{commit: {{author: {{email: bot@example.com, name: bot}}}}}}\n  update: {{path: clusters}}\n"
    );
    for number in 0..POLICIES {
        text.push_str(&format!(
            "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: policy-{number}, namespace: {NS}}}\n\
             spec: {{suspend: true, imageRepositoryRef: {{name: none}}, policy: {{semver: {{range: 1.x}}}}}}\n"
        ));
    }
    text
}
