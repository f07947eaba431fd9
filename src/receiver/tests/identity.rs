//! Receivers that are proved by an identity token: what is believed, and what happens when keys are not to be had.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::issuer::{Issuer, Mood, NOON};
use super::world::key;
use super::*;

const GCR: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: gcr, namespace: flux-system}
stringData: {token: "s3cret", email: "pubsub@example.iam.gserviceaccount.com", audience: "https://hooks.example.com"}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: gcr, namespace: flux-system}
spec: {type: gcr, secretRef: {name: gcr}, resources: [{kind: ImageRepository, name: app}]}
"#;

async fn world(issuer: &Issuer) -> World {
    let settings = ReceiverSettings {
        google_keys: format!("{}/certs", issuer.url),
        keys_deadline: Duration::from_millis(500),
        ..ReceiverSettings::default()
    };
    let world = World::with(settings, ServeLimits::default()).await;
    assert!(world.objects.put_manifests("gcr.yaml", GCR).await.is_empty());
    world
}

fn claims() -> Value {
    json!({
        "iss": "https://accounts.google.com",
        "aud": "https://hooks.example.com",
        "email": "pubsub@example.iam.gserviceaccount.com",
        "email_verified": true,
        "iat": NOON - 60,
        "exp": NOON + 3540,
    })
}

/// The claims with some changed; null takes one away.
fn with(changes: &[(&str, Value)]) -> Value {
    let mut claims = claims();
    for (name, value) in changes {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(*name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// A push of the image that the ImageRepository of the world watches.
fn message(id: u32) -> Vec<u8> {
    use base64::engine::general_purpose::STANDARD;
    let data =
        json!({"action": "INSERT", "tag": format!("registry.example.com/org/app:1.0.{id}")}).to_string();
    json!({"message": {"data": STANDARD.encode(data), "messageId": id.to_string()}}).to_string().into_bytes()
}

async fn send(world: &World, authorization: Option<&str>, id: u32) -> Reply {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    headers.extend(authorization.map(|value| ("authorization", value.to_owned())));
    world.send(post(&world.path("gcr"), &headers, &message(id))).await
}

async fn status(world: &World, token: &str, id: u32) -> u16 {
    send(world, Some(&format!("Bearer {token}")), id).await.status
}

#[tokio::test]
async fn h25_s6_a_token_that_is_not_googles_for_us_is_401() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    let head = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let signed = |changes: &[(&str, Value)]| issuer.token(&with(changes));
    let unsigned = {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(json!({"alg": "none"})), part(claims()))
    };
    // The public key, which everybody has, as the secret of a MAC.
    let shared = {
        use hmac::{Hmac, KeyInit, Mac};
        let text = issuer.token_with(&head("HS256", "key-1"), &claims());
        let signed = text.rsplit_once('.').unwrap().0.to_owned();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(include_bytes!(
            "../../../webhooks/gcr/deliveries/keys.json"
        ))
        .unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    };
    let good = signed(&[]);
    let (signed_part, signature) = good.rsplit_once('.').unwrap();
    let other_signature = signed(&[("sub", json!("x"))]);
    let mutants = [
        ("another audience", signed(&[("aud", json!("https://elsewhere.example.com"))])),
        ("no audience", signed(&[("aud", Value::Null)])),
        ("an empty audience", signed(&[("aud", json!(""))])),
        ("other audiences", signed(&[("aud", json!(["a", "b"]))])),
        ("another issuer", signed(&[("iss", json!("https://accounts.google.com.evil.example"))])),
        ("no issuer", signed(&[("iss", Value::Null)])),
        ("another account", signed(&[("email", json!("mallory@example.iam.gserviceaccount.com"))])),
        ("an address not verified", signed(&[("email_verified", json!(false))])),
        ("an address said to be verified", signed(&[("email_verified", json!("true"))])),
        ("expired", signed(&[("exp", json!(NOON))])),
        ("without an end", signed(&[("exp", Value::Null)])),
        ("an end that is no number", signed(&[("exp", json!("never"))])),
        ("of the future", signed(&[("nbf", json!(NOON + 3000))])),
        ("issued in the future", signed(&[("iat", json!(NOON + 3000))])),
        ("unsigned", unsigned),
        ("signed with a shared secret", shared),
        ("of an unknown key", issuer.token_with(&head("RS256", "key-7"), &claims())),
        ("of another algorithm", issuer.token_with(&head("RS512", "key-1"), &claims())),
        (
            "with critical extensions",
            issuer.token_with(&json!({"alg":"RS256","kid":"key-1","crit":["x"]}), &claims()),
        ),
        ("another's signature", format!("{signed_part}.{}", other_signature.rsplit_once('.').unwrap().1)),
        ("cut short", format!("{signed_part}.{}", &signature[..signature.len() - 4])),
        ("in two parts", signed_part.to_owned()),
        ("in four parts", format!("{good}.x")),
        ("no base64", "a b.c d.e f".to_owned()),
        ("empty", String::new()),
    ];
    let mut tried = 0;
    for (what, token) in &mutants {
        let reply = send(&world, Some(&format!("Bearer {token}")), 1).await;
        // More than twenty in a second are told to wait; they prove no more by that.
        assert!(matches!(reply.status, 401 | 429), "{what}: {}", reply.status);
        assert!(reply.body.is_empty(), "{what}");
        world.clock.advance(Duration::from_secs(1));
        tried += 1;
    }
    assert!(tried >= 9);
    for (what, authorization) in [
        ("no header", None),
        ("no scheme", Some(good.clone())),
        ("another scheme", Some(format!("Basic {good}"))),
    ] {
        assert!(matches!(send(&world, authorization.as_deref(), 1).await.status, 401 | 429), "{what}");
    }
    assert_eq!(world.stored().await, 0);
    assert!(world.claim().await.is_empty());
    for (n, good) in [
        good.clone(),
        signed(&[("iss", json!("accounts.google.com"))]),
        signed(&[("aud", json!(["x", "https://hooks.example.com"]))]),
        issuer.token_with(&json!({"alg": "RS256"}), &claims()),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(status(&world, good, u32::try_from(n).unwrap()).await, 200, "{n}");
    }
    assert_eq!(world.claim().await[0].payload["images"][0]["tag"], "1.0.0");
    world.end().await;
}

#[tokio::test]
async fn h26_a_token_of_a_megabyte_is_refused_unread() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    let long = issuer.token(&with(&[("padding", json!("x".repeat(100 << 10)))]));
    assert_eq!(status(&world, &long, 1).await, 401);
    assert_eq!(world.state.rejections(&key("gcr"))[0].reason, "the bearer token is too long");
    // A megabyte does not even fit into a head.
    assert_eq!(status(&world, &"x".repeat(1 << 20), 1).await, 431);
    assert_eq!((issuer.asked(), world.stored().await), (0, 0));
    world.end().await;
}

