//! What the room does when a cluster misbehaves: small servers that refuse, hang, throttle or break off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::model::Clock;

/// A server whose every answer is `answer(request)`, discovery excepted; ends with its handle.
struct Fake {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn fake<F, Fut>(answer: F) -> Fake
where
    F: Fn(usize, Request) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let app = axum::Router::new().fallback(move |request: Request| {
        let (answer, counted) = (answer.clone(), counted.clone());
        async move {
            match discovery(request.uri().path()) {
                Some(body) => axum::Json(body).into_response(),
                None => answer(counted.fetch_add(1, Ordering::SeqCst), request).await,
            }
        }
    });
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Fake { address, calls, serving }
}

fn discovery(path: &str) -> Option<serde_json::Value> {
    let resource = |plural: &str, kind: &str| json!({"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced"});
    let list = |items| Some(json!({"kind": "APIGroupDiscoveryList", "items": items}));
    match path {
        "/version" => Some(json!({"gitVersion": "v1.37.2", "major": "1", "minor": "37"})),
        "/api" => list(json!([{"metadata": {}, "versions": [{"version": "v1",
            "resources": [resource("configmaps", "ConfigMap"), resource("secrets", "Secret")]}]}])),
        "/apis" => list(json!([{"metadata": {"name": "apps"}, "versions": [{"version": "v1",
            "resources": [resource("deployments", "Deployment")]}]}])),
        _ => None,
    }
}

fn clusters(deadline: Duration) -> Clusters {
    // Another test may have been first.
    rustls::crypto::ring::default_provider().install_default().ok();
    let policy = KubeconfigPolicy { insecure_tls: true, ..KubeconfigPolicy::default() };
    let settings = ClusterSettings {
        call_deadline: deadline,
        watch_silence: Duration::from_millis(200),
        policy,
        own_host: Some("127.0.0.1:9".to_owned()),
        ..ClusterSettings::default()
    };
    Clusters::new(settings, Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()))
}

fn connect(clusters: &Clusters, server: &str) -> Cluster {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    });
    let identity = ClusterIdentity { object: "a test".to_owned(), impersonate: None };
    clusters.connect(&SecretBytes::from(text.to_string().into_bytes()), identity).unwrap()
}

fn config_map(name: &str) -> Manifest {
    let json = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": {"k": "v"}});
    Manifest::new(json, None).unwrap()
}

fn applied(request: &Request, status: StatusCode) -> Response {
    let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "uid": "1", "resourceVersion": "7"}});
    (status, axum::Json(body)).into_response()
}

fn refusal(code: StatusCode, reason: &str, message: &str) -> Response {
    (code, axum::Json(json!({"kind": "Status", "reason": reason, "message": message, "code": code.as_u16()})))
        .into_response()
}

/// A member that accepts connections and never answers.
async fn black_hole() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    (address, holding)
}

