//! Steps 1 to 5 and 9: from empty members to a change for both and a change for one.

use serde_json::{Value, json};
use sluice::queue::StepOutcome;

use crate::planes;
use crate::stage::{CHAT_TOKEN, CHATS, NAMESPACE, Setup, Stage, condition, source};
use crate::tools::{helm, helm_json};

fn message_of(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
}

fn uids(pods: &[Value]) -> Vec<String> {
    let mut uids: Vec<String> = pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
    uids.sort();
    uids
}

#[tokio::test(flavor = "multi_thread")]
async fn one_chart_is_delivered_to_two_real_members() {
    let Some(planes) = planes() else { return };
    for member in &planes.members {
        for namespace in ["app", NAMESPACE] {
            member.api.get(&format!("/api/v1/namespaces/{namespace}")).await.expect(404);
        }
    }
    let mut stage = Stage::start(planes, Setup::named("app", NAMESPACE)).await;
    let first = stage.clone.head().await;
    steps_1_to_3(&stage, &first).await;
    step_4(&mut stage).await;
    step_5(&stage).await;
    stage.stop().await;
}

async fn steps_1_to_3(stage: &Stage, commit: &str) {
    // 1: the source.
    let status = stage.ready(&source()).await;
    assert_eq!(status["artifact"]["revision"], format!("master@sha1:{commit}"));
    let text = format!("stored artifact for revision 'master@sha1:{commit}'");
    assert_eq!(condition(&status, "Ready")["message"], text);

    // 2 and 3: a release per member.
    for member in [1, 2] {
        let status = stage.version(member, 1).await;
        let chart = format!("1.0.0+{}.1", &commit[..12]);
        assert_eq!(status["history"][0]["chartVersion"], chart);
        assert_eq!(status["lastAttemptedRevision"], chart);
        let ready = condition(&status, "Ready");
        assert_eq!(ready["reason"], "InstallSucceeded");
        let text = format!(
            "Helm install succeeded for release app/{}.v1 with chart hello-kubernetes@{chart}",
            stage.release(member)
        );
        assert_eq!(ready["message"], text);

        // The namespaces were made; the objects are this member's only.
        let api = &stage.member(member).api;
        for namespace in ["app", NAMESPACE] {
            api.get(&format!("/api/v1/namespaces/{namespace}")).await.expect(200);
        }
        let deployment = stage.object(member, "deployments").await;
        assert_eq!(deployment["spec"]["replicas"], 1);
        assert_eq!(*message_of(&deployment), format!("member{member}"));
        assert_eq!(deployment["status"]["readyReplicas"], 1, "the release waited for it");
        assert_eq!(stage.object(member, "services").await["spec"]["type"], "ClusterIP");
        let other = format!("{}/{}", stage.place("services"), stage.name(3 - member));
        api.get(&other).await.expect(404);

        // What the real helm reads.
        let it = stage.member(member);
        let release = stage.release(member);
        let list = helm_json(it, NAMESPACE, &["list"]).await;
        assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
        assert_eq!(list[0]["name"], *release);
        assert_eq!(list[0]["revision"], "1");
        assert_eq!(list[0]["status"], "deployed");
        assert_eq!(list[0]["chart"], format!("hello-kubernetes-{chart}"));
        assert_eq!(list[0]["app_version"], "1.0.0");
        let status = helm_json(it, NAMESPACE, &["status", &release]).await;
        assert_eq!(status["info"]["status"], "deployed");
        assert_eq!(status["info"]["description"], "Install complete");
        assert_eq!(status["namespace"], "app");
        let notes = format!("{} says \"member{member}\" in namespace app.", stage.name(member));
        assert_eq!(status["info"]["notes"].as_str().unwrap().trim(), notes);
        assert_eq!(helm_json(it, NAMESPACE, &["get", "values", &release]).await, Value::Null);
        let all = helm_json(it, NAMESPACE, &["get", "values", &release, "--all"]).await;
        assert_eq!(all["config"]["message"], format!("member{member}"));
        assert_eq!(all["service"], json!({ "type": "ClusterIP", "port": 80 }));
        let manifest = helm(it, NAMESPACE, &["get", "manifest", &release]).await;
        for kind in ["ServiceAccount", "Service", "Deployment"] {
            assert!(manifest.contains(&format!("kind: {kind}\n")), "{manifest}");
        }
        assert!(manifest.contains("# Source: hello-kubernetes/templates/service.yaml\n"), "{manifest}");
    }
}

