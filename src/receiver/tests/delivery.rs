//! Authentic deliveries: what they wake, and what is written down when they wake nothing.

use super::world::key;
use super::*;

const COMMIT: &str = "2222222222222222222222222222222222222222";

async fn push(world: &World, id: &str, repository: &str, git_ref: &str) -> Reply {
    let body = github_push(repository, git_ref, COMMIT);
    world.send(post(&world.path("github"), &github("s3cret", id, &body), &body)).await
}

#[tokio::test]
async fn a_push_wakes_the_source_that_follows_the_branch_with_the_commit() {
    let world = World::start().await;
    let reply = push(&world, "1", "org/app", "refs/heads/main").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["jobs"], 1);
    let jobs = world.claim().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].object.to_string(), "GitRepository/flux-system/app");
    let hint = json!({"push": {"ref": "refs/heads/main", "commit": COMMIT, "url": "https://github.com/org/app.git"}});
    assert_eq!(jobs[0].payload, hint);
    let id = jobs[0].cause().delivery.expect("caused by the delivery");
    assert_eq!(reply.json()["delivery"], id.as_str());
    let kept = world.queue.delivery(&id).await.unwrap().unwrap();
    assert_eq!(kept.summary.facts["commit"], COMMIT);
    assert_eq!((kept.summary.event.as_str(), kept.summary.sender_id.as_deref()), ("push", Some("1")));
    assert!(kept.headers.iter().all(|(name, _)| !name.contains("signature")), "{:?}", kept.headers);
    world.end().await;
}

#[tokio::test]
async fn a_git_push_names_no_tag_to_an_image_repository() {
    let world = World::start().await;
    let both = r#"
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: both, namespace: flux-system}
spec:
  type: github
  secretRef: {name: token}
  resources: [{kind: ImageRepository, name: app}, {kind: GitRepository, name: app}, {kind: GitRepository, name: docs}, {kind: HelmRepository, name: charts}]
"#;
    assert!(world.objects.put_manifests("both.yaml", both).await.is_empty());
    let body = github_push("org/app", "refs/heads/main", COMMIT);
    world.send(post(&world.path("both"), &github("s3cret", "1", &body), &body)).await;
    let hints: Vec<(String, Value)> =
        world.work().await.into_iter().map(|job| (job.object.to_string(), job.payload)).collect();
    let push = json!({"push": {"ref": "refs/heads/main", "commit": COMMIT, "url": "https://github.com/org/app.git"}});
    assert_eq!(
        hints,
        [
            ("GitRepository/flux-system/app".to_owned(), push),
            ("HelmRepository/flux-system/charts".to_owned(), Value::Null),
            ("ImageRepository/flux-system/app".to_owned(), json!({"images": [{}]})),
        ]
    );
    world.end().await;
}

