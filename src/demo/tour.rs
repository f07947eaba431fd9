//! `sluice demo`: the whole small world in one process, served for a person to play with, or shown step by step.

mod images;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube_sim::{ClusterHandle, Fault, Simulator};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::forge::{Answered, Forge, signature};
use super::registry::{ImageAnswered, Registry};
use super::sink::{Message, Sink};
use super::world::{Images, World};
use crate::app::{Agent, AgentOptions};
use crate::cluster::{Cluster, ClusterIdentity, ObjectId, SecretBytes};
use crate::model::{Kind, ObjectKey};
use crate::objects::Objects;
use crate::receiver::hook_path;

/// The namespace of every object of the demonstration.
const NAMESPACE: &str = "gitops-project";

/// The image of the chart, by its path in a registry.
const IMAGE: &str = "nuclearwu/hello-kubernetes";

/// How long the tour waits for anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// What `sluice demo` is asked to do.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// Play the steps and exit.
    pub tour: bool,
    /// Kubeconfigs of two real clusters; empty for simulated ones.
    pub kubeconfigs: Vec<PathBuf>,
    /// The port of webhooks; 0 for any.
    pub hook_port: u16,
    /// The port of the git repository; 0 for any.
    pub git_port: u16,
    /// The port of the image registry; 0 for any.
    pub registry_port: u16,
    /// Where everything is kept; a fresh temporary directory without it.
    pub dir: Option<PathBuf>,
    /// How this program is called in the commands that are shown.
    pub program: String,
}

/// Where the demonstration's agent is found.
#[derive(Debug, Clone)]
pub struct Whereabouts {
    /// Its state directory.
    pub state: PathBuf,
    /// Where its webhooks arrive.
    pub hooks: std::net::SocketAddr,
}

struct Stage {
    world: World,
    forge: Forge,
    registry: Registry,
    images: Images,
    objects: Objects,
    members: [Cluster; 2],
    simulated: Option<[ClusterHandle; 2]>,
    hook_url: String,
    image_hook_url: String,
    token: String,
    answered: mpsc::Receiver<Answered>,
    image_answered: mpsc::Receiver<ImageAnswered>,
    chat: mpsc::Receiver<Message>,
    manifests: PathBuf,
    state: PathBuf,
    program: String,
}

fn say(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    // A closed pipe ends the showing, not the serving.
    writeln!(out, "{}", text.as_ref()).ok();
}

