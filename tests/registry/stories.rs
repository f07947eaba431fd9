//! ImageRepositories and ImagePolicies in a running agent, with a registry at hand and a clock in the test's hand.

use std::time::Duration;

use serde_json::{Value, json};
use sluice::app::{Agent, AgentOptions};
use sluice::model::{Cause, CauseKind, Clock, DeliveryId, Kind, ObjectKey};
use sluice::objects::Objects;
use sluice::queue::{NewJob, Priority, Queue, QueueSettings, Story};
use tokio_util::sync::CancellationToken;

use crate::world::*;

/// Far longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    dir: tempfile::TempDir,
    registry: Registry,
    clock: Clock,
    objects: Objects,
    queue: Queue,
    stop: CancellationToken,
    agent: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// An ImageRepository of the registry's image, with more lines of its spec.
fn repository(host: &str, more: &str) -> String {
    format!(
        "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: app, namespace: flux-system}}\nspec:\n  image: {host}/team/app\n  interval: 1h\n{more}"
    )
}

/// An ImagePolicy of it, with its spec in YAML's flow style.
fn policy(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{team: web}}}}\nspec: {{imageRepositoryRef: {{name: app, namespace: flux-system}}, {spec}}}\n"
    )
}

const SEMVER: &str = "policy: {semver: {range: 1.x}}";

fn app() -> ObjectKey {
    ObjectKey::new(Kind::ImageRepository, "flux-system", "app")
}

fn chosen(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::ImagePolicy, "flux-system", name)
}

fn condition<'s>(status: &'s Value, name: &str) -> Option<&'s Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

/// `True Succeeded: text` of a condition.
fn told(status: &Value, name: &str) -> String {
    let Some(condition) = condition(status, name) else { return "none".to_owned() };
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    format!("{} {}: {}", text("status"), text("reason"), text("message"))
}

fn tag(status: &Value) -> &str {
    status["latestRef"]["tag"].as_str().unwrap_or_default()
}