#[tokio::test]
async fn f5_a_refusing_member_opens_its_breaker_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{address}"));
    let id = config_map("a").id;
    let mut last = None;
    for _ in 0..6 {
        last = Some(cluster.get(&id).await.unwrap_err());
    }
    let error = last.unwrap();
    assert!(matches!(error.reason, Reason::CircuitOpen { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.to_string().contains("connection refused"), "{error}");
    assert!(matches!(cluster.state(), BreakerState::Open { .. }));
    assert!(error.is_retryable() && error.is_about_the_cluster());
}

#[tokio::test]
async fn f5_server_errors_open_the_breaker_but_a_dead_webhook_does_not() {
    let fake = fake(|call, _| async move {
        let message =
            if call < 10 { "Internal error occurred: failed calling webhook \"x\": refused" } else { "boom" };
        refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    })
    .await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    for _ in 0..10 {
        let error = cluster.get(&config_map("a").id).await.unwrap_err();
        assert!(matches!(error.reason, Reason::Server { code: 500, .. }), "{error}");
    }
    assert_eq!(cluster.state(), BreakerState::Closed);
    for _ in 0..5 {
        cluster.get(&config_map("a").id).await.unwrap_err();
    }
    assert!(matches!(cluster.state(), BreakerState::Open { .. }));
    assert_eq!(fake.calls.load(Ordering::SeqCst), 15);
}

#[tokio::test]
async fn f6_black_holed_member_does_not_delay_others() {
    let (address, holding) = black_hole().await;
    let healthy = fake(|_, request| async move { applied(&request, StatusCode::CREATED) }).await;
    let deadline = Duration::from_millis(700);
    let clusters = clusters(deadline);
    let dead = connect(&clusters, &format!("http://{address}"));
    let well = connect(&clusters, &format!("http://{}", healthy.address));
    let objects: Vec<_> = (0..50).map(|i| config_map(&format!("a{i}"))).collect();
    let began = Instant::now();
    let options = ApplyOptions::default();
    let stuck = dead.apply(&objects, &options);
    let others = async {
        let applied = well.apply(&objects, &ApplyOptions::default()).await.unwrap();
        (applied, began.elapsed())
    };
    let (stuck, (applied, took)) = tokio::join!(stuck, others);
    assert_eq!(applied.changes.len(), 50);
    assert!(took < deadline, "the healthy member took {took:?}");
    let error = stuck.unwrap_err();
    assert!(began.elapsed() < deadline * 4, "the dead member took {:?}", began.elapsed());
    let text = error.to_string();
    assert!(text.contains("no answer within 0.7 s") && text.contains(&address.to_string()), "{text}");
    // The rest of the calls never go out once the breaker is open.
    for _ in 0..5 {
        dead.get(&config_map("a").id).await.unwrap_err();
    }
    let began = Instant::now();
    let error = dead.get(&config_map("a").id).await.unwrap_err();
    assert!(matches!(error.reason, Reason::CircuitOpen { .. }), "{error}");
    assert!(began.elapsed() < deadline / 2);
    holding.abort();
}

#[tokio::test]
async fn f6_a_member_that_stops_in_the_middle_of_an_answer_is_given_up() {
    let fake = fake(|_, _| async {
        let body = Body::from_stream(futures::StreamExt::chain(
            futures::stream::once(async { Ok::<_, std::io::Error>("{\"kind\":") }),
            futures::stream::pending(),
        ));
        Response::new(body)
    })
    .await;
    let clusters = clusters(Duration::from_millis(300));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    let error = cluster.get(&config_map("a").id).await.unwrap_err();
    assert!(matches!(error.reason, Reason::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn f7_retry_after_is_honoured_by_all_callers_together() {
    // Everything that arrives within the first second is refused.
    let began: Arc<std::sync::OnceLock<Instant>> = Arc::default();
    let fake = fake(move |_, request| {
        let began = began.clone();
        async move {
            let began = *began.get_or_init(Instant::now);
            if began.elapsed() < Duration::from_millis(900) {
                let answer = refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "slow down");
                return ([("retry-after", "1")], answer).into_response();
            }
            applied(&request, StatusCode::CREATED)
        }
    })
    .await;
    let clusters = clusters(Duration::from_secs(20));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    let objects: Vec<_> = (0..300).map(|i| config_map(&format!("a{i}"))).collect();
    let began = Instant::now();
    let applied =
        cluster.apply(&objects, &ApplyOptions { concurrency: 64, ..ApplyOptions::default() }).await.unwrap();
    assert_eq!(applied.changes.len(), 300);
    assert!(began.elapsed() >= Duration::from_secs(1), "the second was not waited for");
    let calls = fake.calls.load(Ordering::SeqCst);
    assert!(calls <= 330, "{calls} requests for 300 objects");
    assert_eq!(cluster.state(), BreakerState::Closed, "throttling is no failure");
}

#[tokio::test]
async fn f7_endless_throttling_ends_by_the_deadline_without_a_storm() {
    for retry_after in [None, Some("1")] {
        let fake = fake(move |_, _| async move {
            let answer = refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "slow down");
            match retry_after {
                Some(wait) => ([("retry-after", wait)], answer).into_response(),
                None => answer,
            }
        })
        .await;
        let clusters = clusters(Duration::from_millis(2500));
        let cluster = connect(&clusters, &format!("http://{}", fake.address));
        let ids: Vec<_> = (0..100).map(|i| config_map(&format!("a{i}")).id).collect();
        let errors = futures::future::join_all(ids.iter().map(|id| cluster.get(id))).await;
        for error in errors {
            let error = error.unwrap_err();
            assert!(matches!(error.reason, Reason::Throttled { .. }), "{error}");
        }
        let calls = fake.calls.load(Ordering::SeqCst);
        assert!(calls <= 110, "{calls} requests for 100 calls");
    }
}

#[tokio::test]
async fn f9_an_object_that_is_refused_is_named_and_the_others_stay() {
    let fake = fake(|_, request| async move {
        match request.uri().path().ends_with("/a7") {
            true => {
                refusal(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "ConfigMap \"a7\" is invalid: data: no")
            }
            false => applied(&request, StatusCode::CREATED),
        }
    })
    .await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    let objects: Vec<_> = (0..20).map(|i| config_map(&format!("a{i}"))).collect();
    let error = cluster.apply(&objects, &ApplyOptions::default()).await.unwrap_err();
    assert_eq!(error.failures.len(), 1);
    assert_eq!(error.failures[0].object.name, "a7");
    assert_eq!(error.applied.changes.len(), 19);
    assert_eq!(fake.calls.load(Ordering::SeqCst), 20, "one request per object");
    let text = error.to_string();
    assert!(text.contains("apply ConfigMap `n/a7`") && text.contains("is invalid: data: no"), "{text}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn f8_a_refused_secret_does_not_tell_its_values() {
    let fake = fake(|_, _| async {
        refusal(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            "Secret \"a\" is invalid: data[k]: Invalid value: \"hunter2\": bad; saw aHVudGVyMg==",
        )
    })
    .await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    let json = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "n"}, "data": {"k": "aHVudGVyMg=="}});
    let secret = Manifest::new(json, None).unwrap();
    let errors = [
        cluster.apply(std::slice::from_ref(&secret), &ApplyOptions::default()).await.unwrap_err().to_string(),
        cluster.create(&secret, "sluice").await.unwrap_err().to_string(),
        format!("{:?}", cluster.replace(&secret, "sluice").await.unwrap_err()),
    ];
    for text in errors {
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
        assert!(text.contains("data[k]"), "{text}");
    }
}

