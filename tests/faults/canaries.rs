//! S5: every credential of the whole path is a canary, and nothing that the agent shows, sends or keeps holds one: not its
//! log at the finest level, not statuses, events, messages, metrics or answers of the API, not the files of its state
//! directory. Each is looked for as it is, in base64, in URLs, in JSON, and by its last eight characters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use base64::Engine as _;
use serde_json::Value;
use sluice::receiver::hook_path;

use crate::process::free_address;
use crate::world::{NAMESPACE, Setup, World, patiently};

/// A secret, and where it must never be seen.
struct Canary {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    fn new(name: &'static str, secret: &str) -> Self {
        let standard = base64::engine::general_purpose::STANDARD;
        let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let mut forms = vec![
            secret.to_owned(),
            percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
            serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
            // As part of a longer text, at each of the three places it can begin in a group of base64.
            standard.encode(secret).trim_end_matches('=').to_owned(),
            url_safe.encode(secret),
            secret[secret.len() - 8..].to_owned(),
        ];
        for ahead in 1..3 {
            let text = format!("{}{secret}", "u".repeat(ahead));
            let encoded = standard.encode(text);
            let whole = encoded.trim_end_matches('=');
            // Without the characters that the neighbours share.
            forms.push(whole[ahead + 1..whole.len() - 1].to_owned());
        }
        forms.sort();
        forms.dedup();
        Self { name, forms: forms.into_iter().map(String::into_bytes).collect() }
    }

    fn is_in(&self, bytes: &[u8]) -> Option<String> {
        self.forms.iter().find_map(|form| memfind(bytes, form).map(|at| context(bytes, at, form.len())))
    }
}

fn memfind(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

fn context(bytes: &[u8], at: usize, length: usize) -> String {
    let from = at.saturating_sub(120);
    let to = (at + length + 60).min(bytes.len());
    String::from_utf8_lossy(&bytes[from..to]).into_owned()
}

const GIT_PASSWORD: &str = "git+Canary/4711 \"&%x7Qz";
const HOOK_TOKEN: &str = "hook+Canary/8412 \"&%Yp3w";
const CHAT_TOKEN: &str = "chat+Canary/9035 \"&%Kd8r";
const CHAT_PATH: &str = "/services/T0CANARY/B7777777/chatAddressCanary1Zk";
const HEADER: &str = "Bearer headerCanary5501Wv9q";
const VALUE: &str = "value+Canary/6620 \"&%Nf2t";
const BROKEN: &str = "broken+Canary/3190 [&%Tj6y";

const FAILS: &str =
    "{{- if .Values.fails }}{{ fail (printf \"the password is %s\" .Values.password) }}{{ end }}\n";

fn manifests(dir: &Path, chat_url: &str) {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let append = |file: &str, text: &str| {
        let path = dir.join(file);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, before + text).unwrap();
    };
    let secret = |name: &str, entries: &[(&str, &str)]| {
        let lines: String =
            entries.iter().map(|(key, value)| format!("  {key}: {}\n", quoted(value))).collect();
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nstringData:\n{lines}"
        )
    };
    let git = std::fs::read_to_string(dir.join("git-repo.yaml")).unwrap();
    let git = git.replace("  interval: 1m0s\n", "  interval: 1m0s\n  secretRef:\n    name: git-login\n");
    std::fs::write(dir.join("git-repo.yaml"), git).unwrap();
    append("git-repo.yaml", &secret("git-login", &[("username", "robot"), ("password", GIT_PASSWORD)]));
    // The receiver's token stands in the file as it is; quoted it may hold anything.
    let receiver = std::fs::read_to_string(dir.join("receiver.yaml")).unwrap();
    std::fs::write(dir.join("receiver.yaml"), receiver.replace(HOOK_TOKEN, &quoted(HOOK_TOKEN))).unwrap();
    let alert = std::fs::read_to_string(dir.join("alert.yaml")).unwrap();
    let alert = alert
        .replace("type: slack", "type: generic-hmac")
        .replace(&format!("  address: {chat_url}\n"), "  secretRef:\n    name: chat\n");
    assert!(!alert.contains(CHAT_PATH), "{alert}");
    std::fs::write(dir.join("alert.yaml"), alert).unwrap();
    let headers = format!("Authorization: {HEADER}\n");
    append(
        "alert.yaml",
        &secret("chat", &[("address", chat_url), ("token", CHAT_TOKEN), ("headers", &headers)]),
    );
    append("values.yaml", &secret("values", &[("values.yaml", &format!("password: {}\n", quoted(VALUE)))]));
    append("values.yaml", &secret("broken", &[("values.yaml", BROKEN)]));
    let from = |secret: &str| format!("\n  valuesFrom:\n  - {{kind: Secret, name: {secret}}}\n");
    append("member1-app.yaml", &from("values"));
    append("member2-app.yaml", &(from("values") + "  values: {fails: true}\n"));
    let broken = std::fs::read_to_string(dir.join("member1-app.yaml")).unwrap();
    let broken =
        broken.replace("name: member1-app", "name: broken").replace("name: values}", "name: broken}");
    append("broken.yaml", &broken);
}