impl Stage {
    /// An agent over these manifests, which may name the registry's host.
    async fn start(registry: Registry, manifests: impl Fn(&str) -> String) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("manifests")).unwrap();
        std::fs::write(dir.path().join("manifests/images.yaml"), manifests(&registry.host)).unwrap();
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
        let (objects, queue, stop, agent) = Self::run(dir.path(), &clock).await;
        Self { dir, registry, clock, objects, queue, stop, agent }
    }

    async fn run(
        dir: &std::path::Path,
        clock: &Clock,
    ) -> (Objects, Queue, CancellationToken, tokio::task::JoinHandle<anyhow::Result<()>>) {
        let mut options = AgentOptions::new(dir.join("manifests"), dir.join("state"));
        options.clock = clock.clone();
        options.queue = QueueSettings::following(clock);
        // One worker: whoever waited while holding it would hold up everybody.
        options.concurrent = 1;
        let agent = Agent::start(options).await.unwrap();
        let (objects, queue) = (agent.objects.clone(), agent.queue.clone());
        let stop = CancellationToken::new();
        let agent = tokio::spawn(agent.run(stop.clone().cancelled_owned()));
        (objects, queue, stop, agent)
    }

    /// Ends the agent and starts it again over the same state.
    async fn restart(self) -> Self {
        let Self { dir, registry, clock, objects, queue, stop, agent } = self;
        stop.cancel();
        agent.await.unwrap().unwrap();
        // Whoever holds on to them holds the lock of the store.
        drop((objects, queue));
        let (objects, queue, stop, agent) = Self::run(dir.path(), &clock).await;
        Self { dir, registry, clock, objects, queue, stop, agent }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.agent.await.unwrap().unwrap();
    }

    fn status(&self, key: &ObjectKey) -> Value {
        self.objects.get(key).map(|object| object.status_json()).unwrap_or_default()
    }

    /// Waits until a status fits, and returns it.
    async fn until(&self, key: &ObjectKey, fits: impl Fn(&Value) -> bool) -> Value {
        let mut changes = self.objects.subscribe();
        let wait = async {
            while !fits(&self.status(key)) {
                changes.recv().await.ok();
            }
            self.status(key)
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(status) => status,
            Err(_) => {
                panic!("`{key}` did not get there: {}\n{:?}", self.status(key), self.objects.problems())
            }
        }
    }

    async fn ready(&self, key: &ObjectKey) -> Value {
        self.until(key, |status| told(status, "Ready").starts_with("True")).await
    }

    /// Waits until nothing is left to do now.
    async fn quiet(&self) {
        let wait = async {
            loop {
                let facts = self.queue.facts().await.unwrap();
                if facts.due == 0 && facts.running == 0 {
                    // The writer shows what it has just written before it takes up anything else.
                    self.queue.record_steps(Vec::new()).await.unwrap();
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the agent comes to rest");
    }

    /// Lets time pass, and what came due meanwhile be done.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.queue.nudge();
        self.quiet().await;
    }

    /// What the receiver puts in for a push that it was told of.
    async fn hook(&self, hint: Value) -> DeliveryId {
        let delivery = DeliveryId::generate();
        let job = NewJob {
            object: app(),
            cause: Cause::delivery(delivery.clone()),
            due_at: self.clock.now(),
            payload: hint,
            priority: Priority::Push,
        };
        self.queue.enqueue(vec![job]).await.unwrap();
        delivery
    }

    async fn pushed(&self, tag: &str, digest: Option<&str>) -> DeliveryId {
        self.hook(json!({ "images": [{ "repository": "team/app", "tag": tag, "digest": digest }] })).await
    }

    async fn story(&self, key: &ObjectKey) -> Story {
        self.queue.story_of_object(key, 10).await.unwrap()
    }
}

async fn filled(tags: &[&str]) -> Registry {
    let registry = Registry::start().await;
    for tag in tags {
        registry.shelf().push(tag, tag);
    }
    registry
}

/// A repository and a policy of it, ready and at rest, with these tags in the registry.
async fn settled(tags: &[&str]) -> Stage {
    let manifests = |host: &str| [repository(host, ""), policy("app", "flux-system", SEMVER)].concat();
    at_rest(Stage::start(filled(tags).await, manifests).await, &chosen("app")).await
}

/// The same without a policy.
async fn settled_repository(tags: &[&str]) -> Stage {
    at_rest(Stage::start(filled(tags).await, |host| repository(host, "")).await, &app()).await
}

async fn at_rest(stage: Stage, ready: &ObjectKey) -> Stage {
    stage.ready(ready).await;
    stage.quiet().await;
    stage.registry.asked();
    stage
}

#[tokio::test]
async fn a_scan_and_what_the_policies_make_of_it_are_written_as_flux_writes_them() {
    let registry = filled(&["1.0.0", "1.10.0", "1.9.0", "2.0.0", "latest", "1.0.0.sig"]).await;
    let stage =
        Stage::start(registry, |host| [repository(host, ""), policy("app", "flux-system", SEMVER)].concat())
            .await;
    let policy = stage.ready(&chosen("app")).await;
    stage.quiet().await;
    let status = stage.status(&app());
    let host = &stage.registry.host;
    let revision = status["lastScanResult"]["revision"].as_str().unwrap();
    assert_eq!(
        status,
        json!({
            "observedGeneration": 1,
            "canonicalImageName": format!("{host}/team/app"),
            "observedExclusionList": [r"^.*\.sig$"],
            "lastScanResult": {
                "tagCount": 5,
                "scanTime": "2026-03-01T12:00:00Z",
                "latestTags": ["latest", "2.0.0", "1.9.0", "1.10.0", "1.0.0"],
                "revision": "3801024825",
            },
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Succeeded", "observedGeneration": 1,
                "lastTransitionTime": "2026-03-01T12:00:00Z",
                "message": format!("successful scan: found 5 tags with checksum {revision}"),
            }],
        })
    );
    assert_eq!(policy["latestRef"], json!({ "name": format!("{host}/team/app"), "tag": "1.10.0" }));
    assert_eq!(
        told(&policy, "Ready"),
        format!("True Succeeded: Latest image tag for {host}/team/app resolved to 1.10.0")
    );
    assert_eq!(stage.registry.asked(), ["GET /v2/", "GET /v2/team/app/tags/list?n=1000"]);
    stage.stop().await;
}

