//! Who we are, and who is told.

use std::time::Duration;

use sluice::source::{DockerConfig, RegistryCredentials, RegistryRequest};

use crate::world::*;

/// A registry that wants tokens, with one image.
async fn guarded(login: Option<(&'static str, &'static str)>) -> Registry {
    let registry = Registry::start().await;
    registry.guard_with_tokens(login);
    registry.shelf().push("1.0", "x");
    registry
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_until_shortly_before_its_end() {
    let registry = guarded(Some(("robot", "secret"))).await;
    registry.shelf().lifetime = Some(300);
    let client = client();
    let request = RegistryRequest { credentials: login("robot", "secret"), ..registry.request() };
    assert_eq!(client.tags(&request).await.unwrap(), ["1.0"]);
    assert_eq!(
        registry.asked(),
        [
            "GET /v2/",
            "GET /token?service=registry&scope=repository%3Ateam%2Fapp%3Apull Basic",
            "GET /v2/team/app/tags/list?n=1000 Bearer",
        ]
    );
    client.clock.advance(Duration::from_secs(200));
    client.tags(&request).await.unwrap();
    assert_eq!(registry.asked(), ["GET /v2/team/app/tags/list?n=1000 Bearer"]);
    // F17: renewed early, not when it is refused.
    client.clock.advance(Duration::from_secs(60));
    client.tags(&request).await.unwrap();
    let asked = registry.asked();
    assert!(
        asked.len() == 2 && asked[0].starts_with("GET /token") && asked[1].ends_with("Bearer"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn f17_a_token_that_is_refused_is_renewed_once() {
    let registry = guarded(None).await;
    let client = client();
    client.tags(&registry.request()).await.unwrap();
    registry.shelf().tokens.clear();
    registry.asked();
    assert_eq!(client.tags(&registry.request()).await.unwrap(), ["1.0"]);
    let asked: Vec<String> =
        registry.asked().iter().map(|line| line.split('?').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(asked, ["GET /v2/team/app/tags/list", "GET /token", "GET /v2/team/app/tags/list"]);
}

#[tokio::test]
async fn name_and_password_are_shown_to_registries_that_want_them_and_a_refusal_is_told() {
    let registry = Registry::start().await;
    registry.shelf().guard = Guard::Basic("robot", "secret");
    registry.shelf().push("1.0", "x");
    let client = client();
    let json =
        format!(r#"{{"auths": {{"{}": {{"username": "robot", "password": "secret"}}}}}}"#, registry.host);
    let credentials = DockerConfig::parse(json.as_bytes()).unwrap().for_image(&registry.image()).unwrap();
    let request = RegistryRequest { credentials, ..registry.request() };
    assert_eq!(client.tags(&request).await.unwrap(), ["1.0"]);
    for credentials in [login("robot", "wrong"), RegistryCredentials::Anonymous] {
        let request = RegistryRequest { credentials, ..registry.request() };
        let error = client.tags(&request).await.unwrap_err();
        assert_eq!(
            error,
            format!(
                "failed to list the tags of `{}/team/app`: the registry refused the credentials (UNAUTHORIZED: authentication required)\nhint: check `spec.secretRef`",
                registry.host
            )
        );
    }
    registry.guard_with_tokens(Some(("robot", "secret")));
    let request = RegistryRequest { credentials: login("robot", "wrong"), ..registry.request() };
    let error = client.tags(&request).await.unwrap_err();
    assert!(error.contains("(UNAUTHORIZED: incorrect username or password)"), "{error}");
}

#[tokio::test]
async fn tokens_that_are_given_are_used_as_they_are() {
    let registry = guarded(Some(("robot", "secret"))).await;
    registry.shelf().tokens.insert("given".to_owned());
    let credentials = RegistryCredentials::Bearer("given".to_owned().into());
    let request = RegistryRequest { credentials, ..registry.request() };
    assert_eq!(client().tags(&request).await.unwrap(), ["1.0"]);
    assert!(!registry.asked().iter().any(|line| line.contains("/token")));
}

#[tokio::test]
async fn refresh_tokens_are_exchanged_by_a_form() {
    let registry = guarded(None).await;
    let credentials = RegistryCredentials::Identity("refresh".to_owned().into());
    let request = RegistryRequest { credentials, ..registry.request() };
    assert_eq!(client().tags(&request).await.unwrap(), ["1.0"]);
    let form = "grant_type=refresh_token&client_id=sluice&scope=repository%3Ateam%2Fapp%3Apull&refresh_token=refresh&service=registry";
    let asked = registry.asked();
    assert!(asked.contains(&format!("POST /token {form}")), "{asked:?}");
}

#[tokio::test]
async fn one_persons_token_is_not_used_for_another() {
    let registry = guarded(None).await;
    let client = client();
    for name in ["alice", "bob"] {
        let request = RegistryRequest { credentials: login(name, "x"), ..registry.request() };
        client.tags(&request).await.unwrap();
    }
    assert_eq!(registry.shelf().issued, 2);
}

#[tokio::test]
async fn a_scope_that_was_named_for_one_image_is_not_asked_for_with_another() {
    let registry = guarded(None).await;
    let client = client();
    client.tags(&registry.request()).await.unwrap();
    // The token is refused, and the refusal names the scope of `team/app`.
    registry.shelf().tokens.clear();
    client.tags(&registry.request()).await.unwrap();
    registry.asked();
    let mut other = registry.request();
    other.image = sluice::source::ImageName::parse(&format!("{}/team/other", registry.host)).unwrap();
    assert!(client.tags(&other).await.unwrap_err().contains("repository not found"));
    assert_eq!(registry.asked()[0], "GET /token?service=registry&scope=repository%3Ateam%2Fother%3Apull");
}

#[tokio::test]
async fn h85_credentials_are_not_sent_to_a_realm_at_another_host() {
    let (registry, thief) = (Registry::start().await, Registry::start().await);
    let client = client();
    // The same machine under another name is another host.
    registry.shelf().guard = Guard::Token { realm: format!("http://{}/token", thief.by_name()), login: None };
    let request = RegistryRequest { credentials: login("robot", "secret"), ..registry.request() };
    let error = client.tags(&request).await.unwrap_err();
    assert!(
        error.contains(&format!(
            "the registry sends for tokens to `http://{}/token`, and that is another's place",
            thief.by_name()
        )),
        "{error}"
    );
    // Without credentials there is nothing to lose but a look at our own network.
    let error = client.tags(&registry.request()).await.unwrap_err();
    assert!(error.contains("is not allowed"), "{error}");
    assert!(thief.asked().is_empty());
}

#[tokio::test]
async fn s14_a_realm_at_a_clouds_metadata_address_is_not_asked() {
    let registry = Registry::start().await;
    let client = client();
    for realm in
        ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://127.0.0.2:1/"]
    {
        registry.shelf().guard = Guard::Token { realm: realm.to_owned(), login: None };
        let error = client.tags(&registry.request()).await.unwrap_err();
        assert!(error.contains("is not allowed"), "{realm}: {error}");
    }
}
