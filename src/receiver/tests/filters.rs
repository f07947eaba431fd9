//! CEL: `resourceFilter`, `resources[].filter`, and what a `generic-oidc` Receiver asks of tokens.

use super::issuer::{Issuer, NOON};
use super::world::key;
use super::*;

/// A Receiver over two sources and an image repository, with these lines in its spec.
fn receiver(name: &str, lines: &str) -> String {
    format!(
        r#"
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {{name: {name}, namespace: flux-system}}
spec:
{lines}
"#
    )
}

async fn world(lines: &str) -> World {
    let world = World::start().await;
    let problems = world.objects.put_manifests("filtered.yaml", &receiver("filtered", lines)).await;
    assert!(problems.is_empty(), "{problems:?}");
    world
}

/// Posts a body and says whom it woke, and the note.
async fn post_json(world: &World, body: &str) -> (u16, String, String) {
    let headers = [("content-type", "application/json; charset=utf-8".to_owned())];
    let reply = world.send(post(&world.path("filtered"), &headers, body.as_bytes())).await;
    let woken: Vec<String> = world.work().await.into_iter().map(|job| job.object.name).collect();
    (reply.status, woken.join(" "), reply.json()["note"].as_str().unwrap_or_default().to_owned())
}

const TWO: &str = r#"
  type: generic
  secretRef: {name: token}
  resourceFilter: "req.tag.startsWith('v') && res.metadata.name in ['app', 'docs']"
  resources:
    - {kind: GitRepository, name: "*", matchLabels: {team: a}, filter: "res.metadata.name == req.name"}
    - {kind: ImageRepository, name: app}
"#;