#[tokio::test]
async fn a_hook_that_names_a_tag_costs_one_head_and_no_list() {
    let stage = settled(&["1.0.0"]).await;
    stage.pass(Duration::from_secs(600)).await;
    let digest = stage.registry.shelf().push("1.0.1", "new");
    let delivery = stage.pushed("1.0.1", Some(&digest)).await;
    let policy = stage.until(&chosen("app"), |status| tag(status) == "1.0.1").await;
    let host = &stage.registry.host;
    assert_eq!(
        told(&policy, "Ready"),
        format!(
            "True Succeeded: Latest image tag for {host}/team/app resolved to 1.0.1 (previously {host}/team/app:1.0.0)"
        )
    );
    stage.quiet().await;
    assert_eq!(stage.registry.asked(), ["HEAD /v2/team/app/manifests/1.0.1"]);
    let last = &stage.status(&app())["lastScanResult"];
    assert_eq!((&last["tagCount"], &last["latestTags"]), (&json!(2), &json!(["1.0.1", "1.0.0"])));
    // The whole chain carries the delivery, and its steps say what was done.
    let story = stage.story(&chosen("app")).await;
    let causes = &story.jobs.last().unwrap().causes;
    assert!(causes.contains(&Cause { kind: CauseKind::Dependency, delivery: Some(delivery) }), "{causes:?}");
    let story = stage.story(&app()).await;
    let step = story.steps.iter().rfind(|step| step.step == "head").unwrap();
    assert_eq!(step.detail, format!("`1.0.1` is {digest}"));
    // The hook did not move the interval: the next list is made when it would have been.
    stage.pass(Duration::from_secs(2990)).await;
    assert!(stage.registry.asked().is_empty());
    stage.pass(Duration::from_secs(10)).await;
    assert_eq!(stage.registry.asked(), ["GET /v2/team/app/tags/list?n=1000"]);
    stage.stop().await;
}

#[tokio::test]
async fn f18_a_tag_that_is_not_visible_yet_is_looked_for_again_even_after_a_restart() {
    let stage = settled(&["1.0.0"]).await;
    let digest = sha256(b"new");
    stage.pushed("1.0.1", Some(&digest)).await;
    stage.quiet().await;
    let head = "HEAD /v2/team/app/manifests/1.0.1";
    assert_eq!(stage.registry.asked(), [head]);
    stage.pass(Duration::from_millis(900)).await;
    assert!(stage.registry.asked().is_empty());
    stage.pass(Duration::from_millis(100)).await;
    assert_eq!(stage.registry.asked(), [head]);
    let stage = stage.restart().await;
    stage.quiet().await;
    assert!(stage.registry.asked().is_empty());
    // It shows up, at first with the content that was there before.
    stage.registry.shelf().push("1.0.1", "old");
    stage.pass(Duration::from_secs(2)).await;
    assert_eq!(stage.registry.asked().last().map(String::as_str), Some(head));
    assert_eq!(tag(&stage.status(&chosen("app"))), "1.0.0");
    stage.registry.shelf().push("1.0.1", "new");
    stage.pass(Duration::from_secs(5)).await;
    assert_eq!(stage.registry.asked(), [head]);
    assert_eq!(tag(&stage.status(&chosen("app"))), "1.0.1");
    stage.pass(Duration::from_secs(60)).await;
    assert!(stage.registry.asked().is_empty(), "what was found is not looked for again");
    stage.stop().await;
}

#[tokio::test]
async fn f18_the_search_for_a_tag_that_never_comes_ends_and_the_interval_goes_on() {
    let stage = settled_repository(&["1.0.0"]).await;
    stage.registry.asked();
    stage.pushed("1.0.1", None).await;
    stage.quiet().await;
    for pause in [1, 2, 5, 10, 30, 100, 1000] {
        stage.pass(Duration::from_secs(pause)).await;
    }
    assert_eq!(stage.registry.asked(), ["HEAD /v2/team/app/manifests/1.0.1"; 6]);
    assert!(told(&stage.status(&app()), "Ready").starts_with("True Succeeded"));
    let story = stage.story(&app()).await;
    let step = story.steps.iter().rfind(|step| step.step == "head").unwrap();
    assert_eq!(step.detail, "`1.0.1` did not appear; the next scan will find it if it is there");
    stage.pass(Duration::from_secs(2500)).await;
    assert_eq!(stage.registry.asked(), ["GET /v2/team/app/tags/list?n=1000"]);
    stage.stop().await;
}

