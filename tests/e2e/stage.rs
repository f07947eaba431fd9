//! The agent between a git repository, the members and the chats.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use sluice::app::{Agent, AgentOptions};
use sluice::demo::forge::{Answered, Forge};
use sluice::demo::sink::{Message, Sink};
use sluice::demo::world::World;
use sluice::model::{Kind, ObjectKey};
use sluice::objects::Objects;
use sluice::queue::{Queue, Story};
use sluice::receiver::{ReceiverState, hook_path};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::{PATIENCE, patiently};
use crate::planes::{Member, Planes};
use crate::tools::Clone;

/// The namespace of every object on the host.
pub(crate) const NAMESPACE: &str = "gitops-project";

/// The chats; the last one takes signed events.
pub(crate) const CHATS: [&str; 5] = ["slack", "msteams", "discord", "rocket", "generic-hmac"];

/// What the signed chat's messages are signed with.
pub(crate) const CHAT_TOKEN: &str = "chat-token";

/// How a stage differs from the scenario as it is printed.
pub(crate) struct Setup {
    /// The members' namespace of the application.
    pub(crate) target: &'static str,
    /// The members' namespace of the releases.
    pub(crate) storage: &'static str,
    /// Whether the forge sends hooks.
    pub(crate) hooks: bool,
    /// Lines added to each release's spec.
    pub(crate) release_lines: &'static str,
    /// The interval of the source.
    pub(crate) interval: &'static str,
    /// Keys of the members' kubeconfigs in their Secrets.
    pub(crate) kubeconfig_keys: [&'static str; 2],
    /// How long a call to a member may take.
    pub(crate) call_deadline: Duration,
}

impl Setup {
    /// The scenario, in namespaces of a test's own.
    pub(crate) fn named(target: &'static str, storage: &'static str) -> Self {
        Self {
            target,
            storage,
            hooks: true,
            release_lines: "",
            interval: "1m0s",
            kubeconfig_keys: ["value.yaml"; 2],
            call_deadline: Duration::from_secs(30),
        }
    }

    /// Writes the manifests; messages go to `chat`.
    pub(crate) fn write(&self, world: &World, dir: &std::path::Path, chat: &str) {
        world.write_manifests(dir).unwrap();
        let edit = |file: String, change: &dyn Fn(String) -> String| {
            let path = dir.join(file);
            std::fs::write(&path, change(std::fs::read_to_string(&path).unwrap())).unwrap();
        };
        edit("git-repo.yaml".into(), &|text| {
            text.replace("interval: 1m0s", &format!("interval: {}", self.interval))
        });
        for number in [1, 2] {
            let key = self.kubeconfig_keys[number - 1];
            edit(format!("member{number}-kubeconfig.yaml"), &|text| {
                text.replace("  value.yaml: |", &format!("  {key}: |"))
            });
            edit(format!("member{number}-app.yaml"), &|text| {
                let mut text = text
                    .replace("targetNamespace: app", &format!("targetNamespace: {}", self.target))
                    .replace(
                        "storageNamespace: gitops-project",
                        &format!("storageNamespace: {}", self.storage),
                    )
                    .replace("spec:\n  storage", &format!("spec:\n{}  storage", self.release_lines));
                if !key.starts_with("value") {
                    let name = format!("name: member{number}-kubeconfig");
                    text = text.replace(&name, &format!("{name}\n      key: {key}"));
                }
                text
            });
        }
        std::fs::write(dir.join("chats.yaml"), chats(chat)).unwrap();
    }
}

/// A Provider and an Alert per chat, in the API version the scenario's time knew.
fn chats(url: &str) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: chat-token\n  namespace: {NAMESPACE}\nstringData:\n  token: {CHAT_TOKEN}\n"
    );
    for kind in CHATS {
        let secret = if kind == "generic-hmac" { "  secretRef:\n    name: chat-token\n" } else { "" };
        text.push_str(&format!(
            "---\napiVersion: notification.toolkit.fluxcd.io/v1beta1\nkind: Provider\nmetadata:\n  name: {kind}\n  namespace: {NAMESPACE}\nspec:\n  type: {kind}\n  channel: deployments\n  address: {url}/{kind}\n{secret}\
             ---\napiVersion: notification.toolkit.fluxcd.io/v1beta1\nkind: Alert\nmetadata:\n  name: {kind}\n  namespace: {NAMESPACE}\nspec:\n  providerRef:\n    name: {kind}\n  eventSeverity: info\n  eventSources:\n  - kind: GitRepository\n    name: git-repo\n  - kind: HelmRelease\n    name: '*'\n",
        ));
    }
    text
}

