//! A push: from its signed hook to the changed Deployment on both members, as somebody sees it who watches the members.
//! First pushes to git, then pushed images, whose way leads through a commit of our own.
//!
//! Two real control planes (`TESTCLUSTER`), a git repository over HTTP, the agent as a process of its own. Deployments
//! have no replicas, so that no pods are started. The split comes from the agent's own store.
//!
//!     scripts/bench-push [--pushes 100] [--images 50]

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../tests/contract/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../tests/e2e/planes.rs"]
#[allow(dead_code)]
mod planes;
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use planes::Planes;
use sluice::demo::forge::{Forge, push_body, signature};
use sluice::demo::registry::{self, Registry};
use sluice::demo::repository::Change;
use sluice::demo::world::{Images, World};
use sluice::model::Clock;
use sluice::queue::{Queue, QueueSettings};
use sluice::receiver::hook_path;
use support::{AgentProcess, Figures, argument, load};
use tokio::sync::mpsc;

const TOKEN: &str = "bench-token";
const IMAGE_TOKEN: &str = "image-bench-token";
const IMAGE: &str = "nuclearwu/hello-kubernetes";
const VALUES: &str = "helm-chart/values.yaml";

/// Reports when a member's Deployment first carries an image.
async fn watch(member: usize, planes: &'static Planes, seen: mpsc::Sender<(usize, String, Instant)>) {
    let path = "/apis/apps/v1/namespaces/app/deployments?watch=true";
    loop {
        let mut watch = planes.member(member).api.watch(path).await;
        while let Some(event) = watch.next().await {
            let at = Instant::now();
            let container = &event["object"]["spec"]["template"]["spec"]["containers"][0];
            let image = container["image"].as_str().unwrap_or_default().to_owned();
            if seen.send((member, image, at)).await.is_err() {
                return;
            }
        }
    }
}