#[tokio::test]
async fn hooks_that_name_no_tag_lead_to_a_list_and_so_does_the_first_of_all() {
    let stage = settled_repository(&["1.0.0"]).await;
    let list = "GET /v2/team/app/tags/list?n=1000";
    stage.registry.asked();
    stage.registry.shelf().tags.clear();
    // A deletion, and a push by digest alone.
    stage.hook(json!({ "images": [{}] })).await;
    stage.until(&app(), |status| status["lastScanResult"]["tagCount"] == 0).await;
    stage.quiet().await;
    assert_eq!(stage.registry.asked(), [list]);
    stage.registry.shelf().push("2.0.0", "x");
    stage.hook(json!({ "images": [{ "repository": "team/app", "tag": null, "digest": "sha256:x" }] })).await;
    stage.until(&app(), |status| status["lastScanResult"]["tagCount"] == 1).await;
    stage.quiet().await;
    assert_eq!(stage.registry.asked(), [list]);
    stage.stop().await;
}

#[tokio::test]
async fn a_deletion_is_listed_although_named_tags_are_still_looked_for() {
    let stage = settled_repository(&["1.0.0"]).await;
    stage.registry.asked();
    // Two tags of one webhook that the registry does not show yet; the search for them waits in the queue.
    let named = |tag: &str| json!({ "repository": "team/app", "tag": tag, "digest": null });
    stage.hook(json!({ "images": [named("2.0.0"), named("2.0.1")] })).await;
    stage.quiet().await;
    assert_eq!(stage.registry.asked().len(), 2);
    stage.registry.shelf().tags.clear();
    stage.hook(json!({ "images": [{}] })).await;
    stage.until(&app(), |status| status["lastScanResult"]["tagCount"] == 0).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_restart_lists_nothing_and_loses_nothing() {
    let stage = settled(&["1.0.0", "1.1.0"]).await;
    let stage = stage.restart().await;
    // A policy that is new can choose at once.
    let path = stage.dir.path().join("manifests/second.yaml");
    std::fs::write(path, policy("second", "flux-system", "policy: {alphabetical: {order: desc}}")).unwrap();
    let second = stage.until(&chosen("second"), |status| !tag(status).is_empty()).await;
    assert_eq!(tag(&second), "1.0.0");
    stage.quiet().await;
    assert!(stage.registry.asked().is_empty());
    stage.stop().await;
}

#[tokio::test]
async fn what_was_pushed_while_a_repository_was_suspended_is_found_when_it_is_resumed() {
    let registry = filled(&["1.0.0"]).await;
    let stage =
        Stage::start(registry, |host| [repository(host, ""), policy("app", "flux-system", SEMVER)].concat())
            .await;
    stage.ready(&chosen("app")).await;
    stage.objects.set_suspend(&app(), true).await.unwrap();
    stage.quiet().await;
    stage.registry.asked();
    stage.registry.shelf().push("1.0.1", "new");
    stage.pushed("1.0.1", None).await;
    stage.quiet().await;
    assert!(stage.registry.asked().is_empty());
    stage.objects.set_suspend(&app(), false).await.unwrap();
    stage.until(&chosen("app"), |status| tag(status) == "1.0.1").await;
    stage.stop().await;
}

#[tokio::test]
async fn f17_a_registry_in_trouble_is_told_in_fluxs_words_and_tried_again() {
    let registry = filled(&["1.0.0"]).await;
    let body = r#"{"errors": [{"code": "DENIED", "message": "no"}]}"#;
    registry
        .shelf()
        .faults
        .extend([Fault { status: 200, headers: &[], body: "" }, Fault { status: 403, headers: &[], body }]);
    let stage = Stage::start(registry, |host| repository(host, "")).await;
    let status = stage.until(&app(), |status| told(status, "Ready").starts_with("False")).await;
    let host = &stage.registry.host;
    assert_eq!(
        told(&status, "Ready"),
        format!(
            "False ReadOperationFailed: scan failed: failed to list the tags of `{host}/team/app`: the registry refused the credentials (DENIED: no)\nhint: check `spec.secretRef`"
        )
    );
    assert_eq!(told(&status, "Reconciling"), "True ProgressingWithRetry: scanning: first scan");
    assert_eq!(status["observedGeneration"], Value::Null);
    stage.pass(Duration::from_secs(1)).await;
    let status = stage.status(&app());
    assert!(told(&status, "Ready").starts_with("True Succeeded"), "{status}");
    assert_eq!(told(&status, "Reconciling"), "none");
    stage.stop().await;
}

#[tokio::test]
async fn credentials_come_from_the_secret_and_what_is_wrong_with_it_is_said() {
    let registry = filled(&["1.0.0"]).await;
    registry.shelf().guard = Guard::Basic("robot", "secret");
    let stage = Stage::start(registry, |host| repository(host, "  secretRef: {name: login}\n")).await;
    let status = stage.until(&app(), |status| told(status, "Ready").starts_with("False")).await;
    assert_eq!(
        told(&status, "Ready"),
        "False AuthenticationFailed: failed to configure authentication options: secrets \"login\" not found"
    );
    let config = json!({ "auths": { &stage.registry.host: { "username": "robot", "password": "secret" } } });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "name": "login", "namespace": "flux-system" },
        "stringData": { ".dockerconfigjson": config.to_string() },
    });
    std::fs::write(stage.dir.path().join("manifests/secret.yaml"), secret.to_string()).unwrap();
    stage.ready(&app()).await;
    stage.stop().await;
}