/// Runs the demonstration. `attach` adds to the agent whatever the command line serves besides (its API).
///
/// # Errors
/// When the world cannot be set up, or a step of the tour does not come out as it should.
pub async fn run(
    options: DemoOptions,
    attach: impl AsyncFnOnce(&mut Agent, Whereabouts) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let temporary;
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => {
            temporary = scratch()?;
            temporary.0.clone()
        }
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("failed to create `{}`", dir.display()))?;
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();

    let (kubeconfigs, simulated) = members(&options, &stop, &mut tasks).await?;
    let (answered_sender, answered) = mpsc::channel(64);
    let (forge, forge_tasks) = Forge::create(&dir.join("git"), options.git_port, answered_sender).await?;
    tasks.spawn(forge_tasks.run(stop.clone()));
    let (image_sender, image_answered) = mpsc::channel(64);
    let (registry, registry_tasks) = Registry::create(options.registry_port, image_sender).await?;
    tasks.spawn(registry_tasks.run(stop.clone()));
    let (sink, chat_url, chat) = Sink::open().await.context("failed to open a port for the chat")?;
    tasks.spawn(sink.run(stop.clone()));

    let hooks = TcpListener::bind(("127.0.0.1", options.hook_port))
        .await
        .with_context(|| format!("failed to open port {} for webhooks", options.hook_port))?;
    let token = uuid::Uuid::new_v4().simple().to_string();
    let images = Images {
        image: format!("{}/{IMAGE}", registry.host),
        hook_token: uuid::Uuid::new_v4().simple().to_string(),
    };
    let hooks_at = hooks.local_addr()?;
    let hook_url = format!("http://{hooks_at}{}", hook_path(token.as_bytes(), "push", NAMESPACE));
    let image_path = hook_path(images.hook_token.as_bytes(), "image-push", NAMESPACE);
    let image_hook_url = format!("http://{hooks_at}{image_path}");
    let manifests = dir.join("manifests");
    let state = dir.join("state");
    let world = World {
        git_url: forge.url.clone(),
        kubeconfigs: kubeconfigs.clone(),
        hook_token: token.clone(),
        chat_url: Some(chat_url),
    };
    world
        .write_manifests(&manifests)
        .with_context(|| format!("failed to write manifests to `{}`", manifests.display()))?;

    let mut agent_options = AgentOptions::new(&manifests, &state);
    agent_options.hooks = Some(hooks);
    let mut agent = Agent::start(agent_options).await?;
    attach(&mut agent, Whereabouts { state: state.clone(), hooks: hooks_at }).await?;
    forge.hook.set(&hook_url, &token);
    let member = |number: usize| {
        let identity = ClusterIdentity {
            object: format!("member{} of the demonstration", number + 1),
            impersonate: None,
        };
        agent
            .clusters
            .connect(&SecretBytes::from(kubeconfigs[number].clone().into_bytes()), identity)
            .map_err(anyhow::Error::from)
    };
    let mut stage = Stage {
        world,
        forge,
        registry,
        images,
        objects: agent.objects.clone(),
        members: [member(0)?, member(1)?],
        simulated,
        hook_url,
        image_hook_url,
        token,
        answered,
        image_answered,
        chat,
        manifests,
        state,
        program: options.program.clone(),
    };
    let finished = CancellationToken::new();
    let running = agent.run(finished.clone().cancelled_owned());
    let showing = async {
        stage.introduce(options.tour).await?;
        if options.tour { stage.tour().await } else { stage.serve().await }
    };
    let outcome = {
        let mut running = std::pin::pin!(running);
        let mut showing = std::pin::pin!(showing);
        tokio::select! {
            shown = &mut showing => {
                finished.cancel();
                let ran = running.await;
                shown.and(ran)
            }
            ran = &mut running => ran.and_then(|()| Err(anyhow::anyhow!("the agent stopped by itself"))),
        }
    };
    stop.cancel();
    tasks.shutdown().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Kubeconfigs of the two members, and the simulated clusters where there are any.