/// A server that answers the first call to an object by closing the connection, after having read the request.
async fn breaking_off(
    times: usize,
    then: serde_json::Value,
) -> (SocketAddr, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_until_cut(stream, times, then.clone(), counted.clone()));
        }
    });
    (address, calls, serving)
}

async fn answer_until_cut(
    mut stream: tokio::net::TcpStream,
    times: usize,
    then: serde_json::Value,
    calls: Arc<AtomicUsize>,
) {
    let mut request = vec![0; 64 << 10];
    while let Ok(read @ 1..) = stream.read(&mut request).await {
        let head = String::from_utf8_lossy(&request[..read]).into_owned();
        let body = match discovery(head.split(' ').nth(1).unwrap_or_default()) {
            Some(body) => body,
            None if calls.fetch_add(1, Ordering::SeqCst) < times => return,
            None => then.clone(),
        };
        let body = body.to_string();
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn f12_an_apply_whose_answer_is_lost_is_sent_once_more() {
    let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n", "resourceVersion": "1"}});
    let (address, calls, serving) = breaking_off(1, live).await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{address}"));
    let applied = cluster.apply(&[config_map("a")], &ApplyOptions::default()).await.unwrap();
    assert_eq!(applied.changes.len(), 1);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    serving.abort();
}

#[tokio::test]
async fn f12_a_create_whose_answer_is_lost_is_looked_up_not_repeated() {
    let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n", "uid": "1"}, "data": {"k": "v"}});
    let (address, calls, serving) = breaking_off(1, live).await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{address}"));
    let created = cluster.create(&config_map("a"), "sluice").await.unwrap();
    assert_eq!(created["metadata"]["uid"], "1");
    assert_eq!(calls.load(Ordering::SeqCst), 2, "one create, one look");
    serving.abort();
}

#[tokio::test]
async fn f13_a_watch_that_is_gone_begins_anew_with_a_list() {
    // list (not ready), watch: 410 within the stream, list (ready).
    let deployment = |available: i64| {
        json!({"metadata": {"name": "web", "generation": 1, "resourceVersion": "5"},
        "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": available,
        "availableReplicas": available, "conditions": [{"type": "Available", "status": "True"}]}})
    };
    let fake = fake(move |call, request| async move {
        if request.uri().query().is_some_and(|q| q.contains("watch=1")) {
            let gone =
                json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}});
            return format!("{gone}\n").into_response();
        }
        let available = i64::from(call > 1);
        axum::Json(json!({"metadata": {"resourceVersion": "9"}, "items": [deployment(available)]}))
            .into_response()
    })
    .await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    let id = ObjectId::new("apps/v1", "Deployment", "n", "web");
    let options = WaitOptions { timeout: Duration::from_secs(10), ..WaitOptions::default() };
    cluster.wait(&[id], &options).await.unwrap();
    assert_eq!(fake.calls.load(Ordering::SeqCst), 3, "list, watch, list");
}

