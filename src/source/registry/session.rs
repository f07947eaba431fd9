//! One question to one registry: which scheme, whose authorization, how often, how far a redirect is followed.
//!
//! Knows requests and answers, and neither tags nor digests.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::challenge::{self, Challenge};
use super::client::Wanted;
use super::error::{RegistryErrorKind as Kind, passes};
use super::{Known, Registries, RegistryCredentials, RegistryRequest, limits};
use crate::source::git::shown;
use crate::source::limits::AddressPolicy;
use crate::source::transport::{causes, literal};

/// A request under way.
pub(super) struct Session<'a> {
    pub(super) room: &'a Registries,
    pub(super) request: &'a RegistryRequest,
    /// Names registry, transport and credentials: what is remembered between questions belongs to it.
    identity: [u8; 32],
    known: Known,
    /// What the registry missed in our last token.
    scope: Option<String>,
}

/// One HTTP request, before it is authorized.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: &'a str,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) form: Option<String>,
    pub(super) addresses: AddressPolicy,
}

impl<'a> Session<'a> {
    /// Greets the registry, if that was not done before: its scheme and what it wants to see.
    pub(super) async fn open(room: &'a Registries, request: &'a RegistryRequest) -> Result<Self, Kind> {
        let identity = request.identity();
        let remembered = room.known.lock().expect("held for one look-up").get(&identity).cloned();
        if let Some(known) = remembered {
            return Ok(Self { room, request, identity, known, scope: None });
        }
        let endpoint = request.image.endpoint();
        let base = |scheme: &str| {
            Url::parse(&format!("{scheme}://{endpoint}/")).map_err(|error| Kind::Protocol(error.to_string()))
        };
        let mut session = Self {
            room,
            request,
            identity,
            known: Known { base: base("https")?, challenge: None },
            scope: None,
        };
        session.known.challenge = if request.insecure || request.image.is_local() {
            session.greet_either(base("http")?).await?
        } else {
            session.greet(&limits::PAUSES).await?
        };
        session.remember();
        Ok(session)
    }

    /// As go-containerregistry: https is tried even where plain http will do, so that credentials do not go out in
    /// clear needlessly. Once, and not for long: most registries asked this way have none.
    async fn greet_either(&mut self, http: Url) -> Result<Option<Challenge>, Kind> {
        let secure = match tokio::time::timeout(limits::HTTPS_TRIAL, self.greet(&[])).await {
            Ok(Err(kind @ (Kind::Connect(_) | Kind::Connection(_)))) => kind.to_string(),
            Ok(greeted) => return greeted,
            Err(_) => "no answer over https".to_owned(),
        };
        self.known.base = http;
        // Which of the two is meant is not known here, so both are told.
        self.greet(&limits::PAUSES).await.map_err(|kind| match kind {
            Kind::Connect(plain) | Kind::Connection(plain) => {
                Kind::Connect(format!("{secure}; over http: {plain}"))
            }
            other => other,
        })
    }

    async fn greet(&self, pauses: &[Duration]) -> Result<Option<Challenge>, Kind> {
        let call = self.call(Method::GET, self.at("v2/")?, "*/*");
        let response = self.send_again(&call, pauses).await?;
        // Some registries answer 403 or 404 here; only a challenge tells something.
        Ok(match response.status() {
            StatusCode::UNAUTHORIZED => {
                challenge::of(response.headers()).map(|challenge| challenge.without_scope().0)
            }
            _ => None,
        })
    }

    fn remember(&self) {
        let mut known = self.room.known.lock().expect("held for one insert");
        if known.len() >= limits::REMEMBERED {
            known.clear();
        }
        known.insert(self.identity, self.known.clone());
    }

    /// The next question begins anew: the registry may have moved behind https, or lost it.
    pub(super) fn forget(room: &Registries, request: &RegistryRequest) {
        room.known.lock().expect("held for one removal").remove(&request.identity());
    }

    pub(super) fn identity(&self) -> &[u8; 32] {
        &self.identity
    }

    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    pub(super) fn base(&self) -> &Url {
        &self.known.base
    }