async fn members(
    options: &DemoOptions,
    stop: &CancellationToken,
    tasks: &mut tokio::task::JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<([String; 2], Option<[ClusterHandle; 2]>)> {
    match options.kubeconfigs.as_slice() {
        [] => {
            let simulator = Simulator::bind(([127, 0, 0, 1], 0).into()).await?;
            let handles = [simulator.add_cluster("member1"), simulator.add_cluster("member2")];
            let stop = stop.clone();
            tasks.spawn(async move {
                simulator.run(stop).await;
                Ok(())
            });
            Ok(([handles[0].kubeconfig(), handles[1].kubeconfig()], Some(handles)))
        }
        [one, two] => {
            let read = |path: &PathBuf| {
                std::fs::read_to_string(path)
                    .with_context(|| format!("failed to read the kubeconfig `{}`", path.display()))
            };
            Ok(([read(one)?, read(two)?], None))
        }
        other => anyhow::bail!(
            "the demonstration has two members, {} kubeconfigs were given\nhint: --kubeconfig A --kubeconfig B",
            other.len()
        ),
    }
}

/// A directory that goes when the demonstration ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn scratch() -> anyhow::Result<Scratch> {
    let dir = std::env::temp_dir().join(format!("sluice-demo-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("failed to create `{}`", dir.display()))?;
    Ok(Scratch(dir))
}

fn release(member: usize) -> ObjectKey {
    ObjectKey::new(Kind::HelmRelease, NAMESPACE, format!("member{member}-app"))
}

fn condition<'s>(status: &'s Value, kind: &str) -> Option<&'s Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

impl Stage {
    fn status(&self, key: &ObjectKey) -> Value {
        self.objects.get(key).map(|object| object.status_json()).unwrap_or_default()
    }

    /// Waits until a status fits, looking again at each change.
    async fn until(&self, key: &ObjectKey, what: &str, fits: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let mut changes = self.objects.subscribe();
        let wait = async {
            while !fits(&self.status(key)) {
                changes.recv().await.ok();
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            let message = condition(&self.status(key), "Ready")
                .and_then(|ready| ready["message"].as_str().map(str::to_owned))
                .unwrap_or_else(|| "no status yet".to_owned());
            anyhow::bail!("`{key}` is not {what} after {PATIENCE:?}: {message}");
        }
        Ok(())
    }

    async fn at_version(&self, member: usize, version: i64) -> anyhow::Result<()> {
        self.until(&release(member), &format!("at revision {version}"), |status| {
            status["history"][0]["version"] == version && status["history"][0]["status"] == "deployed"
        })
        .await
    }

    async fn live(&self, member: usize, api_version: &str, kind: &str) -> anyhow::Result<Value> {
        let name = format!("hello-kubernetes-app-member{member}-app");
        let id = ObjectId::new(api_version, kind, "app", &name);
        let found = self.members[member - 1].get(&id).await?;
        found.with_context(|| format!("member{member} has no {kind} `app/{name}`"))
    }

    /// What the members run, one line each.
    async fn show_members(&self) -> anyhow::Result<()> {
        for member in [1, 2] {
            let service = self.live(member, "v1", "Service").await?;
            let deployment = self.live(member, "apps/v1", "Deployment").await?;
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            say(format!(
                "    member{member}  service {:<9}  replicas {}  image {:<6}  message {:?}  release v{}",
                text(&service["spec"]["type"]),
                deployment["spec"]["replicas"],
                text(&container["image"]).rsplit(':').next().unwrap_or_default(),
                text(&container["env"][0]["value"]),
                self.status(&release(member))["history"][0]["version"],
            ));
        }
        Ok(())
    }

    async fn introduce(&mut self, tour: bool) -> anyhow::Result<()> {
        let clusters = if self.simulated.is_some() {
            "two simulated API servers in this process (real ones: `scripts/demo --clusters real`, or --kubeconfig)"
        } else {
            "the two clusters of your kubeconfigs"
        };
        say("A small world in one process:");
        say(format!("  git repository   {}", self.forge.url));
        say(format!("  image registry   {}", self.registry.url()));
        say(format!("  webhook          {}", self.hook_url));
        say(format!("  member clusters  {clusters}"));
        say(format!("  manifests        {}", self.manifests.display()));
        say(format!("  state            {}", self.state.display()));
        say("");
        say("► first delivery: GitRepository `git-repo`, HelmReleases `member1-app` and `member2-app`");
        let clock = Instant::now();
        for member in [1, 2] {
            self.until(&release(member), "ready", |status| {
                condition(status, "Ready").is_some_and(|ready| ready["status"] == "True")
            })
            .await?;
        }
        say(format!("✔ both members run the chart, {} ms after the start", clock.elapsed().as_millis()));
        self.show_members().await?;
        say("");
        if !tour {
            self.automate_images().await?;
            let program = &self.program;
            let state = self.state.display();
            say("Try, in another terminal:");
            say(format!("  git clone {} /tmp/hello && cd /tmp/hello", self.forge.url));
            say("  sed -i 's/type: ClusterIP/type: NodePort/' helm-chart/values.yaml");
            say("  git commit -am 'Open the service' && git push");
            say("  # a new tag, as a registry gets it from `docker push` (here: the same image again):");
            say(self.retag_command("1.0.1"));
            say(format!("  {program} --state {state} get helmreleases"));
            say(format!("  {program} --state {state} get images all"));
            say(format!("  {program} --state {state} deliveries list"));
            say(format!("  {program} --state {state} explain HelmRelease/{NAMESPACE}/member1-app"));
            let body = r#"{"ref":"refs/heads/master"}"#;
            say("  # a delivery that cannot prove where it comes from is refused:");
            say(format!("  curl -i -X POST -H 'X-GitHub-Event: push' -d '{body}' {}", self.hook_url));
            say("");
            say("Pushes, hooks and messages appear here; Ctrl-C ends it all.");
        }
        Ok(())
    }

    /// Shows what happens until somebody presses Ctrl-C.
    async fn serve(&mut self) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                pressed = tokio::signal::ctrl_c() => {
                    pressed.context("failed to listen for Ctrl-C")?;
                    return Ok(());
                }
                Some(answer) = self.answered.recv() => say(describe(&answer)),
                Some(answer) = self.image_answered.recv() => say(images::describe(&answer)),
                Some(message) = self.chat.recv() => say(format!("  chat ← {}", first_line(message.text()))),
            }
            std::io::stdout().lock().flush().ok();
        }
    }

    /// Edits a file of the repository the way a person does: clone, change, commit, push.
    async fn push(
        &mut self,
        path: &str,
        from: &str,
        to: &str,
        subject: &str,
    ) -> anyhow::Result<(Answered, Instant)> {
        let url = self.forge.url.clone();
        let work = self.manifests.with_file_name("work");
        let (path, from, to, subject) = (path.to_owned(), from.to_owned(), to.to_owned(), subject.to_owned());
        let pushed_at = {
            let git = |arguments: Vec<String>| {
                let work = work.clone();
                async move {
                    let output = tokio::process::Command::new("git")
                        .args(&arguments)
                        .current_dir(work)
                        .stdin(Stdio::null())
                        .env("GIT_TERMINAL_PROMPT", "0")
                        .output()
                        .await
                        .context("failed to run `git`\nhint: the demonstration pushes with the real git; install it")?;
                    anyhow::ensure!(
                        output.status.success(),
                        "`git {}` failed: {}",
                        arguments.join(" "),
                        String::from_utf8_lossy(&output.stderr).trim()
                    );
                    anyhow::Ok(())
                }
            };
            let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
            if !work.join(".git").exists() {
                std::fs::create_dir_all(&work)?;
                let mut clone = words("clone --quiet");
                clone.extend([url, ".".to_owned()]);
                git(clone).await?;
            }
            // The automation commits, too.
            git(words("pull --quiet --ff-only origin master")).await?;
            let file = work.join(&path);
            let text = std::fs::read_to_string(&file)?;
            anyhow::ensure!(text.contains(&from), "`{path}` has no `{from}`");
            std::fs::write(&file, text.replacen(&from, &to, 1))?;
            let mut commit = words("-c user.name=demo -c user.email=demo@example.com commit --quiet -a -m");
            commit.push(subject);
            git(commit).await?;
            let pushed_at = Instant::now();
            git(words("push --quiet origin master")).await?;
            pushed_at
        };
        let head = self.forge.repository.head("master")?.unwrap_or_default();
        Ok((self.answer_for(&head).await?, pushed_at))
    }

    /// The forge's hook for this commit; hooks for others, such as the automation's, are passed over.
    async fn answer_for(&mut self, commit: &str) -> anyhow::Result<Answered> {
        let answered = &mut self.answered;
        let wait = async {
            loop {
                match answered.recv().await {
                    Some(answer) if answer.commit == commit => return Some(answer),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.ok().flatten().context("the forge sent no hook")
    }

    async fn tour(&mut self) -> anyhow::Result<()> {
        say("► step 4: push `service.type: NodePort` in values.yaml, which both members share");
        let values = "helm-chart/values.yaml";
        let (answer, pushed) =
            self.push(values, "type: ClusterIP", "type: NodePort", "Open the service").await?;
        say(describe(&answer));
        for member in [1, 2] {
            self.at_version(member, 2).await?;
        }
        say(format!(
            "✔ both releases at revision 2, {} ms after `git push` began",
            pushed.elapsed().as_millis()
        ));
        self.show_members().await?;

        say("► step 5: push `deployment.replicaCount: 2` in member1-values.yaml, which only member1 reads");
        let own = "helm-chart/member1-values.yaml";
        let (answer, pushed) =
            self.push(own, "replicaCount: 1", "replicaCount: 2", "Two for member1").await?;
        say(describe(&answer));
        for member in [1, 2] {
            self.at_version(member, 3).await?;
        }
        say(format!(
            "✔ member1 changed, member2 only has the new chart revision on record, {} ms",
            pushed.elapsed().as_millis()
        ));
        self.show_members().await?;

        self.automate_images().await?;
        self.push_an_image().await?;

        say("► step 11: deliveries that must do nothing");
        self.deliveries_that_do_nothing().await?;

        say("► step 12: a push while member2 is down");
        if let Some(simulated) = self.simulated.clone() {
            self.push_with_member2_down(&simulated[1], values).await?;
        } else {
            say("  left out: real clusters are not taken down by a demonstration");
        }
        say("");
        say("Messages the chat received:");
        while let Ok(message) = self.chat.try_recv() {
            say(format!("  chat ← {}", first_line(message.text())));
        }
        say("✔ the tour is over");
        Ok(())
    }

    async fn deliveries_that_do_nothing(&self) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        let head = self.forge.repository.head("master")?.unwrap_or_default();
        let other = super::forge::push_body(&self.forge.url, "refs/heads/other", &head, &head);
        let good = super::forge::push_body(&self.forge.url, "refs/heads/master", &head, &head);
        let post = async |event: &str, id: &str, body: Vec<u8>, token: &str| -> anyhow::Result<u16> {
            let signature = signature(token, &body);
            let answer = client
                .post(&self.hook_url)
                .header("Content-Type", "application/json")
                .header("X-GitHub-Event", event)
                .header("X-GitHub-Delivery", id)
                .header("X-Hub-Signature-256", signature)
                .body(body)
                .send()
                .await
                .context("failed to send a delivery")?;
            Ok(answer.status().as_u16())
        };
        let large = vec![b' '; 26 << 20];
        let cases: [(&str, u16, u16); 6] = [
            ("wrong signature", post("push", "tour-1", good.clone(), "not the token").await?, 401),
            ("event nobody asked for", post("star", "tour-2", b"{}".to_vec(), &self.token).await?, 200),
            ("another branch", post("push", "tour-3", other, &self.token).await?, 200),
            ("a push", post("push", "tour-4", good.clone(), &self.token).await?, 200),
            ("the same delivery again", post("push", "tour-4", good, &self.token).await?, 200),
            ("a body of 26 MiB", post("push", "tour-5", large, &self.token).await.unwrap_or(413), 413),
        ];
        for (what, status, expected) in cases {
            let mark = if status == expected { "✔" } else { "✗" };
            say(format!("  {mark} {what:<26} {status}"));
            anyhow::ensure!(status == expected, "{what}: answered {status} instead of {expected}");
        }
        Ok(())
    }

    async fn push_with_member2_down(&mut self, member2: &ClusterHandle, values: &str) -> anyhow::Result<()> {
        let before = self.status(&release(1))["history"][0]["version"].as_i64().unwrap_or(0);
        member2.set_fault(Some(Fault::Cut));
        let (answer, pushed) = self.push(values, "port: 80\n", "port: 8080\n", "Another port").await?;
        say(describe(&answer));
        self.at_version(1, before + 1).await?;
        say(format!("  ✔ member1 is served at the same speed: {} ms", pushed.elapsed().as_millis()));
        self.until(&release(2), "told about", |status| {
            condition(status, "Ready").is_some_and(|ready| ready["status"] == "False")
        })
        .await?;
        let status = self.status(&release(2));
        let message =
            condition(&status, "Ready").and_then(|ready| ready["message"].as_str()).unwrap_or_default();
        say(format!("  ✔ member2's status says why: {}", first_line(message)));
        member2.set_fault(None);
        let back = Instant::now();
        self.until(&release(2), "caught up", |status| {
            condition(status, "Ready").is_some_and(|ready| ready["status"] == "True")
        })
        .await?;
        say(format!("  ✔ member2 is caught up {} ms after it came back", back.elapsed().as_millis()));
        self.show_members().await
    }
}

fn describe(answer: &Answered) -> String {
    let commit: String = answer.commit.chars().take(8).collect();
    format!("  hook for {commit} answered {} in {:.1} ms", answer.status, answer.took.as_secs_f64() * 1000.0)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