/// A running agent and everything around it.
pub(crate) struct Stage {
    pub(crate) planes: &'static Planes,
    pub(crate) setup: Setup,
    pub(crate) dir: TempDir,
    pub(crate) clone: Clone,
    pub(crate) git_url: String,
    pub(crate) objects: Objects,
    pub(crate) queue: Queue,
    pub(crate) receiver: ReceiverState,
    pub(crate) hook_url: String,
    pub(crate) token: String,
    answered: mpsc::Receiver<Answered>,
    chat: mpsc::Receiver<Message>,
    messages: Vec<Message>,
    stop: CancellationToken,
    agent: tokio::task::JoinHandle<anyhow::Result<()>>,
    servers: tokio::task::JoinSet<anyhow::Result<()>>,
}

impl Stage {
    pub(crate) async fn start(planes: &'static Planes, setup: Setup) -> Self {
        let dir = TempDir::new().unwrap();
        let stop = CancellationToken::new();
        let mut servers = tokio::task::JoinSet::new();
        let (sender, answered) = mpsc::channel(64);
        let (forge, tasks) = Forge::create(&dir.path().join("git"), 0, sender).await.unwrap();
        servers.spawn(tasks.run(stop.clone()));
        let (sink, chat_url, chat) = Sink::open().await.unwrap();
        servers.spawn(sink.run(stop.clone()));
        let token = uuid::Uuid::new_v4().simple().to_string();
        let world = World {
            git_url: forge.url.clone(),
            kubeconfigs: [planes.member(1).kubeconfig_text(), planes.member(2).kubeconfig_text()],
            hook_token: token.clone(),
            chat_url: None,
        };
        let manifests = dir.path().join("manifests");
        setup.write(&world, &manifests, &chat_url);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let path = hook_path(token.as_bytes(), "push", NAMESPACE);
        let hook_url = format!("http://{}{path}", listener.local_addr().unwrap());
        let mut options = AgentOptions::new(&manifests, dir.path().join("state"));
        options.hooks = Some(listener);
        options.clusters.call_deadline = setup.call_deadline;
        let agent = Agent::start(options).await.unwrap();
        let (objects, queue, receiver) = (agent.objects.clone(), agent.queue.clone(), agent.receiver.clone());
        let agent = tokio::spawn(agent.run(stop.clone().cancelled_owned()));
        if setup.hooks {
            forge.hook.set(&hook_url, &token);
        }
        let clone = Clone::of(&forge.url, &dir.path().join("clone")).await;
        Self {
            planes,
            setup,
            dir,
            clone,
            git_url: forge.url,
            objects,
            queue,
            receiver,
            hook_url,
            token,
            answered,
            chat,
            messages: Vec::new(),
            stop,
            agent,
            servers,
        }
    }

