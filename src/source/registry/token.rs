//! Tokens: had from the realm a registry names, kept until shortly before they run out.
//!
//! Decides nothing about whom to trust; `challenge.rs` does.

use std::time::Duration;

use http::header::HeaderValue;
use http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;
use url::form_urlencoded::Serializer;

use super::challenge::{self, Realm, Trust};
use super::error::RegistryErrorKind as Kind;
use super::session::{Call, Session, basic, body, failure, without_secrets};
use super::{RegistryCredentials, limits};
use crate::model::Timestamp;
use crate::source::git::shown;
use crate::source::limits::AddressPolicy;

/// How long a token lasts when nothing is said, and the least the specification allows.
const UNSAID: Duration = Duration::from_secs(60);
/// The longest a token is kept, whatever is said.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A token and how long to use it.
#[derive(Clone)]
pub(super) struct Token {
    secret: SecretString,
    until: Timestamp,
}

/// The answer of a realm. No `Debug`: it holds secrets.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

impl Session<'_> {
    /// A token for reading the image; a kept one unless `anew`.
    pub(super) async fn token(&self, realm: &Realm, anew: bool) -> Result<SecretString, Kind> {
        let scopes = self.scopes();
        let key = self.key(realm, &scopes);
        let now = self.room.clock.now();
        if !anew {
            let tokens = self.room.tokens.lock().expect("held for one look-up");
            if let Some(token) = tokens.get(&key).filter(|token| now < token.until) {
                return Ok(token.secret.clone());
            }
        }
        let answer = self.fetch(realm, &scopes).await?;
        let said = answer.expires_in.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        let lasts =
            said.map_or(UNSAID, |seconds| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())));
        let secret = answer.access_token.or(answer.token).filter(|token| !token.is_empty());
        let secret =
            secret.ok_or_else(|| Kind::Protocol("no token in the answer to the log-in".to_owned()))?;
        // Renewed with a fifth of its time left, so that no request is refused first, and a list does not outlive it.
        let until = now.saturating_add(lasts.mul_f64(0.8)).unwrap_or(now);
        let token = Token { secret: SecretString::from(secret), until };
        let mut tokens = self.room.tokens.lock().expect("held for one insert");
        if tokens.len() >= limits::REMEMBERED {
            tokens.retain(|_, token| now < token.until);
            if tokens.len() >= limits::REMEMBERED {
                tokens.clear();
            }
        }
        let secret = token.secret.clone();
        tokens.insert(key, token);
        Ok(secret)
    }

    /// Pulling this image, and whatever else the registry named.
    fn scopes(&self) -> Vec<String> {
        let own = format!("repository:{}:pull", self.request.image.repository());
        let named = self.scope().filter(|scope| *scope != own && scope.starts_with("repository:"));
        // Some look only at the first scope, and the one that was missed is the registry's.
        named.map(str::to_owned).into_iter().chain([own]).collect()
    }

    fn key(&self, realm: &Realm, scopes: &[String]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.identity());
        let service = realm.service.as_deref().unwrap_or_default();
        for part in [realm.url.as_str(), service].into_iter().chain(scopes.iter().map(String::as_str)) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    async fn fetch(&self, realm: &Realm, scopes: &[String]) -> Result<Answer, Kind> {
        let credentials = &self.request.credentials;
        let refuse = |reason: &str| {
            let place =
                Url::parse(&realm.url).map_or_else(|_| shown(&realm.url, 100), |url| without_secrets(&url));
            Kind::Realm { realm: place, reason: reason.to_owned() }
        };
        let (url, addresses) = match challenge::judge(&realm.url, self.base()) {
            Trust::Ours(url) => (url, self.room.addresses),
            // Nobody's token service is on this machine or at a cloud's metadata address.
            Trust::Strangers(url) if matches!(credentials, RegistryCredentials::Anonymous) => {
                (url, AddressPolicy::NoLocal)
            }
            Trust::Strangers(_) => return Err(refuse("that is another's place")),
            Trust::Refused(reason) => return Err(refuse(&reason)),
        };
        if let RegistryCredentials::Identity(refresh) = credentials {
            let form = self.form(realm, scopes, refresh);
            let mut call = self.call(Method::POST, url.clone(), "application/json");
            (call.form, call.addresses) = (Some(form), addresses);
            let response = self.persist(&call).await?;
            // Not every service knows this way; the other is known to all.
            if response.status() != StatusCode::NOT_FOUND {
                return read(response).await;
            }
        }
        let authorization = match credentials {
            RegistryCredentials::Basic { username, password } => Some(basic(username, password)?),
            _ => None,
        };
        let call = self.plain(realm, scopes, url, authorization, addresses);
        read(self.persist(&call).await?).await
    }

    /// The way all services know: a GET with the credentials in its header.
    fn plain(
        &self,
        realm: &Realm,
        scopes: &[String],
        mut url: Url,
        authorization: Option<HeaderValue>,
        addresses: AddressPolicy,
    ) -> Call<'static> {
        url.set_fragment(None);
        let mut query = url.query_pairs_mut();
        if let Some(service) = &realm.service {
            query.append_pair("service", service);
        }
        for scope in scopes {
            query.append_pair("scope", scope);
        }
        drop(query);
        let mut call = self.call(Method::GET, url, "application/json");
        (call.authorization, call.addresses) = (authorization, addresses);
        call
    }

    /// OAuth's way, for refresh tokens.
    fn form(&self, realm: &Realm, scopes: &[String], refresh: &SecretString) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("client_id", "sluice")
            .append_pair("scope", &scopes.join(" "))
            .append_pair("refresh_token", refresh.expose_secret());
        if let Some(service) = &realm.service {
            form.append_pair("service", service);
        }
        form.finish()
    }
}

async fn read(response: reqwest::Response) -> Result<Answer, Kind> {
    if response.status() != StatusCode::OK {
        return Err(match failure(response).await {
            Kind::NotFound(words) => Kind::Protocol(format!("the log-in is not there ({words})")),
            other => other,
        });
    }
    let bytes = body(response, "the answer to the log-in", limits::TOKEN_BYTES).await?;
    // What it says is not repeated: it may hold a token.
    serde_json::from_slice(&bytes)
        .map_err(|_| Kind::Protocol("the answer to the log-in is no JSON".to_owned()))
}