    /// A URL below the registry's root.
    pub(super) fn at(&self, path: &str) -> Result<Url, Kind> {
        self.known.base.join(path).map_err(|error| Kind::Protocol(error.to_string()))
    }

    pub(super) fn call<'c>(&self, method: Method, url: Url, accept: &'c str) -> Call<'c> {
        Call { method, url, accept, authorization: None, form: None, addresses: self.room.addresses }
    }

    /// Asks the registry with whatever authorization it wants, and once more with a new one if it is not content.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        url: Url,
        accept: &str,
    ) -> Result<reqwest::Response, Kind> {
        let mut call = self.call(method, url, accept);
        call.authorization = self.authorization(false).await?;
        let response = self.persist(&call).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        // A token that has run out or lacks a scope, or a registry that was open to all when it was greeted.
        if let Some(wanted) = challenge::of(response.headers()) {
            // The scope is this image's; what is remembered is for all images of the registry.
            let (wanted, scope) = wanted.without_scope();
            self.scope = scope;
            if self.known.challenge.as_ref() != Some(&wanted) {
                self.known.challenge = Some(wanted);
                self.remember();
            }
        }
        let again = matches!(self.known.challenge, Some(Challenge::Bearer(_)))
            || self.known.challenge.is_some() && call.authorization.is_none();
        if !again {
            return Err(refused(response).await);
        }
        call.authorization = self.authorization(true).await?;
        if call.authorization.is_none() {
            return Err(refused(response).await);
        }
        drop(response);
        let response = self.persist(&call).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(refused(response).await),
            _ => Ok(response),
        }
    }

    /// What the registry wants to see, if we have it.
    async fn authorization(&self, anew: bool) -> Result<Option<HeaderValue>, Kind> {
        let Some(challenge) = &self.known.challenge else { return Ok(None) };
        match (&self.request.credentials, challenge) {
            (RegistryCredentials::Bearer(token), _) => bearer(token).map(Some),
            (RegistryCredentials::Basic { username, password }, Challenge::Basic) => {
                basic(username, password).map(Some)
            }
            (RegistryCredentials::Anonymous | RegistryCredentials::Identity(_), Challenge::Basic) => Ok(None),
            (_, Challenge::Bearer(realm)) => bearer(&self.token(realm, anew).await?).map(Some),
        }
    }

    /// Sends a request, again after a pause if the answer is one that passes.
    pub(super) async fn persist(&self, call: &Call<'_>) -> Result<reqwest::Response, Kind> {
        self.send_again(call, &limits::PAUSES).await
    }

    async fn send_again(&self, call: &Call<'_>, pauses: &[Duration]) -> Result<reqwest::Response, Kind> {
        let mut pauses = pauses.iter();
        loop {
            let failure = match self.follow(call).await {
                Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
                    let retry_after = retry_after(response.headers());
                    return Err(Kind::Throttled { retry_after, words: words(response).await });
                }
                Ok(response) if passes(response.status().as_u16()) => {
                    let status = response.status().as_u16();
                    Kind::Status { status, words: words(response).await }
                }
                Ok(response) => return Ok(response),
                Err(kind) => kind,
            };
            match pauses.next() {
                Some(pause) if failure.is_passing() => tokio::time::sleep(*pause).await,
                _ => return Err(failure),
            }
        }
    }

    /// Sends a request and goes where the answer leads. The authorization does not leave its origin.
    async fn follow(&self, call: &Call<'_>) -> Result<reqwest::Response, Kind> {
        let mut url = call.url.clone();
        for _ in 0..=limits::REDIRECTS {
            let response = self.send(call, &url).await?;
            // A form holds a token; where it goes next is not for the answer to say.
            if !response.status().is_redirection() || call.form.is_some() {
                return Ok(response);
            }
            let Some(target) = target(&url, response.headers()) else {
                return Ok(response);
            };
            if target.scheme() != "https" && url.scheme() == "https" {
                return Err(Kind::Redirect(without_secrets(&target)));
            }
            url = target;
        }
        Err(Kind::Protocol("too many redirects".to_owned()))
    }

    async fn send(&self, call: &Call<'_>, url: &Url) -> Result<reqwest::Response, Kind> {
        let proxy = self.request.proxy.as_ref();
        if proxy.is_none()
            && let Some(address) = literal(url)
            && !call.addresses.allows(address)
        {
            return Err(Kind::ForbiddenAddress(address));
        }
        let client = self.room.clients.get(&Wanted {
            secure: url.scheme() == "https",
            tls: &self.request.tls,
            proxy,
            addresses: call.addresses,
        })?;
        let mut request = client.request(call.method.clone(), url.clone()).header(ACCEPT, call.accept);
        if let Some(value) = call.authorization.as_ref().filter(|_| same_origin(&call.url, url)) {
            request = request.header(AUTHORIZATION, value.clone());
        }
        if let Some(form) = &call.form {
            request = request
                .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.clone());
        }
        request.send().await.map_err(|error| match error.is_connect() {
            true => Kind::Connect(causes(&error)),
            false => Kind::Connection(causes(&error)),
        })
    }
}

