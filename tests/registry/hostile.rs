//! Registries that mean harm, or are broken in ways that amount to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use sluice::source::{AddressPolicy, RegistryRequest, SourceLimits};

use crate::world::*;

#[tokio::test]
async fn h86_pages_that_lead_in_a_circle_are_left() {
    let registry = Registry::start().await;
    for n in 0..9 {
        registry.shelf().push(&format!("v{n}"), "x");
    }
    registry.shelf().page = 2;
    let client = client();
    registry.shelf().link = |_| "</v2/team/app/tags/list?n=1000>; rel=\"next\"".into();
    let error = client.tags(&registry.request()).await.unwrap_err();
    assert!(
        error.contains("the pages of the list do not end: a page leads back to one that was read already"),
        "{error}"
    );
    // Never the same address, and never anything new.
    registry.shelf().link = |_| format!("<?n=2&salt={}>; rel=\"next\"", uuid::Uuid::new_v4());
    let error = client.tags(&registry.request()).await.unwrap_err();
    assert!(error.contains("page after page brings nothing new"), "{error}");
}

#[tokio::test]
async fn h86_the_next_page_is_not_looked_for_elsewhere() {
    let registry = Registry::start().await;
    registry.shelf().guard = Guard::Basic("robot", "secret");
    registry.shelf().push("1", "x");
    registry.shelf().push("2", "x");
    registry.shelf().page = 1;
    let client = client();
    let request = RegistryRequest { credentials: login("robot", "secret"), ..registry.request() };
    registry.shelf().link = |_| "<http://localhost:1/v2/team/app/tags/list>; rel=\"next\"".into();
    let error = client.tags(&request).await.unwrap_err();
    assert!(
        error.contains(
            "the next page is said to be at `http://localhost:1/v2/team/app/tags/list`, another place"
        ),
        "{error}"
    );
}

/// A registry that sends everybody somewhere else.
async fn redirecting(target: String) -> Registry {
    let router = axum::Router::new().fallback(move |uri: Uri| {
        let target = target.clone();
        async move {
            match uri.path() {
                "/v2/" => {
                    (axum::http::StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")])
                        .into_response()
                }
                path => {
                    let location = format!("{target}{path}?{}", uri.query().unwrap_or_default());
                    (axum::http::StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)])
                        .into_response()
                }
            }
        }
    });
    Registry::serve(router, shelf()).await
}

#[tokio::test]
async fn s15_the_second_server_of_a_redirect_sees_no_authorization() {
    let second = Registry::start().await;
    second.shelf().push("1.0", "x");
    let first = redirecting(format!("http://{}", second.by_name())).await;
    let request = RegistryRequest { credentials: login("robot", "secret"), ..first.request() };
    assert_eq!(client().tags(&request).await.unwrap(), ["1.0"]);
    assert_eq!(second.asked(), ["GET /v2/team/app/tags/list?n=1000"]);
}

#[tokio::test]
async fn s14_addresses_are_judged_and_redirects_counted() {
    let limits = SourceLimits { addresses: AddressPolicy::NoLocal, ..SourceLimits::default() };
    let strict = client_with(limits);
    let registry = Registry::start().await;
    for host in [registry.host.clone(), registry.by_name()] {
        let image = sluice::source::ImageName::parse(&format!("{host}/team/app")).unwrap();
        let error = strict.tags(&RegistryRequest::new(image)).await.unwrap_err();
        assert!(error.contains("is not allowed"), "{error}");
    }
    assert!(registry.asked().is_empty());
    let circle = redirecting(String::new()).await;
    let error = client().tags(&circle.request()).await.unwrap_err();
    assert!(error.contains("too many redirects"), "{error}");
}

/// A registry whose list never ends: a byte now and then, or as many as fit.
async fn endless(pause: Option<Duration>, sent: Arc<AtomicUsize>) -> Registry {
    let router = axum::Router::new().fallback(move |uri: Uri| {
        let sent = Arc::clone(&sent);
        async move {
            if uri.path() == "/v2/" {
                return Response::new(Body::empty());
            }
            let chunk =
                if pause.is_some() { Bytes::from_static(b" ") } else { Bytes::from(vec![b' '; 1 << 20]) };
            let chunks = futures::stream::repeat(chunk).then(move |chunk| {
                let sent = Arc::clone(&sent);
                async move {
                    if let Some(pause) = pause {
                        tokio::time::sleep(pause).await;
                    }
                    sent.fetch_add(chunk.len(), Ordering::Relaxed);
                    Ok::<_, std::io::Error>(chunk)
                }
            });
            Response::new(Body::from_stream(chunks))
        }
    });
    Registry::serve(router, shelf()).await
}

#[tokio::test]
async fn s20_an_endless_list_ends_at_its_limit() {
    let sent = Arc::new(AtomicUsize::new(0));
    let registry = endless(None, Arc::clone(&sent)).await;
    let error = client().tags(&registry.request()).await.unwrap_err();
    assert!(error.contains("a page of tags exceeds the limit of 52428800"), "{error}");
    assert!(sent.load(Ordering::Relaxed) < 80 << 20, "it is not read on");
}

#[tokio::test]
async fn s20_a_list_that_drips_ends_with_its_time() {
    let registry = endless(Some(Duration::from_millis(20)), Arc::default()).await;
    let request = RegistryRequest { timeout: Duration::from_millis(700), ..registry.request() };
    let error = client().tags(&request).await.unwrap_err();
    assert!(error.contains("no result within 0.7s\nhint: raise `spec.timeout`"), "{error}");
}

#[tokio::test]
async fn what_is_no_registry_is_named_and_not_repeated() {
    let router =
        axum::Router::new().fallback(|| async { axum::response::Html("<html>\u{1b}[31m canary</html>") });
    let registry = Registry::serve(router, shelf()).await;
    let error = client().tags(&registry.request()).await.unwrap_err();
    assert!(
        error.contains("unexpected answer: no list of tags (line 1, column 1)") && !error.contains("canary"),
        "{error}"
    );
    let error = client().digest(&registry.request(), "1.0").await.unwrap_err();
    assert!(error.contains("content type `text/html; charset=utf-8`, which is no manifest's"), "{error}");
}

#[tokio::test]
async fn h77_words_of_a_registry_cannot_steer_a_terminal() {
    let registry = Registry::start().await;
    let body = "{\"errors\": [{\"code\": \"X\", \"message\": \"\\u001b[2J\\n\"}]}";
    registry
        .shelf()
        .faults
        .extend([Fault { status: 200, headers: &[], body: "" }, Fault { status: 400, headers: &[], body }]);
    let error = client().tags(&registry.request()).await.unwrap_err();
    assert!(!error.contains('\u{1b}') && error.contains("X: \\u{1b}[2J"), "{error}");
}
