//! An issuer of identity tokens on loopback: it shows keys, signs with one of them, and counts who asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{KeyPair, RsaKeyPair, RsaPublicKeyComponents};
use tokio::net::TcpListener;

use super::*;

const KEY: &str = include_str!("../../../tests/support/issuer.pem");

/// 12:00, when the world of these tests stands.
pub(super) const NOON: i64 = 1_772_366_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Answers.
    Well,
    /// Answers 500.
    Down,
    /// Answers with more than anybody wants.
    Verbose,
    /// Does not answer.
    Silent,
}

#[derive(Debug)]
struct Shown {
    asked: AtomicUsize,
    mood: std::sync::Mutex<Mood>,
    /// The number in the key's id: the issuer shows only its newest.
    generation: AtomicU32,
}

/// The issuer; its server ends with the test's runtime.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    pub(super) url: String,
    shown: Arc<Shown>,
}

fn key() -> RsaKeyPair {
    let pem: String = KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap()
}

impl Issuer {
    pub(super) async fn start() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shown = Arc::new(Shown {
            asked: AtomicUsize::new(0),
            mood: std::sync::Mutex::new(Mood::Well),
            generation: AtomicU32::new(1),
        });
        let issuer = Self { url: url.clone(), shown };
        let (keys, about) = (issuer.clone(), issuer.clone());
        let router =
            axum::Router::new().route("/certs", get(move || async move { keys.certs().await })).route(
                "/.well-known/openid-configuration",
                get(move || async move {
                    let url = &about.url;
                    axum::Json(json!({"issuer": url, "jwks_uri": format!("{url}/certs"),
                        "id_token_signing_alg_values_supported": ["RS256"]}))
                }),
            );
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    async fn certs(&self) -> axum::response::Response {
        self.shown.asked.fetch_add(1, Ordering::SeqCst);
        let mood = *self.shown.mood.lock().unwrap();
        let components: RsaPublicKeyComponents<Vec<u8>> = key().public_key().into();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys = json!({"keys": [
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "RSA", "use": "enc", "kid": "enc", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id(),
             "n": part(&components.n),
             "e": part(&components.e)},
        ]});
        match mood {
            Mood::Well => {
                ([(header::CACHE_CONTROL, "public, max-age=600, must-revalidate")], axum::Json(keys))
                    .into_response()
            }
            Mood::Down => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Mood::Verbose => format!("{keys}{}", " ".repeat(1 << 20)).into_response(),
            Mood::Silent => std::future::pending().await,
        }
    }

    pub(super) fn asked(&self) -> usize {
        self.shown.asked.load(Ordering::SeqCst)
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.shown.mood.lock().unwrap() = mood;
    }

    /// From now on another key is shown and signed with.
    pub(super) fn rotate(&self) {
        self.shown.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn key_id(&self) -> String {
        format!("key-{}", self.shown.generation.load(Ordering::SeqCst))
    }

    /// A token with these claims.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": "RS256", "kid": self.key_id(), "typ": "JWT"}), claims)
    }

    /// The same with a header of one's own; the signature is RS256's.
    pub(super) fn token_with(&self, head: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(head), part(claims));
        let key = key();
        let mut signature = vec![0; key.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        key.sign(&ring::signature::RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