/// NodePort for everybody.
async fn step_4(stage: &mut Stage) {
    let mut before = Vec::new();
    for member in [1, 2] {
        before.push((uids(&stage.pods(member).await), stage.object(member, "deployments").await));
    }
    let commit = stage.clone.change("helm-chart/values.yaml", "type: ClusterIP", "type: NodePort").await;
    let hook = stage.hook_answered().await;
    assert_eq!((hook.status, &hook.commit), (200, &commit));
    for member in [1, 2] {
        let service = stage
            .object_until(member, "services", "it is a NodePort", |service| {
                service["spec"]["type"] == "NodePort"
            })
            .await;
        let port = service["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
        assert!((30_000..32_768).contains(&port), "{service}");
        let status = stage.version(member, 2).await;
        assert_eq!(status["history"][0]["chartVersion"], format!("1.0.0+{}.1", &commit[..12]));
        assert_eq!(status["history"][1]["status"], "superseded");
        assert_eq!(condition(&status, "Ready")["reason"], "UpgradeSucceeded");

        let (pods, deployment) = &before[member - 1];
        assert_eq!(uids(&stage.pods(member).await), *pods, "pods were touched");
        let after = stage.object(member, "deployments").await;
        assert_eq!(after["spec"], deployment["spec"]);
        assert_eq!(after["metadata"]["generation"], deployment["metadata"]["generation"]);

        let release = stage.release(member);
        let history = helm_json(stage.member(member), NAMESPACE, &["history", &release]).await;
        let states: Vec<(i64, &str)> = history
            .as_array()
            .unwrap()
            .iter()
            .map(|line| (line["revision"].as_i64().unwrap(), line["status"].as_str().unwrap()))
            .collect();
        assert_eq!(states, [(1, "superseded"), (2, "deployed")]);
    }
    assert_eq!(stage.status(&source())["artifact"]["revision"], format!("master@sha1:{commit}"));
    explained(stage, &commit, &hook.id).await;
    told(stage, &commit).await;
}

/// One chain from the hook to both members, with the time from the one to the others.
async fn explained(stage: &Stage, commit: &str, hook: &str) {
    let applied = |story: &sluice::queue::Story| {
        story
            .steps
            .iter()
            .filter(|step| step.step == "record" && step.outcome == StepOutcome::Done)
            .filter_map(|step| step.cluster.clone())
            .collect::<std::collections::BTreeSet<_>>()
    };
    let story = stage.story(commit, "both members in the story", |story| applied(story).len() == 2).await;
    assert_eq!(story.deliveries.len(), 1);
    assert_eq!(story.deliveries[0].sender_id.as_deref(), Some(hook));
    for step in ["fetch", "chart", "render", "apply", "record"] {
        assert!(story.steps.iter().any(|done| done.step == step), "no {step}: {:?}", story.steps);
    }
    let accepted = story.deliveries[0].received_at;
    let last = story.steps.iter().filter(|step| step.step == "apply").map(|step| {
        let end = step.started_at.saturating_add(step.duration).unwrap();
        end.duration_since(accepted)
    });
    let last = last.max().unwrap();
    assert!(last.is_positive() && last.as_secs() < 60, "{last:?}");
    eprintln!("accepted hook to both members applied, as told by the story: {} ms", last.as_millis());
}

/// Step 9: every chat has heard of it, in its own form, with cluster, revision and delivery.
async fn told(stage: &mut Stage, commit: &str) {
    let revision = format!("1.0.0+{}.1", &commit[..12]);
    let delivery = stage.queue.story_of_commit(commit).await.unwrap().deliveries[0].id.to_string();
    for member in [1, 2] {
        let text = format!(
            "Helm upgrade succeeded for release app/{}.v2 with chart hello-kubernetes@{revision}",
            stage.release(member)
        );
        let name = format!("helmrelease/member{member}-app.{NAMESPACE}");
        for chat in CHATS {
            let message =
                stage.message(chat, &text, |message| message.body.to_string().contains(&text)).await;
            let body = &message.body;
            let facts: Vec<(String, String)> = match chat {
                "slack" | "discord" | "rocket" => {
                    assert_eq!(body["channel"], "deployments");
                    assert_eq!(body["username"], "helm-controller");
                    let attachment = &body["attachments"][0];
                    assert_eq!(attachment["color"], if chat == "rocket" { "#0076D7" } else { "good" });
                    assert_eq!(attachment["author_name"], *name);
                    assert_eq!(attachment["text"], *text);
                    pairs(&attachment["fields"], "title")
                }
                "msteams" => {
                    let card = &body["attachments"][0];
                    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
                    let items = &card["content"]["body"][0]["items"];
                    assert_eq!((&items[0]["text"], &items[1]["text"]), (&json!(name), &json!(text)));
                    pairs(&items[2]["facts"], "title")
                }
                _ => {
                    let signature = message.headers["x-signature"].to_str().unwrap();
                    assert_eq!(signature, sluice::demo::forge::signature(CHAT_TOKEN, &message.bytes));
                    assert_eq!(message.headers["gotk-component"], "helm-controller");
                    assert_eq!(body["severity"], "info");
                    assert_eq!(body["reason"], "UpgradeSucceeded");
                    assert_eq!(body["involvedObject"]["name"], format!("member{member}-app"));
                    let metadata = body["metadata"].as_object().unwrap();
                    metadata
                        .iter()
                        .map(|(key, value)| (key.clone(), value.as_str().unwrap().into()))
                        .collect()
                }
            };
            for (key, value) in [("revision", &revision), ("delivery", &delivery)] {
                assert!(facts.contains(&(key.into(), value.clone())), "{chat}: no {key} in {facts:?}");
            }
            let cluster = facts.iter().find(|(key, _)| key == "cluster");
            assert!(
                cluster.is_some_and(|(_, value)| value.contains(&format!("member{member}"))),
                "{facts:?}"
            );
        }
    }
}

fn pairs(list: &Value, title: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|fact| (text(&fact[title]), text(&fact["value"]))).collect()
}

/// More replicas on member1 only.
async fn step_5(stage: &Stage) {
    let mut before = Vec::new();
    for kind in ["deployments", "services", "serviceaccounts"] {
        before.push((kind, stage.object(2, kind).await));
    }
    let pods = uids(&stage.pods(2).await);
    let commit =
        stage.clone.change("helm-chart/member1-values.yaml", "replicaCount: 1", "replicaCount: 2").await;
    stage
        .object_until(1, "deployments", "two replicas are ready", |deployment| {
            deployment["spec"]["replicas"] == 2 && deployment["status"]["readyReplicas"] == 2
        })
        .await;
    for member in [1, 2] {
        let status = stage.version(member, 3).await;
        assert_eq!(status["history"][0]["chartVersion"], format!("1.0.0+{}.1", &commit[..12]));
    }
    assert_eq!(stage.pods(1).await.len(), 2);
    for (kind, before) in before {
        let after = stage.object(2, kind).await;
        assert_eq!(after["spec"], before["spec"]);
        assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
        if kind != "deployments" {
            // Nothing was written at all; a Deployment's status may have moved on its own.
            assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"], "{kind}");
        }
    }
    assert_eq!(uids(&stage.pods(2).await), pods);
}