    /// Ends the agent; a task that failed fails the test.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        patiently("the agent to stop", self.agent).await.unwrap().unwrap();
        self.servers.shutdown().await;
    }

    pub(crate) fn manifest(&self, file: &str) -> PathBuf {
        self.dir.path().join("manifests").join(file)
    }

    pub(crate) fn member(&self, number: usize) -> &'static Member {
        self.planes.member(number)
    }

    /// The path of a kind's objects in the application's namespace.
    pub(crate) fn place(&self, kind: &str) -> String {
        let group = if kind == "deployments" { "/apis/apps/v1" } else { "/api/v1" };
        format!("{group}/namespaces/{}/{kind}", self.setup.target)
    }

    /// An object of the application on its member.
    pub(crate) async fn object(&self, member: usize, kind: &str) -> Value {
        let path = format!("{}/{}", self.place(kind), self.name(member));
        self.member(member).api.get(&path).await.expect(200)
    }

    /// Waits until an object of the application on its member fits.
    pub(crate) async fn object_until(
        &self,
        member: usize,
        kind: &str,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Value {
        self.member(member).api.until(&self.place(kind), &self.name(member), what, fits).await
    }

    /// The pods of the application on its member.
    pub(crate) async fn pods(&self, member: usize) -> Vec<Value> {
        let list = self.member(member).api.get(&self.place("pods")).await.expect(200);
        list["items"].as_array().unwrap().clone()
    }

    /// The name of a member's release.
    pub(crate) fn release(&self, member: usize) -> String {
        format!("{}-member{member}-app", self.setup.target)
    }

    /// The name of every object of a member's release.
    pub(crate) fn name(&self, member: usize) -> String {
        format!("hello-kubernetes-{}", self.release(member))
    }

    pub(crate) fn status(&self, key: &ObjectKey) -> Value {
        self.objects.get(key).map(|object| object.status_json()).unwrap_or_default()
    }

    /// Waits until an object's status fits, looking again at every change.
    pub(crate) async fn until(&self, key: &ObjectKey, fits: impl Fn(&Value) -> bool) -> Value {
        let mut changes = self.objects.subscribe();
        let wait = async {
            loop {
                let status = self.status(key);
                if fits(&status) {
                    return status;
                }
                changes.recv().await.ok();
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(status) => status,
            Err(_) => panic!("`{key}` did not get there: {:#}", self.status(key)),
        }
    }

    pub(crate) async fn ready(&self, key: &ObjectKey) -> Value {
        self.until(key, |status| condition(status, "Ready")["status"] == "True").await
    }

    /// Waits until a member's release is at this Helm revision, deployed and ready.
    pub(crate) async fn version(&self, member: usize, version: i64) -> Value {
        self.until(&app(member), |status| {
            let head = &status["history"][0];
            head["version"] == version
                && head["status"] == "deployed"
                && condition(status, "Ready")["status"] == "True"
        })
        .await
    }

    /// The forge's next hook that was answered.
    pub(crate) async fn hook_answered(&mut self) -> Answered {
        patiently("the forge's hook to be answered", self.answered.recv()).await.unwrap()
    }

    /// Waits for a message in a chat that fits.
    pub(crate) async fn message(
        &mut self,
        chat: &str,
        what: &str,
        fits: impl Fn(&Message) -> bool,
    ) -> Message {
        let path = if chat == "discord" { "/discord/slack".to_owned() } else { format!("/{chat}") };
        let fits = |message: &Message| message.path == path && fits(message);
        let messages = &mut self.messages;
        let chat_messages = &mut self.chat;
        let wait = async {
            if let Some(found) = messages.iter().find(|message| fits(message)) {
                return found.clone();
            }
            loop {
                let message = chat_messages.recv().await.unwrap();
                messages.push(message.clone());
                if fits(&message) {
                    return message;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(message) => message,
            Err(_) => {
                let seen: Vec<String> = self
                    .messages
                    .iter()
                    .map(|message| format!("{} {}", message.path, message.body))
                    .collect();
                panic!("waited in vain for a message in {chat} {what}; there were:\n{}", seen.join("\n"))
            }
        }
    }

    /// The story of a commit once it fits; looked at again as jobs end.
    pub(crate) async fn story(&self, commit: &str, what: &str, fits: impl Fn(&Story) -> bool) -> Story {
        let wait = async {
            loop {
                let story = self.queue.story_of_commit(commit).await.unwrap();
                if fits(&story) {
                    return story;
                }
                self.queue.wait().await;
            }
        };
        patiently(what, wait).await
    }
}

/// The key of a member's HelmRelease.
pub(crate) fn app(member: usize) -> ObjectKey {
    ObjectKey::new(Kind::HelmRelease, NAMESPACE, format!("member{member}-app"))
}

/// The key of the GitRepository.
pub(crate) fn source() -> ObjectKey {
    ObjectKey::new(Kind::GitRepository, NAMESPACE, "git-repo")
}

/// A condition of a status.
pub(crate) fn condition(status: &Value, kind: &str) -> Value {
    let all = status["conditions"].as_array().into_iter().flatten();
    all.into_iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}