#[tokio::test]
async fn f38_a_wait_ends_when_it_is_cancelled() {
    let fake = fake(|_, request| async move {
        if request.uri().query().is_some_and(|q| q.contains("watch=1")) {
            return Response::new(Body::from_stream(
                futures::stream::pending::<Result<&str, std::io::Error>>(),
            ));
        }
        axum::Json(json!({"metadata": {"resourceVersion": "9"}, "items": []})).into_response()
    })
    .await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    let options = WaitOptions::default();
    let id = [config_map("a").id];
    let (result, ()) = tokio::join!(cluster.wait(&id, &options), async {
        tokio::task::yield_now().await;
        options.cancel.cancel();
    });
    assert_eq!(result.unwrap_err().end, WaitEnd::Cancelled);
}

#[tokio::test]
async fn f31_a_rotated_kubeconfig_is_a_new_client_and_an_equal_one_is_not() {
    let clusters = clusters(Duration::from_secs(5));
    let one = connect(&clusters, "https://127.0.0.1:1");
    let again = connect(&clusters, "https://127.0.0.1:1");
    let other = connect(&clusters, "https://127.0.0.1:2");
    assert!(Arc::ptr_eq(&one.member, &again.member));
    assert!(!Arc::ptr_eq(&one.member, &other.member));
}

#[tokio::test]
async fn impersonation_goes_out_as_a_header() {
    let fake = fake(|_, request| async move {
        let user = request.headers().get("impersonate-user").unwrap().to_str().unwrap().to_owned();
        axum::Json(json!({"kind": "ConfigMap", "user": user})).into_response()
    })
    .await;
    let clusters = clusters(Duration::from_secs(5));
    let plain = connect(&clusters, &format!("http://{}", fake.address));
    let headers = [(
        http::HeaderName::from_static("impersonate-user"),
        http::HeaderValue::from_static("system:serviceaccount:apps:deployer"),
    )];
    let acting = Cluster { headers: headers.into(), ..plain };
    let answer = acting.get(&config_map("a").id).await.unwrap().unwrap();
    assert_eq!(answer["user"], "system:serviceaccount:apps:deployer");
}

#[tokio::test]
async fn an_unknown_kind_is_asked_for_once_more_and_then_named() {
    let fake = fake(|_, _| async { refusal(StatusCode::NOT_FOUND, "NotFound", "no") }).await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    let json = json!({"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": "a"}});
    let error =
        cluster.apply(&[Manifest::new(json, None).unwrap()], &ApplyOptions::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no matches for kind \"Widget\" in version \"x.io/v1\""), "{text}");
    assert_eq!(fake.calls.load(Ordering::SeqCst), 0, "nothing was applied");
}

#[tokio::test]
async fn f13_a_silent_watch_is_checked_by_a_list() {
    let fake = fake(|call, request| async move {
        if request.uri().query().is_some_and(|q| q.contains("watch=1")) {
            return Response::new(Body::from_stream(
                futures::stream::pending::<Result<&str, std::io::Error>>(),
            ));
        }
        // Gone by the second list, and nobody said so.
        let items = if call == 0 { json!([{"metadata": {"name": "a"}}]) } else { json!([]) };
        axum::Json(json!({"metadata": {"resourceVersion": "9"}, "items": items})).into_response()
    })
    .await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    let options = WaitOptions {
        wait_for: WaitFor::Deleted,
        timeout: Duration::from_secs(10),
        ..WaitOptions::default()
    };
    cluster.wait(&[config_map("a").id], &options).await.unwrap();
    assert_eq!(fake.calls.load(Ordering::SeqCst), 3, "list, watch, list");
}

#[tokio::test]
async fn f13_a_wait_outlives_a_server_that_comes_back() {
    let fake = fake(|call, _| async move {
        match call {
            0..3 => refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "starting"),
            _ => axum::Json(
                json!({"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "a"}}]}),
            )
            .into_response(),
        }
    })
    .await;
    let clusters = clusters(Duration::from_secs(5));
    let cluster = connect(&clusters, &format!("http://{}", fake.address));
    let options = WaitOptions { timeout: Duration::from_secs(30), ..WaitOptions::default() };
    cluster.wait(&[config_map("a").id], &options).await.unwrap();
    assert_eq!(fake.calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn h94_our_own_host_is_reached_only_by_impersonation() {
    let clusters = clusters(Duration::from_secs(5));
    let text = json!({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:9"}}],
    });
    let kubeconfig = SecretBytes::from(text.to_string().into_bytes());
    let error = clusters.connect(&kubeconfig, ClusterIdentity::default()).unwrap_err();
    assert_eq!(error.reason, KubeconfigReason::OwnHost("127.0.0.1:9".to_owned()));
    let impersonate = Some(ServiceAccount { namespace: "apps".to_owned(), name: "deployer".to_owned() });
    let identity = ClusterIdentity { object: "a test".to_owned(), impersonate };
    clusters.connect(&kubeconfig, identity).unwrap();
}