/// Everything that the agent shows and keeps.
struct Shown(BTreeMap<String, Vec<u8>>);

impl Shown {
    fn files(&mut self, dir: &Path) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                self.files(&path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                self.0.insert(path.display().to_string(), bytes);
            }
        }
    }

    async fn answer(&mut self, http: &reqwest::Client, url: &str) -> Value {
        let bytes = http.get(url).send().await.unwrap().bytes().await.unwrap();
        self.0.insert(url.to_owned(), bytes.to_vec());
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }
}

/// Why an object is not ready.
fn reason_of(object: &Value) -> &str {
    let all = object["status"]["conditions"].as_array();
    let ready = all.into_iter().flatten().find(|found| found["type"] == "Ready");
    ready.and_then(|ready| ready["reason"].as_str()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_no_credential_is_in_logs_statuses_messages_metrics_answers_or_files() {
    let (api, metrics) = (free_address(), free_address());
    let flags =
        ["--api-listen", &api.to_string(), "--metrics-listen", &metrics.to_string(), "--log-level", "trace"];
    let setup = Setup {
        login: Some(("robot".to_owned(), GIT_PASSWORD.to_owned())),
        hook_token: Some(HOOK_TOKEN.to_owned()),
        chat_path: CHAT_PATH.to_owned(),
        flags: Some(flags.map(str::to_owned).into()),
        files: vec![("helm-chart/templates/fails.yaml", FAILS)],
        log: true,
    };
    let mut tokens = Vec::new();
    let world = World::start(setup, |dir, world| {
        manifests(dir, world.chat_url);
        for member in world.members {
            let kubeconfig = member.kubeconfig();
            let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
            tokens.push(token.to_owned());
        }
    })
    .await;
    let path = hook_path(HOOK_TOKEN.as_bytes(), "push", NAMESPACE);
    let canaries = [
        Canary::new("the git password", GIT_PASSWORD),
        Canary::new("git's basic login", &format!("robot:{GIT_PASSWORD}")),
        Canary::new("the receiver's token", HOOK_TOKEN),
        Canary::new("the chat's token", CHAT_TOKEN),
        Canary::new("the chat's address", CHAT_PATH),
        Canary::new("the chat's header", HEADER),
        Canary::new("a value", VALUE),
        Canary::new("a value that is no YAML map", BROKEN),
        Canary::new("member1's token", &tokens[0]),
        Canary::new("member2's token", &tokens[1]),
    ];
    let http = world.http.clone();
    let base = format!("http://{api}/api/v1");
    let object = async |kind: &str, name: &str| -> Value {
        let url = format!("{base}/objects/{kind}/{NAMESPACE}/{name}");
        http.get(url).send().await.unwrap().json().await.unwrap_or_default()
    };

    // It goes well on the first member, fails in the template on the second and in the values of the third release.
    world.deployed(1, |_| true).await;
    world.chat.until(&["Helm install succeeded"]).await;
    world.chat.until(&["the password is"]).await;
    world.chat.until(&["broken' with key 'values.yaml'"]).await;
    // A push, a forged one, and one to the wrong place.
    let commit = world.commit("helm-chart/values.yaml", |text| text.replace("port: 80\n", "port: 81\n"));
    assert_eq!(world.hook(&commit, "canary-push").await, Some(200));
    world.chat.until(&["Helm upgrade succeeded", &commit[..12]]).await;
    let forged = format!("http://{}{path}", world.agent.listen);
    let answer = http.post(&forged).header("X-GitHub-Event", "push").body("{}").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    // Everything goes wrong that can: the member refuses, the chat repeats what it was sent, git wants another login.
    let refusing = kube_sim::Fault::Answer { code: 500, retry_after: None };
    world.members[0].set_fault(Some(refusing));
    world.chat.echo.store(true, Ordering::SeqCst);
    let git = std::fs::read_to_string(world.manifests().join("git-repo.yaml")).unwrap();
    let wrong = git.replace("username: \"robot\"", "username: \"nobody\"");
    assert_ne!(git, wrong);
    std::fs::write(world.manifests().join("git-repo.yaml"), wrong).unwrap();
    let last = world.commit("helm-chart/values.yaml", |text| text.replace("port: 81\n", "port: 82\n"));
    assert_eq!(world.hook(&last, "canary-refused").await, Some(200));
    let mut shown = Shown(BTreeMap::new());
    patiently("git to refuse the login", async {
        loop {
            let source = object("GitRepository", "git-repo").await;
            let wait = format!("{base}/explain/GitRepository/{NAMESPACE}/git-repo");
            let story = shown.answer(&http, &wait).await;
            let failed = story["messages"].as_array().is_some_and(|all| {
                all.iter().any(|message| message["last_error"].as_str().is_some_and(|text| !text.is_empty()))
            });
            if reason_of(&source) == "AuthenticationFailed" && failed {
                return;
            }
        }
    })
    .await;

    // What it shows.
    let list = shown.answer(&http, &format!("{base}/objects")).await;
    for item in list["items"].as_array().unwrap() {
        let name = item["metadata"]["name"].as_str().unwrap();
        let kind = item["kind"].as_str().unwrap();
        shown.answer(&http, &format!("{base}/objects/{kind}/{NAMESPACE}/{name}")).await;
        shown.answer(&http, &format!("{base}/explain/{kind}/{NAMESPACE}/{name}")).await;
    }
    for place in ["problems", "deliveries", "deliveries?rejected=true", "hooks", "clusters"] {
        shown.answer(&http, &format!("{base}/{place}")).await;
    }
    for place in ["canary-push", "canary-refused", commit.as_str(), last.as_str()] {
        shown.answer(&http, &format!("{base}/explain/{place}")).await;
    }
    for delivery in
        shown.answer(&http, &format!("{base}/deliveries")).await["items"].as_array().into_iter().flatten()
    {
        let id = delivery["id"].as_str().unwrap_or_default();
        shown.answer(&http, &format!("{base}/deliveries/{id}")).await;
    }
    shown.answer(&http, &format!("http://{metrics}/metrics")).await;
    for (number, told) in world.chat.told().iter().enumerate() {
        shown.0.insert(format!("message {number}"), told.to_string().into_bytes());
    }
    // What it keeps.
    let log = std::fs::read(world.dir.path().join("log")).unwrap();
    assert!(log.len() > 100_000, "the log at trace is only {} bytes", log.len());
    let path_in_log = memfind(&log, path.as_bytes()).map(|at| context(&log, at, path.len()));
    assert_eq!(path_in_log, None, "the path of a receiver is a secret, and is logged");
    shown.0.insert("the log".to_owned(), log);
    world.agent.killer()();
    tokio::task::block_in_place(|| world.agent.ended());
    shown.files(&world.state());
    let total: usize = shown.0.values().map(Vec::len).sum();
    eprintln!("looked for {} secrets in {} places, {total} bytes", canaries.len(), shown.0.len());
    assert!(shown.0.len() > 20, "{:?}", shown.0.keys());

    let mut leaks = Vec::new();
    for (place, bytes) in &shown.0 {
        for canary in &canaries {
            if let Some(text) = canary.is_in(bytes) {
                leaks.push(format!("{} is in {place}: …{text}…", canary.name));
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n\n"));
    world.end().await;
}

#[test]
fn canaries_are_found_in_each_of_their_forms() {
    let canary = Canary::new("x", CHAT_TOKEN);
    let standard = base64::engine::general_purpose::STANDARD;
    for text in [
        format!("a {CHAT_TOKEN} b"),
        format!("Basic {}", standard.encode(format!("name:{CHAT_TOKEN}"))),
        format!("Basic {}", standard.encode(format!("names:{CHAT_TOKEN}"))),
        format!("Basic {}", standard.encode(format!("robots:{CHAT_TOKEN}"))),
        serde_json::json!({ "t": CHAT_TOKEN }).to_string(),
        url::form_urlencoded::byte_serialize(CHAT_TOKEN.as_bytes()).collect::<String>().replace('+', "%20"),
        CHAT_TOKEN[CHAT_TOKEN.len() - 8..].to_owned(),
    ] {
        assert!(canary.is_in(text.as_bytes()).is_some(), "{text}");
    }
    assert!(canary.is_in(b"nothing of the kind").is_none());
}