pub(super) fn basic(username: &str, password: &SecretString) -> Result<HeaderValue, Kind> {
    let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
    sensitive(format!("Basic {pair}"))
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Kind> {
    sensitive(format!("Bearer {}", token.expose_secret().trim()))
}

fn sensitive(text: String) -> Result<HeaderValue, Kind> {
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Kind::InvalidCredentials("the token holds control characters".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

fn target(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let target = from.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    matches!(target.scheme(), "http" | "https").then_some(target)
}

/// A URL that may be shown: queries of redirects hold signatures.
pub(super) fn without_secrets(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    shown(&format!("{}://{host}{port}{}", url.scheme(), url.path()), limits::WORDS)
}

/// Seconds; a date is as good as nothing, because the clocks may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Reads a body that may not be longer than `limit`.
pub(super) async fn body(mut response: reqwest::Response, what: &str, limit: usize) -> Result<Vec<u8>, Kind> {
    let too_large = || Kind::TooLarge { what: what.to_owned(), limit: limit as u64 };
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > limit => return Err(too_large()),
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Err(error) => return Err(Kind::Connection(causes(&error))),
        }
    }
}

/// The credentials, or their absence, were not good enough.
pub(super) async fn refused(response: reqwest::Response) -> Kind {
    let status = format!("HTTP {}", response.status().as_u16());
    Kind::Unauthorized(words(response).await.unwrap_or(status))
}

/// What an answer that is neither a success nor one that passes means.
pub(super) async fn failure(response: reqwest::Response) -> Kind {
    let status = response.status().as_u16();
    match status {
        401 | 403 => refused(response).await,
        404 => Kind::NotFound(words(response).await.unwrap_or_else(|| "HTTP 404".to_owned())),
        _ => Kind::Status { status, words: words(response).await },
    }
}

/// What a registry says about its error: `NAME_UNKNOWN: repository name not known to registry`.
async fn words(response: reqwest::Response) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct One {
        code: String,
        message: String,
    }
    let bytes = body(response, "the error", limits::ERROR_BYTES).await.ok()?;
    let found: Errors = serde_json::from_slice(&bytes).ok()?;
    let texts: Vec<String> =
        found.errors.iter().map(|one| format!("{}: {}", one.code, one.message)).collect();
    (!texts.is_empty()).then(|| shown(&texts.join("; "), limits::WORDS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Clock;
    use crate::source::{AddressPolicy, ImageName};

    /// On loopback nothing can redirect to what is forbidden and be allowed itself, so this looks from inside.
    #[tokio::test]
    async fn s14_where_an_answer_leads_is_judged_too() {
        let room = Registries::new(AddressPolicy::NoLocal, Clock::system());
        let request = RegistryRequest::new(ImageName::parse("registry.example.com/team/app").unwrap());
        let base = Url::parse("https://registry.example.com/").unwrap();
        let known = Known { base: base.clone(), challenge: None };
        let session = Session { room: &room, request: &request, identity: [0; 32], known, scope: None };
        let call = session.call(Method::GET, base, "*/*");
        let target = Url::parse("http://169.254.169.254/x").unwrap();
        assert!(matches!(session.send(&call, &target).await, Err(Kind::ForbiddenAddress(_))));
    }
}