#[tokio::test]
async fn what_cannot_work_stalls_and_says_why() {
    for (from, to, expected) in [
        (
            "image: ",
            "image: https://",
            "False ImageURLInvalid: image 'https://HOST/team/app' should not include URL scheme; remove 'https://'",
        ),
        (
            "/team/app",
            "/team/app:1.0",
            "False ImageURLInvalid: image 'HOST/team/app:1.0' should not include a tag; remove ':1.0'",
        ),
        (
            "  interval",
            "  provider: aws\n  interval",
            "False InvalidProviderConfiguration: `spec.provider: aws` is not supported by this version\nhint: use a token in `spec.secretRef`",
        ),
        (
            "  interval",
            "  serviceAccountName: default\n  interval",
            "False AuthenticationFailed: `spec.serviceAccountName` is not supported by this version: there are no ServiceAccounts whose pull secrets could be used\nhint: name the Secret itself in `spec.secretRef`",
        ),
    ] {
        let stage = Stage::start(filled(&[]).await, |host| repository(host, "").replacen(from, to, 1)).await;
        let status = stage.until(&app(), |status| condition(status, "Stalled").is_some()).await;
        let expected = expected.replace("HOST", &stage.registry.host);
        assert_eq!(told(&status, "Ready"), expected);
        assert_eq!(told(&status, "Stalled"), expected.replacen("False", "True", 1));
        assert_eq!(
            (&status["observedGeneration"], told(&status, "Reconciling").as_str()),
            (&json!(1), "none")
        );
        assert!(stage.registry.asked().is_empty());
        stage.stop().await;
    }
}

#[tokio::test]
async fn policies_without_an_answer_say_so_as_flux_does() {
    let registry = filled(&["1.0.0"]).await;
    let stage = Stage::start(registry, |host| {
        [
            repository(
                host,
                "  accessFrom: {namespaceSelectors: [{matchLabels: {kubernetes.io/metadata.name: apps}}, {matchLabels: {team: web}}]}\n",
            ),
            policy("range", "flux-system", "policy: {semver: {range: a}}"),
            policy("filter", "flux-system", "policy: {alphabetical: {}}, filterTags: {pattern: '['}"),
            policy("none", "flux-system", "policy: {semver: {range: '>=2'}}"),
            policy("number", "flux-system", "policy: {numerical: {order: asc}}"),
            policy("lost", "flux-system", SEMVER).replace("{name: app, namespace", "{name: gone, namespace"),
            policy("denied", "elsewhere", SEMVER),
            policy("granted", "apps", SEMVER),
            policy("labelled", "web", SEMVER),
        ]
        .concat()
    })
    .await;
    for (name, namespace, expected) in [
        ("range", "flux-system", "False InvalidPolicy: invalid policy: improper constraint: \"a\""),
        (
            "filter",
            "flux-system",
            "False InvalidPolicy: failed to filter tags: invalid regular expression pattern '[': error parsing regexp: missing closing ]: `[`",
        ),
        ("none", "flux-system", "False Failure: unable to determine latest version from provided list"),
        ("number", "flux-system", "False Failure: failed to parse invalid numeric value '1.0.0'"),
        (
            "lost",
            "flux-system",
            "False DependencyNotReady: failed to get the referred ImageRepository: referenced ImageRepository does not exist: imagerepositories.image.toolkit.fluxcd.io \"gone\" not found",
        ),
        (
            "denied",
            "elsewhere",
            "False AccessDenied: failed to get the referred ImageRepository: access denied: 'flux-system/app' can't be accessed due to ACL labels mismatch on namespace 'elsewhere'",
        ),
    ] {
        let key = ObjectKey::new(Kind::ImagePolicy, namespace, name);
        let status = stage.until(&key, |status| told(status, "Ready") == expected).await;
        let stalled = condition(&status, "Stalled").is_some();
        assert_eq!(stalled, matches!(name, "range" | "filter"), "{status}");
        assert_eq!(condition(&status, "Reconciling").is_some(), !stalled, "{status}");
    }
    stage.ready(&ObjectKey::new(Kind::ImagePolicy, "apps", "granted")).await;
    // A namespace gets the label that is asked for.
    let labelled = ObjectKey::new(Kind::ImagePolicy, "web", "labelled");
    stage.until(&labelled, |status| told(status, "Ready").starts_with("False AccessDenied")).await;
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {team: web}}\n";
    std::fs::write(stage.dir.path().join("manifests/namespace.yaml"), namespace).unwrap();
    stage.ready(&labelled).await;
    stage.stop().await;
}

