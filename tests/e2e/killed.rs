//! F2: the agent itself, as a process, is killed with SIGKILL again and again while pushes come in.

use std::time::Duration;

use serde_json::Value;
use sluice::demo::forge::Forge;
use sluice::demo::sink::Sink;
use sluice::demo::world::World;
use sluice::receiver::hook_path;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::client::patiently;
use crate::planes;
use crate::process::AgentProcess;
use crate::stage::{NAMESPACE, Setup};
use crate::tools::{Clone, helm_json};

const KILLS: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn f2_an_agent_that_is_killed_again_and_again_loses_nothing() {
    let Some(planes) = planes() else { return };
    let setup = Setup::named("survivor", "survivor-releases");
    let dir = TempDir::new().unwrap();
    let stop = CancellationToken::new();
    let mut servers = tokio::task::JoinSet::new();
    let (sender, mut answered) = tokio::sync::mpsc::channel(64);
    let (forge, tasks) = Forge::create(&dir.path().join("git"), 0, sender).await.unwrap();
    servers.spawn(tasks.run(stop.clone()));
    let (sink, chat_url, mut chat) = Sink::open().await.unwrap();
    servers.spawn(sink.run(stop.clone()));
    let token = "killed-token";
    let world = World {
        git_url: forge.url.clone(),
        kubeconfigs: [planes.member(1).kubeconfig_text(), planes.member(2).kubeconfig_text()],
        hook_token: token.into(),
        chat_url: None,
    };
    let manifests = dir.path().join("manifests");
    setup.write(&world, &manifests, &chat_url);
    let mut agent = AgentProcess::start(&manifests, &dir.path().join("state"));
    let path = hook_path(token.as_bytes(), "push", NAMESPACE);
    forge.hook.set(format!("http://{}{path}", agent.listen), token);
    let clone = Clone::of(&forge.url, &dir.path().join("clone")).await;

    // A push every few kills; its hook may meet a dead agent, and then only the next push or the start finds it.
    let mut version = 0;
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if kill % 3 == 0 {
            let (from, to) = (format!("port: {}\n", 80 + version), format!("port: {}\n", 81 + version));
            clone.change("helm-chart/values.yaml", &from, &to).await;
            version += 1;
        }
        tokio::task::block_in_place(|| agent.kill_and_restart());
    }
    let last =
        clone.change("helm-chart/values.yaml", &format!("port: {}\n", 80 + version), "port: 8000\n").await;
    let revision = format!("1.0.0+{}.1", &last[..12]);
    patiently("the last hook to be accepted", async {
        while answered.recv().await.is_some_and(|hook| hook.commit != last || hook.status != 200) {}
    })
    .await;
    for number in [1, 2] {
        let member = planes.member(number);
        let release = format!("survivor-member{number}-app");
        let services = "/api/v1/namespaces/survivor/services";
        let name = format!("hello-kubernetes-{release}");
        let arrived = |service: &Value| service["spec"]["ports"][0]["port"] == 8000;
        member.api.until(services, &name, "the last push is there", arrived).await;
        // Helm's record is written last; it is the newest one and not pending.
        let secrets = "/api/v1/namespaces/survivor-releases/secrets";
        let list = member.api.get(&format!("{secrets}?labelSelector=owner%3Dhelm")).await.expect(200);
        let newest = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|secret| secret["metadata"]["labels"]["version"].as_str().unwrap().parse::<u32>().unwrap())
            .max()
            .unwrap();
        let record = format!("sh.helm.release.v1.{release}.v{newest}");
        let deployed = |secret: &Value| secret["metadata"]["labels"]["status"] == "deployed";
        member.api.until(secrets, &record, "the last release is recorded", deployed).await;
        let history = helm_json(member, "survivor-releases", &["history", &release]).await;
        let lines = history.as_array().unwrap();
        assert_eq!(lines.last().unwrap()["chart"], format!("hello-kubernetes-{revision}"), "{history}");
        let deployed = lines.iter().filter(|line| line["status"] == "deployed").count();
        let pending = lines.iter().any(|line| line["status"].as_str().unwrap().starts_with("pending"));
        assert!(deployed == 1 && !pending, "{history}");
        eprintln!("member{number} after {KILLS} kills: {} revisions", lines.len());
    }
    // At least once, each chat has heard of the last push.
    let mut told = std::collections::BTreeSet::new();
    patiently("messages about the last push", async {
        while told.len() < 5 {
            let message = chat.recv().await.unwrap();
            if message.body.to_string().contains(&revision) {
                told.insert(message.path);
            }
        }
    })
    .await;
    agent.kill();
    servers.shutdown().await;
}