#[tokio::test]
async fn both_filters_must_let_an_object_through() {
    let world = world(TWO).await;
    let (status, woken, note) = post_json(&world, r#"{"tag":"v1","name":"docs"}"#).await;
    assert_eq!((status, woken.as_str(), note.as_str()), (200, "docs app", "left out by CEL: 1"));
    assert_eq!(post_json(&world, r#"{"tag":"v1","name":"other"}"#).await.1, "app");
    let (status, woken, note) = post_json(&world, r#"{"tag":"1","name":"docs"}"#).await;
    assert_eq!((status, woken.as_str(), note.as_str()), (200, "", "left out by CEL: 3"));
    world.end().await;
}

#[tokio::test]
async fn an_expression_the_body_does_not_fit_wakes_nothing_and_says_so() {
    let world = world(TWO).await;
    let (status, woken, note) = post_json(&world, r#"{"other":1}"#).await;
    assert_eq!((status, woken.as_str()), (200, ""));
    assert!(note.contains("failed to evaluate the CEL expression 'req.tag.startsWith("), "{note}");
    // A body that is not said to be JSON is an empty object to expressions, as in Flux.
    let reply = world.send(post(&world.path("filtered"), &[], br#"{"tag":"v1","name":"docs"}"#)).await;
    assert_eq!((reply.status, reply.json()["jobs"].as_u64()), (200, Some(0)));
    for broken in ["[1]", "{", "\"x\"", ""] {
        assert_eq!(post_json(&world, broken).await.0, 400, "{broken}");
    }
    assert_eq!(post_json(&world, "null").await.0, 200, "an empty object, as in Flux");
    let large = format!(r#"{{"tag":"v1","name":"docs","x":"{}"}}"#, "x".repeat(4 << 20));
    assert_eq!(post_json(&world, &large).await.0, 413, "Flux's limit");
    let many = format!(r#"{{"tag":"v1","x":[{}0]}}"#, "0,".repeat(300_000));
    assert_eq!(post_json(&world, &many).await.0, 400);
    world.end().await;
}

#[tokio::test]
async fn an_expression_that_is_none_makes_the_receiver_not_ready_with_fluxs_reason() {
    for (from, to, message) in [
        (
            "req.tag.startsWith('v') && ",
            "foo && ",
            "invalid resourceFilter expression: failed to parse the CEL expression 'foo && ",
        ),
        (
            "res.metadata.name == req.name",
            "req.name",
            "invalid filter expression for resources[0] (kind=\"GitRepository\", name=\"*\"): CEL expression output type mismatch: expected bool, got dyn",
        ),
        ("res.metadata.name == req.name", "claims.sub == 'x'", "undeclared reference to 'claims'"),
    ] {
        let world = world(&TWO.replace(from, to)).await;
        let problem = world.state.readiness()[&key("filtered")].clone().unwrap_err();
        assert_eq!(problem.reason(), "InvalidCELExpression");
        assert!(problem.to_string().contains(message), "{problem}");
        let path = hook_path(b"s3cret", "filtered", "flux-system");
        let reply = world.send(post(&path, &[], b"{}")).await;
        assert_eq!(reply.status, 503, "the sender tries again, perhaps it is mended by then");
        assert!(reply.head.contains("retry-after: "), "{}", reply.head);
        assert_eq!(world.stored().await, 0);
        world.end().await;
    }
}

#[tokio::test]
async fn s21_a_filter_that_would_cost_too_much_wakes_nothing_and_says_so() {
    let lines = TWO.replace(
        "res.metadata.name == req.name",
        "req.l.all(a, req.l.all(b, req.l.all(c, a + b + c >= 0.0)))",
    );
    let world = world(&lines).await;
    let body = format!(r#"{{"tag":"v1","l":[{}0]}}"#, "0,".repeat(2000));
    let started = std::time::Instant::now();
    let (status, woken, note) = post_json(&world, &body).await;
    assert_eq!((status, woken.as_str()), (200, "app"));
    assert!(note.contains("would cost too much"), "{note}");
    assert!(started.elapsed().as_secs() < 5);
    world.end().await;
}

#[tokio::test]
async fn s21_a_filter_at_its_limit_holds_up_no_other_delivery() {
    // Looked for place by place, this would be ten to the twelfth comparisons: each place is right but for its end.
    let lines = TWO.replace("res.metadata.name == req.name", "req.text.indexOf(req.part) == -1");
    let world = world(&lines).await;
    let body =
        format!(r#"{{"tag":"v1","text":"{}","part":"{}b"}}"#, "a".repeat(2_000_000), "a".repeat(1_000_000));
    let started = std::time::Instant::now();
    let path = world.path("github");
    let mut others = 0;
    let (status, woken, _) = {
        let mut hostile = std::pin::pin!(post_json(&world, &body));
        loop {
            let push = github_push("org/app", "refs/heads/other", &"1".repeat(40));
            let request = post(&path, &github("s3cret", &others.to_string(), &push), &push);
            tokio::select! {
                done = hostile.as_mut() => break done,
                reply = world.send(&request) => {
                    assert_eq!(reply.status, 200);
                    others += 1;
                }
            }
        }
    };
    assert_eq!((status, woken.as_str()), (200, "app docs app"));
    assert!(others > 0, "others are answered meanwhile");
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    world.end().await;
}

#[test]
fn s21_an_evaluation_that_is_not_done_in_time_is_503() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let quick =
            ReceiverSettings { body_timeout: Duration::from_millis(500), ..ReceiverSettings::default() };
        let world = World::with(quick, ServeLimits::default()).await;
        assert!(world.objects.put_manifests("filtered.yaml", &receiver("filtered", TWO)).await.is_empty());
        let path = world.path("filtered");
        let headers = [("content-type", "application/json".to_owned())];
        let request = post(&path, &headers, br#"{"tag":"v1","name":"docs"}"#);
        // The only place where expressions are evaluated is taken.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holder = tokio::task::spawn_blocking(move || held.recv());
        let reply = world.send(&request).await;
        assert_eq!(reply.status, 503);
        assert!(reply.head.contains("retry-after: "), "{}", reply.head);
        assert_eq!(
            world.send(post(&world.path("generic"), &[], b"{}")).await.status,
            200,
            "others are not held up"
        );
        drop(release);
        assert!(holder.await.unwrap().is_err());
        assert_eq!(world.send(&request).await.status, 200, "the sender came again");
        world.end().await;
    });
}

#[tokio::test]
async fn a_gcr_filter_sees_the_event_without_its_envelope() {
    let issuer = Issuer::start().await;
    let settings =
        ReceiverSettings { google_keys: format!("{}/certs", issuer.url), ..ReceiverSettings::default() };
    let world = World::with(settings, ServeLimits::default()).await;
    let manifests = format!(
        "{}---{}",
        r#"
apiVersion: v1
kind: Secret
metadata: {name: gcr, namespace: flux-system}
stringData: {token: "s3cret", email: "e", audience: "a"}
"#,
        receiver(
            "filtered",
            r#"
  type: gcr
  secretRef: {name: gcr}
  resourceFilter: "req.action == 'INSERT' && req.digest == '' && req.tag.endsWith(':1.0')"
  resources: [{kind: ImageRepository, name: app}]
"#
        )
    );
    assert!(world.objects.put_manifests("gcr.yaml", &manifests).await.is_empty());
    let token = issuer.token(&json!({"iss": "accounts.google.com", "aud": "a", "email": "e",
        "email_verified": true, "exp": NOON + 60}));
    let send = async |tag: &str| {
        use base64::Engine as _;
        let data = json!({"action": "INSERT", "tag": format!("registry.example.com/org/app:{tag}")});
        let data = base64::engine::general_purpose::STANDARD.encode(data.to_string());
        let body = json!({"message": {"data": data, "messageId": tag}}).to_string();
        let headers = [("authorization", format!("Bearer {token}"))];
        world.send(post(&world.path("filtered"), &headers, body.as_bytes())).await.json()["jobs"].clone()
    };
    assert_eq!(send("1.0").await, 1);
    assert_eq!(send("2.0").await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_replay_is_filtered_as_the_delivery_was() {
    let world = world(TWO).await;
    assert_eq!(post_json(&world, r#"{"tag":"v1","name":"docs"}"#).await.1, "docs app");
    let summary = world.queue.list_deliveries(&DeliveryFilter::default(), 1).await.unwrap().remove(0);
    let delivery = world.queue.delivery(&summary.id).await.unwrap().unwrap();
    let replay = world.state.replay(&delivery, world.clock.now()).await.unwrap();
    let names: Vec<_> = replay.jobs.iter().map(|job| job.object.name.as_str()).collect();
    assert_eq!(names, ["docs", "app"]);
    let cut = crate::queue::Delivery { body: None, ..delivery };
    let error = world.state.replay(&cut, world.clock.now()).await.unwrap_err();
    assert!(error.contains("is not kept whole"), "{error}");
    world.end().await;
}

/// A `generic-oidc` Receiver for an issuer.
fn oidc(issuer: &Issuer) -> String {
    format!(
        r#"
  type: generic-oidc
  oidcProviders:
    - issuerURL: {}
      variables:
        - {{name: parts, expression: "claims.sub.split(':')"}}
        - {{name: repository, expression: "vars.parts[1]"}}
      validations:
        - {{expression: "vars.repository == 'org/app'", message: "not our repository"}}
        - {{expression: "claims.ref == 'refs/heads/main'", message: "not the main branch"}}
  resourceFilter: "claims.actor != 'bot'"
  resources: [{{kind: GitRepository, name: app}}]
"#,
        issuer.url
    )
}

fn claims(issuer: &Issuer) -> Value {
    json!({"iss": issuer.url, "aud": ["notification-controller"], "exp": NOON + 600, "iat": NOON, "actor": "ada",
        "sub": "repo:org/app:environment:prod", "ref": "refs/heads/main"})
}

async fn present(world: &World, token: &str) -> Reply {
    let headers = [("authorization", format!("Bearer {token}"))];
    // Each delivery is another one.
    let body = world.stored().await.to_string();
    world.send(post(&hook_path(b"", "filtered", "flux-system"), &headers, body.as_bytes())).await
}

#[tokio::test]
async fn an_identity_token_whose_claims_are_as_demanded_wakes_what_is_listed() {
    let issuer = Issuer::start().await;
    let world = world(&oidc(&issuer)).await;
    // The path needs no secret: it is the digest of name and namespace, as in Flux.
    assert_eq!(world.path("filtered"), hook_path(b"", "filtered", "flux-system"));
    let reply = present(&world, &issuer.token(&claims(&issuer))).await;
    assert_eq!((reply.status, reply.json()["jobs"].as_u64()), (200, Some(1)));
    let mut bot = claims(&issuer);
    bot["actor"] = json!("bot");
    let reply = present(&world, &issuer.token(&bot)).await;
    assert_eq!((reply.status, reply.json()["jobs"].as_u64()), (200, Some(0)), "`claims` in the filter");
    assert_eq!(issuer.asked(), 1, "keys are kept");
    let summary = world.queue.list_deliveries(&DeliveryFilter::default(), 1).await.unwrap().remove(0);
    let delivery = world.queue.delivery(&summary.id).await.unwrap().unwrap();
    assert!(delivery.headers.iter().all(|(name, _)| name != "authorization"));
    let error = world.state.replay(&delivery, world.clock.now()).await.unwrap_err();
    assert!(error.contains("is not kept"), "{error}");
    world.end().await;
}

#[tokio::test]
async fn h25_s8_claims_that_are_missing_or_others_are_401() {
    let issuer = Issuer::start().await;
    let stranger = Issuer::start().await;
    let world = world(&oidc(&issuer)).await;
    let with = |name: &str, value: Value| {
        let mut claims = claims(&issuer);
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        claims
    };
    let refused = [
        ("another issuer", with("iss", json!(stranger.url))),
        ("a longer issuer", with("iss", json!(format!("{}/", issuer.url)))),
        ("no issuer", with("iss", Value::Null)),
        ("another audience", with("aud", json!("sigstore"))),
        ("no audience", with("aud", Value::Null)),
        ("expired", with("exp", json!(NOON))),
        ("of the future", with("nbf", json!(NOON + 4000))),
        ("another repository", with("sub", json!("repo:org/other:x"))),
        ("an empty subject", with("sub", json!(""))),
        ("no subject", with("sub", Value::Null)),
        ("a subject that is no text", with("sub", json!(["repo:org/app"]))),
        ("another branch", with("ref", json!("refs/heads/dev"))),
        ("an empty branch", with("ref", json!(""))),
        ("no branch", with("ref", Value::Null)),
    ];
    for (what, claims) in &refused {
        let reply = present(&world, &issuer.token(claims)).await;
        assert_eq!((reply.status, reply.body.as_slice()), (401, &b""[..]), "{what}");
    }
    // Another's signature under our issuer's name, and an algorithm that the issuer does not use.
    let head = json!({"alg": "ES256", "kid": "key-1"});
    assert_eq!(present(&world, &issuer.token_with(&head, &claims(&issuer))).await.status, 401);
    let reasons: Vec<String> =
        world.state.rejections(&key("filtered")).into_iter().map(|one| one.reason).collect();
    assert!(
        reasons.iter().any(|reason| reason == "token validation failed: not our repository"),
        "{reasons:?}"
    );
    assert_eq!(stranger.asked(), 0, "a token names no address to call");
    assert_eq!(world.stored().await, 0);
    world.end().await;
}

#[tokio::test]
async fn issuers_that_are_not_as_they_must_be_make_the_receiver_not_ready() {
    let issuer = Issuer::start().await;
    for (from, to, reason, message) in [
        (
            "vars.parts[1]",
            "parts[1]",
            "InvalidCELExpression",
            "invalid expression for variable \"repository\": failed to parse the CEL expression 'parts[1]'",
        ),
        (
            "claims.ref == 'refs/heads/main'",
            "claims.ref",
            "InvalidCELExpression",
            "invalid expression for validation \"not the main branch\": CEL expression output type mismatch",
        ),
    ] {
        let world = world(&oidc(&issuer).replace(from, to)).await;
        let problem = world.state.readiness()[&key("filtered")].clone().unwrap_err();
        assert_eq!(problem.reason(), reason);
        assert!(
            problem.to_string().starts_with("oidcProviders[0] (issuerURL=\"http://127.0.0.1:"),
            "{problem}"
        );
        assert!(problem.to_string().contains(message), "{problem}");
        world.end().await;
    }
    let twice = oidc(&issuer);
    let one = twice.split("oidcProviders:\n").nth(1).unwrap().split("  resourceFilter").next().unwrap();
    let world = world(&twice.replace(one, &format!("{one}{one}"))).await;
    let problem = world.state.readiness()[&key("filtered")].clone().unwrap_err();
    assert_eq!(problem.reason(), "ValidationFailed");
    assert!(problem.to_string().contains("oidcProviders[1]: duplicate issuerURL"), "{problem}");
    world.end().await;
}
