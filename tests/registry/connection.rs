//! TLS, proxies.

use std::sync::{Arc, Mutex};

use axum::extract::Request;
use rustls::server::WebPkiClientVerifier;
use sluice::source::{ClientCertificate, ImageName, Proxy, RegistryRequest, TlsMaterial};

use crate::world::*;

/// Serves a registry over TLS to those who show a certificate of `clients`.
async fn tls(
    router: axum::Router,
    certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
    clients: &rcgen::Certificate,
) -> (String, tokio::task::JoinHandle<()>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(clients.der().clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let service = hyper_util::service::TowerToHyperService::new(router);
                let io = hyper_util::rt::TokioIo::new(stream);
                hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.ok();
            });
        }
    });
    (host, task)
}

#[tokio::test]
async fn certificates_of_both_sides_are_those_of_the_secret() {
    let server = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ours = rcgen::generate_simple_self_signed(["sluice".to_owned()]).unwrap();
    let shelf = shelf();
    shelf.lock().unwrap().push("1.0", "x");
    shelf.lock().unwrap().guard = Guard::Basic("robot", "secret");
    let (host, task) = tls(router(Arc::clone(&shelf)), &server, &ours.cert).await;
    let client = client();
    let mut request = RegistryRequest::new(ImageName::parse(&format!("{host}/team/app")).unwrap());
    request.credentials = login("robot", "secret");
    // An unknown certificate; nothing is sent in clear instead, because nobody answers there.
    let error = client.tags(&request).await.unwrap_err();
    assert!(error.contains("`spec.certSecretRef`"), "{error}");
    assert!(shelf.lock().unwrap().asked.is_empty());
    request.tls = TlsMaterial {
        ca: Some(server.cert.pem().into_bytes()),
        client: Some(ClientCertificate {
            certificate: ours.cert.pem().into_bytes(),
            key: ours.signing_key.serialize_pem().into(),
        }),
    };
    assert_eq!(client.tags(&request).await.unwrap(), ["1.0"]);
    request.tls.ca = Some(b"no certificate".to_vec());
    let error = client.sources.image_tags(&request).await.unwrap_err();
    assert_eq!(error.reason(), "AuthenticationFailed", "{error}");
    assert!(error.to_string().contains("`ca.crt` holds no certificate"), "{error}");
    task.abort();
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_registry_with_its_own_login() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let inner = shelf();
    inner.lock().unwrap().push("1.0", "x");
    let registry = router(Arc::clone(&inner));
    let proxy = axum::Router::new().fallback(move |request: Request| {
        let (log, registry) = (Arc::clone(&log), registry.clone());
        async move {
            let login = request.headers().contains_key("proxy-authorization");
            log.lock().unwrap().push(format!("{} {} {login}", request.method(), request.uri()));
            use tower::ServiceExt as _;
            registry.oneshot(request).await.unwrap()
        }
    });
    let proxy = Registry::serve(proxy, Arc::clone(&inner)).await;
    let mut request = RegistryRequest::new(ImageName::parse("registry.invalid/team/app").unwrap());
    request.insecure = true;
    request.proxy = Some(Proxy {
        address: format!("http://{}", proxy.host),
        username: Some("proxy".into()),
        password: Some("secret".to_owned().into()),
    });
    assert_eq!(client().tags(&request).await.unwrap(), ["1.0"]);
    let seen = seen.lock().unwrap();
    assert!(
        seen.contains(&"GET http://registry.invalid/v2/team/app/tags/list?n=1000 true".to_owned()),
        "{seen:?}"
    );
}