#[tokio::test]
async fn what_was_answered_is_on_disk() {
    let world = World::start().await;
    assert_eq!(push(&world, "1", "org/app", "refs/heads/main").await.status, 200);
    // A copy of the files as they are now is what a power cut would leave.
    let copy = tempfile::tempdir().unwrap();
    for file in ["store.db", "store.db-wal"] {
        std::fs::copy(world.dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let settings = crate::queue::QueueSettings::following(&world.clock);
    let (queue, writer) =
        crate::queue::Queue::open(copy.path(), settings, world.clock.clone()).await.unwrap();
    let writer = tokio::spawn(writer.run());
    let jobs = queue.claim(9, "test", Duration::from_secs(60)).await.unwrap();
    assert_eq!(jobs.len(), 1);
    queue.close().await.unwrap();
    writer.await.unwrap().unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_push_nobody_follows_is_recorded_with_the_reason_and_does_nothing() {
    let world = World::start().await;
    for (n, repository, git_ref, note) in [
        (
            1,
            "org/app",
            "refs/heads/feature",
            "no source follows `refs/heads/feature` of `https://github.com/org/app.git`",
        ),
        (
            2,
            "org/other",
            "refs/heads/main",
            "no source follows repository `https://github.com/org/other.git`",
        ),
        (
            3,
            "org/app",
            "refs/tags/main",
            "no source follows `refs/tags/main` of `https://github.com/org/app.git`",
        ),
        (
            4,
            "org/docs",
            "refs/heads/main",
            "no source follows `refs/heads/main` of `https://github.com/org/docs.git`",
        ),
    ] {
        let reply = push(&world, &n.to_string(), repository, git_ref).await;
        assert_eq!(reply.status, 200);
        assert_eq!(world.woken().await, (String::new(), note.to_owned()));
        assert_eq!(reply.json()["note"], note, "the forge's own log shows it too");
    }
    assert_eq!(world.stored().await, 4);
    assert_eq!(push(&world, "5", "org/docs", "refs/tags/v1.2.3").await.status, 200);
    assert_eq!(world.woken().await.0, "GitRepository/docs");
    world.end().await;
}

#[tokio::test]
async fn a_source_reached_by_an_inner_name_is_woken_by_its_path() {
    let world = World::start().await;
    let inner = r#"
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: docs, namespace: flux-system}
spec: {interval: 1m, url: "http://gitea.gitea.svc.cluster.local:3000/org/docs", ref: {branch: main}}
"#;
    let without = MANIFESTS.replace("metadata: {name: docs,", "metadata: {name: docs-old,");
    assert!(world.objects.put_manifests("world.yaml", &without).await.is_empty());
    assert!(world.objects.put_manifests("inner.yaml", inner).await.is_empty());
    push(&world, "1", "org/docs", "refs/heads/main").await;
    assert_eq!(world.woken().await.0, "GitRepository/docs");
    world.end().await;
}

#[tokio::test]
async fn unlisted_events_pings_and_suspended_receivers_are_recorded_and_answered_200() {
    let world = World::start().await;
    let body = br#"{"action":"opened"}"#;
    let event = |event: &str, id: &str| {
        let mut headers = github("s3cret", id, body);
        headers[0].1 = event.to_owned();
        post(&world.path("github"), &headers, body)
    };
    assert_eq!(world.send(event("pull_request", "1")).await.status, 200);
    assert_eq!(world.woken().await, (String::new(), "event `pull_request` is not in spec.events".into()));
    assert_eq!(world.send(event("PING", "2")).await.status, 200, "as Flux, whatever the case");
    assert_eq!(world.send(event("ping", "3")).await.status, 200);
    assert_eq!(world.woken().await, (String::new(), "a ping".into()));

    world.objects.set_suspend(&key("github"), true).await.unwrap();
    assert_eq!(push(&world, "4", "org/app", "refs/heads/main").await.status, 200);
    assert_eq!(world.woken().await, (String::new(), "the receiver is suspended".into()));
    world.objects.set_suspend(&key("github"), false).await.unwrap();
    push(&world, "5", "org/app", "refs/heads/main").await;
    assert_eq!(world.woken().await.0, "GitRepository/app");
    world.end().await;
}

/// Whom the newest delivery would wake if it were replayed.
async fn replayed(world: &World) -> Vec<String> {
    let newest = world.queue.list_deliveries(&DeliveryFilter::default(), 1).await.unwrap().remove(0);
    let delivery = world.queue.delivery(&newest.id).await.unwrap().unwrap();
    let replay = world.state.replay(&delivery, world.clock.now()).await.unwrap();
    let mut names: Vec<String> = replay.jobs.into_iter().map(|job| job.object.to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_replay_is_filtered_by_the_event_as_the_delivery_was() {
    let world = World::start().await;
    let listing = |name: &str, kind: &str| {
        format!(
            r#"
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {{name: {name}, namespace: flux-system}}
spec: {{type: {kind}, events: [dev.cdevents.build.started.0.1.0, push, x], secretRef: {{name: token}}, resources: [{{kind: ImageRepository, name: app}}]}}
"#
        )
    };
    let receivers =
        [listing("hub", "harbor"), listing("ci", "cdevents"), listing("forge", "github")].concat();
    assert!(world.objects.put_manifests("listing.yaml", &receivers).await.is_empty());
    let harbor = r#"{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"tag":"1","resource_url":"registry.example.com/org/app:1"}]}}"#;
    let event = |kind: &str, id: &str| {
        format!(
            r#"{{"context":{{"id":"{kind}-{id}","source":"/s","type":"dev.cdevents.{kind}","timestamp":"2026-03-01T12:00:00Z"}},"subject":{{"id":"x"}}}}"#
        )
    };
    let signed = |body: &str, named: bool| {
        let mut headers = github("s3cret", if named { "1" } else { "2" }, body.as_bytes());
        headers.retain(|(name, _)| named || *name != "x-github-event");
        headers
    };
    let harbors = vec![("authorization", "s3cret".to_owned())];
    let event = |kind: &str| ["1", "2"].map(|id| event(kind, id));
    let (started, finished) = (event("build.started.0.1.0"), event("build.finished.0.1.0"));
    let with_type = |kind: &str| vec![("ce-type", format!("dev.cdevents.{kind}"))];
    for (receiver, headers, body, wakes) in [
        ("hub", harbors, harbor, true),
        ("ci", with_type("build.started.0.1.0"), finished[0].as_str(), true),
        ("ci", with_type("build.finished.0.1.0"), started[0].as_str(), false),
        ("ci", Vec::new(), started[1].as_str(), true),
        ("ci", Vec::new(), finished[1].as_str(), false),
        ("forge", signed(r#"{"a":1}"#, true), r#"{"a":1}"#, true),
        ("forge", signed(r#"{"a":2}"#, false), r#"{"a":2}"#, false),
    ] {
        assert_eq!(world.send(post(&world.path(receiver), &headers, body.as_bytes())).await.status, 200);
        let woken: Vec<String> = world.work().await.iter().map(|job| job.object.to_string()).collect();
        assert_eq!(woken.len(), usize::from(wakes), "{receiver} {headers:?} {body}");
        assert_eq!(replayed(&world).await, woken, "{receiver} {headers:?} {body}");
        world.clock.advance(Duration::from_secs(61));
    }
    world.end().await;
}

#[tokio::test]
async fn without_a_list_of_events_every_event_wakes_what_is_listed_as_in_flux() {
    let world = World::start().await;
    let body = br#"{"action":"completed","repository":{"clone_url":"https://github.com/org/app.git"}}"#;
    let mut headers = github("current", "1", body);
    headers[0].1 = "workflow_run".to_owned();
    assert_eq!(world.send(post(&world.path("rotating"), &headers, body)).await.status, 200);
    let jobs = world.claim().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].payload, Value::Null, "nothing was pushed");
    world.end().await;
}

#[tokio::test]
async fn an_image_push_wakes_what_is_listed_with_the_tag_for_the_image_it_watches() {
    let world = World::start().await;
    let digest = format!("sha256:{}", "ab".repeat(32));
    let harbor = |kind: &str| {
        json!({"type": kind, "occur_at": 1, "operator": "ci", "event_data": {
            "resources": [{"digest": digest, "tag": "1.0.1", "resource_url": "registry.example.com/org/app:1.0.1"}],
            "repository": {"repo_full_name": "org/app"}}})
        .to_string()
    };
    let headers = [("authorization", "s3cret".to_owned()), ("content-type", "application/json".to_owned())];
    let send = |body: String| world.send(post(&world.path("harbor"), &headers, body.as_bytes()));
    assert_eq!(send(harbor("PULL_ARTIFACT")).await.status, 200);
    assert_eq!(world.woken().await, (String::new(), "nothing was pushed or deleted".into()));
    assert_eq!(send(harbor("PUSH_ARTIFACT")).await.status, 200);
    let jobs = world.claim().await;
    let woken: Vec<_> = jobs.iter().map(|job| (job.object.kind, job.payload.clone())).collect();
    let images = json!({"images": [
        {"repository": "registry.example.com/org/app", "tag": "1.0.1", "digest": digest}]});
    assert_eq!(woken, [(Kind::HelmRepository, Value::Null), (Kind::ImageRepository, images)]);
    world.end().await;
}

#[tokio::test]
async fn a_generic_body_wakes_all_that_is_listed_whatever_it_says() {
    let world = World::start().await;
    for (n, body) in [
        &b""[..],
        b"anything",
        br#"{"ref":"refs/heads/other","repository":"https://x.example/y/z"}"#,
        br#"{"events":[]}"#,
        br#"{"events":[{"type":"x"}]}"#,
        br#"{"event_data":{"a":1}}"#,
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(world.send(post(&world.path("generic"), &[], body)).await.status, 200);
        assert_eq!(world.claim().await.len(), 1, "{n}");
        world.clock.advance(Duration::from_secs(61));
    }
    let commit = "3".repeat(40);
    let body = format!(
        r#"{{"ref":"refs/heads/main","commit":"{commit}","repository":"https://github.com/org/app"}}"#
    );
    let headers = sign(Provider::GenericHmac, b"s3cret", body.as_bytes(), "run-7", world.clock.now());
    assert_eq!(world.send(post(&world.path("hmac"), &headers, body.as_bytes())).await.status, 200);
    let (names, _) = world.woken().await;
    assert!(names.contains("ImageRepository/app"), "{names}");
    world.end().await;
}

#[tokio::test]
async fn one_delivery_with_many_refs_wakes_each_source_with_its_own() {
    let world = World::start().await;
    let reference =
        |kind: &str, name: &str, hash: &str| json!({"type": kind, "name": name, "target": {"hash": hash}});
    let body = json!({"push": {"changes": [
            {"old": null, "new": reference("branch", "main", COMMIT)},
            {"old": null, "new": reference("tag", "v1", &"4".repeat(40))},
        ]},
        "repository": {"links": {"html": {"href": "https://bitbucket.example.com/org/app"}}}})
    .to_string();
    let headers = sign(Provider::Bitbucket, b"s3cret", body.as_bytes(), "1", world.clock.now());
    assert_eq!(world.send(post(&world.path("bitbucket"), &headers, body.as_bytes())).await.status, 200);
    let jobs = world.claim().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].payload["push"]["commit"], COMMIT);
    world.end().await;
}

#[tokio::test]
async fn gitlab_with_its_token_and_with_a_signing_token() {
    let world = World::start().await;
    let body = json!({"object_kind": "push", "ref": "refs/heads/main", "after": COMMIT,
        "before": "0".repeat(40), "project": {"git_http_url": "https://github.com/org/app.git"}})
    .to_string();
    for (receiver, token) in [("gitlab", "s3cret"), ("signing", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")] {
        let headers = sign(Provider::GitLab, token.as_bytes(), body.as_bytes(), "msg_1", world.clock.now());
        let path = world.path(receiver);
        assert_eq!(world.send(post(&path, &headers, body.as_bytes())).await.status, 200, "{receiver}");
        assert_eq!(world.work().await.len(), 1, "{receiver}");
    }
    // A signing token sent in clear is no proof, and a signature is one for five minutes only.
    let path = world.path("signing");
    let clear = [("x-gitlab-token", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())];
    assert_eq!(world.send(post(&path, &clear, body.as_bytes())).await.status, 401);
    let headers = sign(
        Provider::GitLab,
        b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        body.as_bytes(),
        "msg_2",
        world.clock.now(),
    );
    world.clock.advance(Duration::from_secs(301));
    assert_eq!(world.send(post(&path, &headers, body.as_bytes())).await.status, 401);
    let reason = &world.state.rejections(&key("signing"))[1].reason;
    assert!(reason.contains("5 minutes off"), "{reason}");
    world.end().await;
}

#[tokio::test]
async fn the_same_body_without_an_id_counts_again_after_a_minute() {
    let world = World::start().await;
    let send = || world.send(post(&world.path("generic"), &[], b"{}"));
    assert_eq!(send().await.json()["duplicate"], Value::Null);
    assert_eq!(send().await.json()["duplicate"], true);
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(send().await.json()["duplicate"], Value::Null);
    assert_eq!(world.stored().await, 2);
    world.end().await;
}

#[tokio::test]
async fn receivers_and_secrets_that_change_are_noticed_at_the_next_request() {
    let world = World::start().await;
    let path = world.path("generic");
    assert_eq!(world.send(post(&path, &[], b"1")).await.status, 200);
    let changed = MANIFESTS.replace(r#"stringData: {token: "s3cret"}"#, r#"stringData: {token: "n3w"}"#);
    assert!(world.objects.put_manifests("world.yaml", &changed).await.is_empty());
    assert_eq!(world.send(post(&path, &[], b"2")).await.status, 404);
    let path = hook_path(b"n3w", "generic", "flux-system");
    assert_eq!(world.send(post(&path, &[], b"3")).await.status, 200);
    world.end().await;
}

/// A Receiver with an expression, and its Secret.
fn filtered(token: &str, name: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: filtered, namespace: flux-system}}
stringData: {{token: "{token}"}}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {{name: filtered, namespace: flux-system}}
spec:
  type: generic
  secretRef: {{name: filtered}}
  resourceFilter: "res.metadata.name != '{name}'"
  resources: [{{kind: GitRepository, name: app}}]
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn routes_never_go_back_to_what_they_were() {
    let world = World::start().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (state, stop) = (world.state.clone(), stop.clone());
            tokio::task::spawn_blocking(move || {
                while !stop.is_cancelled() {
                    state.readiness();
                }
            })
        })
        .collect();
    for n in 0..100 {
        // Two changes at once: who reads the first must not overwrite who reads the second.
        for token in [format!("{n}"), format!("{n}-again")] {
            let manifests = filtered(&token, &token);
            assert!(world.objects.put_manifests("filtered.yaml", &manifests).await.is_empty());
        }
        let path = hook_path(format!("{n}-again").as_bytes(), "filtered", "flux-system");
        for _ in 0..10 {
            assert_eq!(world.state.path_of(&key("filtered")), Ok(path.clone()));
            tokio::task::yield_now().await;
        }
    }
    stop.cancel();
    for reader in readers {
        reader.await.unwrap();
    }
    world.end().await;
}

#[tokio::test]
async fn an_expression_is_compiled_once_however_often_secrets_change() {
    let world = World::start().await;
    let served = |token: &str| {
        let routes = world.state.routes();
        match routes.find(&hook_path(token.as_bytes(), "filtered", "flux-system")) {
            Some(routes::Route::To(served)) => std::sync::Arc::clone(served),
            other => panic!("{other:?}"),
        }
    };
    let put = async |token: &str, name: &str| {
        assert!(world.objects.put_manifests("f.yaml", &filtered(token, name)).await.is_empty());
        served(token)
    };
    let first = put("1", "a").await;
    let rotated = put("2", "a").await;
    assert!(std::sync::Arc::ptr_eq(&first.filters, &rotated.filters));
    assert_eq!(rotated.tokens()[0].1, b"2");
    let changed = put("2", "b").await;
    assert!(!std::sync::Arc::ptr_eq(&first.filters, &changed.filters));
    world.end().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_503_and_a_later_try_succeeds() {
    use sqlx::ConnectOptions;
    let world = World::start().await;
    let intruder = sqlx::sqlite::SqliteConnectOptions::new().filename(world.dir.path().join("store.db"));
    let mut intruder = intruder.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut intruder).await.unwrap();
    let reply = push(&world, "1", "org/app", "refs/heads/main").await;
    assert_eq!(reply.status, 503);
    assert!(reply.head.contains("retry-after: "), "{}", reply.head);
    sqlx::query("ROLLBACK").execute(&mut intruder).await.unwrap();
    assert_eq!(push(&world, "1", "org/app", "refs/heads/main").await.status, 200);
    assert_eq!(world.stored().await, 1);
    world.end().await;
}

#[tokio::test]
async fn other_namespaces_are_out_of_reach_when_they_are_locked() {
    let settings = ReceiverSettings { no_cross_namespace_refs: true, ..ReceiverSettings::default() };
    let world = World::with(settings, ServeLimits::default()).await;
    let other = r#"
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: other, namespace: flux-system}
spec:
  type: generic
  secretRef: {name: token}
  resources: [{kind: GitRepository, name: app, namespace: team}, {kind: Bucket, name: none}, {kind: ArtifactGenerator, name: x}]
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: app, namespace: team}
spec: {interval: 1m, url: "https://github.com/org/app"}
"#;
    let problems = world.objects.put_manifests("other.yaml", other).await;
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(world.send(post(&world.path("other"), &[], b"")).await.status, 200);
    let (woken, note) = world.woken().await;
    assert_eq!(woken, "");
    assert_eq!(
        note,
        "can't access 'GitRepository/team/app', cross-namespace references have been blocked; \
         `Bucket/flux-system/none` selects nothing; `ArtifactGenerator/flux-system/x` is of no kind that is reconciled here"
    );
    world.end().await;
}