#[tokio::test]
async fn s8_an_empty_or_missing_claim_matches_nothing() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    for value in
        [Value::Null, json!(""), json!(null), json!(["pubsub@example.iam.gserviceaccount.com"]), json!({})]
    {
        assert_eq!(status(&world, &issuer.token(&with(&[("email", value)])), 1).await, 401);
    }
    // Nor does an empty field of the Secret: it would equal an empty claim.
    for (field, value) in [
        ("email", r#"email: "pubsub@example.iam.gserviceaccount.com""#),
        ("audience", r#"audience: "https://hooks.example.com""#),
    ] {
        for emptied in [GCR.replace(value, &format!(r#"{field}: """#)), GCR.replace(value, "other: value")] {
            assert!(world.objects.put_manifests("gcr.yaml", &emptied).await.is_empty());
            let problem = world.state.readiness()[&key("gcr")].clone().unwrap_err();
            assert_eq!(problem.reason(), "ValidationFailed");
            let text = problem.to_string();
            assert!(text.contains(&format!("required field '{field}' for GCR receiver")), "{text}");
            let path = hook_path(b"s3cret", "gcr", "flux-system");
            assert_eq!(world.send(post(&path, &[], &message(1))).await.status, 503);
        }
    }
    assert_eq!(world.stored().await, 0);
    world.end().await;
}

#[tokio::test]
async fn keys_are_fetched_once_and_kept_as_long_as_the_issuer_says() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    let token = issuer.token(&with(&[("exp", json!(NOON + 100_000))]));
    for id in 0..5 {
        assert_eq!(status(&world, &token, id).await, 200);
    }
    assert_eq!(issuer.asked(), 1);
    world.clock.advance(Duration::from_secs(599));
    assert_eq!(status(&world, &token, 6).await, 200);
    assert_eq!(issuer.asked(), 1);
    world.clock.advance(Duration::from_secs(2));
    // Ten minutes are over: the keeper asks, and nobody waits for it.
    issuer.set(Mood::Silent);
    assert_eq!(status(&world, &token, 7).await, 200);
    assert_eq!(issuer.asked(), 1, "no delivery asks while keys are at hand");
    issuer.set(Mood::Well);
    let keeper = Keeper::start(&world);
    keeper.has_asked(&issuer, 2).await;
    assert_eq!(status(&world, &token, 8).await, 200);
    assert_eq!(issuer.asked(), 2);
    keeper.stop().await;
    world.end().await;
}

/// The task that renews keys, as the agent runs it.
struct Keeper {
    stop: tokio_util::sync::CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Keeper {
    fn start(world: &World) -> Self {
        let stop = tokio_util::sync::CancellationToken::new();
        Self { task: tokio::spawn(world.state.clone().keep_keys(stop.clone())), stop }
    }

    async fn has_asked(&self, issuer: &Issuer, times: usize) {
        tokio::time::timeout(Duration::from_secs(20), async {
            while issuer.asked() < times {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the keeper asks by itself");
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn keys_are_fetched_before_a_delivery_needs_them() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    let keeper = Keeper::start(&world);
    let token = issuer.token(&claims());
    keeper.has_asked(&issuer, 1).await;
    assert_eq!(status(&world, &token, 1).await, 200);
    assert_eq!(issuer.asked(), 1);
    keeper.stop().await;
    world.end().await;
}

#[tokio::test]
async fn a_new_key_is_found_and_unknown_ones_lead_to_few_calls() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    assert_eq!(status(&world, &issuer.token(&claims()), 1).await, 200);
    issuer.rotate();
    let newer = issuer.token(&claims());
    assert_eq!(status(&world, &newer, 2).await, 401, "the keys at hand are not a minute old");
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(status(&world, &newer, 3).await, 200);
    assert_eq!(issuer.asked(), 2);
    for n in 0..10 {
        let made_up = issuer.token_with(&json!({"alg": "RS256", "kid": format!("made-up-{n}")}), &claims());
        assert_eq!(status(&world, &made_up, 4).await, 401);
    }
    assert_eq!(issuer.asked(), 2, "ten made-up keys within a minute");
    world.end().await;
}

#[tokio::test]
async fn an_issuer_that_is_down_is_503_at_first_and_later_not_felt_for_a_day() {
    let issuer = Issuer::start().await;
    let world = world(&issuer).await;
    let token = issuer.token(&with(&[("exp", json!(NOON + 1_000_000))]));
    for mood in [Mood::Down, Mood::Verbose, Mood::Silent] {
        issuer.set(mood);
        let reply = send(&world, Some(&format!("Bearer {token}")), 1).await;
        assert_eq!(reply.status, 503, "{mood:?}");
        assert!(reply.head.contains("retry-after: "), "{}", reply.head);
        let asked = issuer.asked();
        assert_eq!(send(&world, Some(&format!("Bearer {token}")), 1).await.status, 503, "{mood:?}");
        assert_eq!(issuer.asked(), asked, "nobody asks again within ten seconds");
        world.clock.advance(Duration::from_secs(11));
    }
    let reasons: Vec<String> =
        world.state.rejections(&key("gcr")).into_iter().map(|one| one.reason).collect();
    for expected in ["answers 500", "is larger than", "no answer within 500ms"] {
        assert!(reasons.iter().any(|reason| reason.contains(expected)), "{expected}: {reasons:?}");
    }
    assert_eq!(world.stored().await, 0);
    issuer.set(Mood::Well);
    assert_eq!(status(&world, &token, 2).await, 200);
    issuer.set(Mood::Down);
    world.clock.advance(Duration::from_secs(12 * 3600));
    assert_eq!(status(&world, &token, 3).await, 200, "the keys at hand go on working");
    world.clock.advance(Duration::from_secs(13 * 3600));
    assert_eq!(status(&world, &token, 4).await, 503);
    world.end().await;
}