async fn both_carry(seen: &mut mpsc::Receiver<(usize, String, Instant)>, tag: &str) -> [Instant; 2] {
    let mut first = [None, None];
    let wait = async {
        while first.contains(&None) {
            let (member, image, at) = seen.recv().await.unwrap();
            if image.ends_with(&format!(":{tag}")) {
                first[member - 1].get_or_insert(at);
            }
        }
    };
    client::patiently("both members to carry the change", wait).await;
    [first[0].unwrap(), first[1].unwrap()]
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let pushes = argument("pushes", 100);
    let planes = Planes::shared();
    let dir = tempfile::TempDir::new().unwrap();
    let (sender, _answers) = mpsc::channel(1);
    let (forge, tasks) = Forge::create(&dir.path().join("git"), 0, sender).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let git = tokio::spawn(tasks.run(stop.clone()));
    for member in [1, 2] {
        let path = format!("helm-chart/member{member}-values.yaml");
        edit(&forge, &path, "replicaCount: 1", "replicaCount: 0");
    }
    edit(&forge, VALUES, "tag: \"\"", "tag: \"0\"");
    let manifests = dir.path().join("manifests");
    let world = World {
        git_url: forge.url.clone(),
        kubeconfigs: [planes.member(1).kubeconfig_text(), planes.member(2).kubeconfig_text()],
        hook_token: TOKEN.into(),
        chat_url: None,
    };
    world.write_manifests(&manifests).unwrap();
    let state = dir.path().join("state");
    let agent = AgentProcess::start(&manifests, &state);
    let (sender, mut seen) = mpsc::channel(1024);
    let mut watches = tokio::task::JoinSet::new();
    for member in [1, 2] {
        watches.spawn(watch(member, planes, sender.clone()));
    }
    both_carry(&mut seen, "0").await;
    let hook = format!("http://{}{}", agent.listen, hook_path(TOKEN.as_bytes(), "push", "gitops-project"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();

    println!("load before: {}", load());
    let (mut answered, mut each, mut last) = (Vec::new(), Vec::new(), Vec::new());
    let mut commits = Vec::new();
    let warm = 5;
    for number in 1..=pushes + warm {
        // The releases of the push before are recorded meanwhile, as they are between a person's pushes.
        tokio::time::sleep(Duration::from_millis(400)).await;
        let tag = number.to_string();
        let commit = edit(&forge, VALUES, &format!("tag: \"{}\"", number - 1), &format!("tag: \"{tag}\""));
        let body = push_body(&forge.url, "refs/heads/master", &commit, &commit);
        let request = http
            .post(&hook)
            .header("Content-Type", "application/json")
            .header("X-GitHub-Event", "push")
            .header("X-GitHub-Delivery", uuid::Uuid::new_v4().to_string())
            .header("X-Hub-Signature-256", signature(TOKEN, &body))
            .body(body);
        let clock = Instant::now();
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let took = clock.elapsed();
        let arrived = both_carry(&mut seen, &tag).await;
        if number > warm {
            answered.push(took);
            each.extend(arrived.map(|at| at - clock));
            last.push(*arrived.iter().max().unwrap() - clock);
            commits.push(commit);
        }
    }
    println!("hook sent to answered: {}", Figures::of(answered));
    println!("hook sent to one member's Deployment changed: {}", Figures::of(each));
    println!("hook sent to both members' Deployments changed: {}", Figures::of(last));
    let image_commits = images(&world, &manifests, &agent, &forge, &mut seen).await;
    println!("memory at most: {:.0} MB, load after: {}", agent.peak_memory(), load());
    agent.kill();
    println!("where the time of pushes to git went:");
    split(&state, &commits).await;
    println!("where the time of pushed images went:");
    split(&state, &image_commits).await;
    watches.shutdown().await;
    stop.cancel();
    git.await.unwrap().unwrap();
}

/// Pushes images and sends the registry's hook for each; the automation's commits come back.
async fn images(
    world: &World,
    manifests: &std::path::Path,
    agent: &AgentProcess,
    forge: &Forge,
    seen: &mut mpsc::Receiver<(usize, String, Instant)>,
) -> Vec<String> {
    let (count, warm) = (argument("images", 50), 5);
    if count == 0 {
        return Vec::new();
    }
    let (sender, _answers) = mpsc::channel(1);
    // The registry sends no hooks itself: each is sent, and timed, from here.
    let (registry, tasks) = Registry::create(0, sender).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let serving = tokio::spawn(tasks.run(stop.clone()));
    let pushed = registry.push(IMAGE, "1.0.0").await.unwrap();
    edit(
        forge,
        VALUES,
        &format!("repository: \"{IMAGE}\""),
        &format!("repository: \"{}/{IMAGE}\"", registry.host),
    );
    let images = Images { image: format!("{}/{IMAGE}", registry.host), hook_token: IMAGE_TOKEN.into() };
    world.write_image_manifests(&images, manifests).unwrap();
    both_carry(seen, "1.0.0").await;
    drop(pushed);

    let path = hook_path(IMAGE_TOKEN.as_bytes(), "image-push", "gitops-project");
    let hook = format!("http://{}{path}", agent.listen);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut each, mut last, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=count + warm {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let tag = format!("1.0.{number}");
        let pushed = registry.push(IMAGE, &tag).await.unwrap();
        let body = registry::hook_body(&registry.host, IMAGE, &tag, &pushed.digest);
        let request = http.post(&hook).header("Content-Type", "application/json");
        let clock = Instant::now();
        let answer = request.header("Authorization", IMAGE_TOKEN).body(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let arrived = both_carry(seen, &tag).await;
        if number > warm {
            each.extend(arrived.map(|at| at - clock));
            last.push(*arrived.iter().max().unwrap() - clock);
            commits.push(forge.repository.head("master").unwrap().unwrap());
        }
    }
    println!("image hook sent to one member's Deployment changed: {}", Figures::of(each));
    println!("image hook sent to both members' Deployments changed: {}", Figures::of(last));
    stop.cancel();
    serving.await.unwrap().unwrap();
    commits
}

fn edit(forge: &Forge, path: &str, from: &str, to: &str) -> String {
    let text = forge.repository.read("master", path).unwrap().unwrap();
    assert!(text.contains(from), "`{from}` is not in {path}");
    let text = text.replace(from, to);
    forge.repository.commit("master", &[Change::Write(path, text.as_bytes())], "Change it").unwrap()
}

/// Where the time went, from the stories of the pushes.
async fn split(state: &std::path::Path, commits: &[String]) {
    let (queue, writer) = Queue::open(state, QueueSettings::default(), Clock::system()).await.unwrap();
    let writing = tokio::spawn(writer.run());
    let mut parts: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for commit in commits {
        let story = queue.story_of_commit(commit).await.unwrap();
        let Some(delivery) = story.deliveries.first() else { continue };
        let since = |at: sluice::model::Timestamp| {
            Duration::try_from(at.duration_since(delivery.received_at)).unwrap_or_default()
        };
        parts.entry("0 stored, since received".into()).or_default().push(since(delivery.stored_at));
        for step in &story.steps {
            parts.entry(format!("1 {} takes", step.step)).or_default().push(step.duration);
            if ["fetch", "history", "announce", "push", "apply"].contains(&step.step.as_str()) {
                let begins = since(step.started_at);
                parts.entry(format!("2 {} begins, since received", step.step)).or_default().push(begins);
                parts
                    .entry(format!("2 {} ends, since received", step.step))
                    .or_default()
                    .push(begins + step.duration);
            }
        }
    }
    for (name, all) in parts {
        println!("  {}: {}", &name[2..], Figures::of(all));
    }
    queue.close().await.unwrap();
    writing.await.unwrap().unwrap();
}