#[tokio::test]
async fn h87_policies_over_no_tags_wait_and_choose_as_soon_as_there_are_some() {
    let stage = Stage::start(filled(&[]).await, |host| {
        [repository(host, ""), policy("app", "flux-system", SEMVER)].concat()
    })
    .await;
    let expected = "False DependencyNotReady: retrying in 30s error: no tags in database";
    stage.until(&chosen("app"), |status| told(status, "Ready") == expected).await;
    stage.ready(&app()).await;
    stage.quiet().await;
    stage.registry.shelf().push("1.0.0", "x");
    // No tag is known, so that the hook leads to a list, as Flux's would.
    stage.pushed("1.0.0", None).await;
    let status = stage.ready(&chosen("app")).await;
    assert_eq!(tag(&status), "1.0.0");
    stage.stop().await;
}

#[tokio::test]
async fn h87_a_hook_with_a_hostile_or_excluded_tag_adds_nothing() {
    let registry = filled(&["1.0.0"]).await;
    let stage = Stage::start(registry, |host| {
        [repository(host, "  exclusionList: ['-rc']\n"), policy("app", "flux-system", SEMVER)].concat()
    })
    .await;
    stage.ready(&chosen("app")).await;
    stage.quiet().await;
    stage.registry.asked();
    stage.registry.shelf().push("1.1.0-rc1", "x");
    for tag in ["1.1.0-rc1", "../../../token", "1.9.9\nevil", "sha256:abc"] {
        stage.pushed(tag, None).await;
        stage.quiet().await;
    }
    assert!(stage.registry.asked().is_empty());
    assert_eq!(stage.status(&app())["lastScanResult"]["latestTags"], json!(["1.0.0"]));
    assert_eq!(tag(&stage.status(&chosen("app"))), "1.0.0");
    stage.stop().await;
}

#[tokio::test]
async fn h88_a_digest_that_flips_is_pinned_or_followed_as_the_policy_says() {
    let registry = filled(&["latest"]).await;
    let stage = Stage::start(registry, |host| {
        [
            repository(host, ""),
            policy(
                "pinned",
                "flux-system",
                "policy: {alphabetical: {}}, digestReflectionPolicy: IfNotPresent",
            ),
            policy(
                "followed",
                "flux-system",
                "policy: {alphabetical: {}}, digestReflectionPolicy: Always, interval: 10m",
            ),
            policy("plain", "flux-system", "policy: {alphabetical: {}}"),
        ]
        .concat()
    })
    .await;
    let first = sha256(b"latest");
    let digest = |status: &Value| status["latestRef"]["digest"].as_str().unwrap_or_default().to_owned();
    for name in ["pinned", "followed"] {
        let status = stage.ready(&chosen(name)).await;
        assert_eq!(digest(&status), first);
        assert!(
            told(&status, "Ready").ends_with(&format!("resolved to latest with digest {first}")),
            "{status}"
        );
    }
    stage.quiet().await;
    let second = stage.registry.shelf().push("latest", "another");
    stage.pushed("latest", Some(&second)).await;
    let status = stage.until(&chosen("followed"), |status| digest(status) == second).await;
    let host = &stage.registry.host;
    assert!(
        told(&status, "Ready")
            .ends_with(&format!("with digest {second} (previously {host}/team/app:latest@{first})")),
        "{status}"
    );
    stage.quiet().await;
    assert_eq!(digest(&stage.status(&chosen("pinned"))), first);
    assert_eq!(stage.status(&chosen("plain"))["latestRef"]["digest"], Value::Null);
    // Without a hook the interval of the policy finds it.
    let third = stage.registry.shelf().push("latest", "a third");
    stage.pass(Duration::from_secs(640)).await;
    assert_eq!(digest(&stage.status(&chosen("followed"))), third);
    stage.stop().await;
}

#[tokio::test]
async fn a_repository_pointed_at_another_image_gives_no_policy_the_tags_of_the_old_one() {
    let registry = filled(&["1.0.0", "1.9.0"]).await;
    let stage =
        Stage::start(registry, |host| [repository(host, ""), policy("app", "flux-system", SEMVER)].concat())
            .await;
    stage.ready(&chosen("app")).await;
    stage.quiet().await;
    // The new image is not there, so that the list fails and the old tags stay.
    let host = stage.registry.host.clone();
    let text = repository(&host, "").replace("/team/app", "/team/other");
    std::fs::write(stage.dir.path().join("manifests/images.yaml"), text).unwrap();
    let text = policy("other", "flux-system", SEMVER);
    std::fs::write(stage.dir.path().join("manifests/policy.yaml"), text).unwrap();
    let status = stage.until(&app(), |status| told(status, "Ready").starts_with("False")).await;
    assert_eq!(status["canonicalImageName"], format!("{host}/team/app"));
    let expected = "False DependencyNotReady: retrying in 30s error: no tags in database";
    let status = stage.until(&chosen("other"), |status| told(status, "Ready") == expected).await;
    assert_eq!(status["latestRef"], Value::Null);
    stage.stop().await;
}

#[tokio::test]
async fn automations_that_select_a_policy_get_a_job_of_the_same_chain() {
    let automation = |name: &str, selector: &str| {
        format!(
            "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\nmetadata: {{name: {name}, namespace: flux-system}}\nspec: {{interval: 1h, sourceRef: {{kind: GitRepository, name: none}}, git: {{commit: {{author: {{email: a@example.com}}}}}}{selector}}}\n"
        )
    };
    let registry = filled(&["1.0.0"]).await;
    let stage = Stage::start(registry, |host| {
        [
            repository(host, ""),
            policy("app", "flux-system", SEMVER),
            automation("all", ""),
            automation("web", ", policySelector: {matchLabels: {team: web}}"),
            automation("other", ", policySelector: {matchLabels: {team: db}}"),
        ]
        .concat()
    })
    .await;
    stage.ready(&chosen("app")).await;
    stage.quiet().await;
    let digest = stage.registry.shelf().push("1.0.1", "new");
    let delivery = stage.pushed("1.0.1", Some(&digest)).await;
    stage.until(&chosen("app"), |status| tag(status) == "1.0.1").await;
    let cause = Cause { kind: CauseKind::Dependency, delivery: Some(delivery) };
    stage.quiet().await;
    for (name, woken) in [("all", true), ("web", true), ("other", false)] {
        let key = ObjectKey::new(Kind::ImageUpdateAutomation, "flux-system", name);
        let story = stage.story(&key).await;
        let found = story.jobs.iter().any(|job| job.causes.contains(&cause));
        assert_eq!(found, woken, "{name}: {:?}", story.jobs);
    }
    stage.stop().await;
}

#[tokio::test]
async fn tags_go_when_their_repository_goes() {
    let stage = settled_repository(&["1.0.0"]).await;
    let image = format!("{}/team/app", stage.registry.host);
    assert_eq!(stage.queue.image_tags(&app(), &image).await.unwrap(), ["1.0.0"]);
    let mut changes = stage.objects.subscribe();
    std::fs::remove_file(stage.dir.path().join("manifests/images.yaml")).unwrap();
    let gone = async {
        while stage.objects.get(&app()).is_some() {
            changes.recv().await.ok();
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    stage.quiet().await;
    assert!(stage.queue.image_tags(&app(), &image).await.unwrap().is_empty());
    stage.stop().await;
}
