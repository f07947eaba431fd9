//! git over http(s): the requests of the smart protocol on a shared, keep-alive client.
//!
//! Follows no redirect to another origin: credentials stay where they were meant for.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use reqwest::header::{self, HeaderValue};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::address::Address;
use super::error::{GitErrorKind, shown};
use super::request::{GitCredentials, Proxy, TlsMaterial};
use crate::source::limits::AddressPolicy;
use crate::source::transport::{self, NoClient, causes, literal};

/// Some hosts serve git only to what calls itself git.
const USER_AGENT: &str = concat!("git/2.0 (sluice ", env!("CARGO_PKG_VERSION"), ")");
/// Redirects within one origin: http to https, a trailing `.git`, a renamed repository.
const REDIRECTS: usize = 5;
/// Distinct certificates and proxies kept as clients; beyond it all are dropped and made again.
const CLIENTS: usize = 128;

/// One client per set of certificates and proxy, so that the second request pays no connect.
pub(crate) struct HttpClients {
    clients: Mutex<HashMap<[u8; 32], reqwest::Client>>,
    addresses: AddressPolicy,
}

impl HttpClients {
    pub(crate) fn new(addresses: AddressPolicy) -> Self {
        Self { clients: Mutex::new(HashMap::new()), addresses }
    }

    /// A repository to talk to.
    pub(crate) fn remote(
        &self,
        address: &Address,
        credentials: &GitCredentials,
        tls: &TlsMaterial,
        proxy: Option<&Proxy>,
    ) -> Result<HttpRemote, GitErrorKind> {
        let authorization = authorization(address, credentials)?;
        let secure = address.url().scheme() == "https";
        let mut hash = Sha256::new();
        hash.update([u8::from(secure)]);
        transport::identify(&mut hash, tls, proxy);
        let key = hash.finalize().into();
        let known = self.clients.lock().expect("held for one lookup").get(&key).cloned();
        let client = match known {
            Some(client) => client,
            None => {
                let client = transport::client(USER_AGENT, secure, tls, proxy, self.addresses, None)
                    .map_err(|none| match none {
                        NoClient::Settings(why) => GitErrorKind::InvalidCredentials(why),
                        NoClient::Tls(why) => GitErrorKind::Connect(why),
                    })?;
                let mut clients = self.clients.lock().expect("held for one insert");
                if clients.len() >= CLIENTS {
                    clients.clear();
                }
                clients.insert(key, client.clone());
                client
            }
        };
        Ok(HttpRemote {
            client,
            base: address.url().clone(),
            authorization,
            addresses: self.addresses,
            proxied: proxy.is_some(),
            redirected: false,
        })
    }
}

fn authorization(
    address: &Address,
    credentials: &GitCredentials,
) -> Result<Option<HeaderValue>, GitErrorKind> {
    let basic = |username: &str, password: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
        format!("Basic {pair}")
    };
    let text = match credentials {
        GitCredentials::Basic { username, password } => basic(username, password.expose_secret()),
        GitCredentials::Bearer(token) => format!("Bearer {}", token.expose_secret().trim_end()),
        GitCredentials::Ssh(_) | GitCredentials::None => match (address.username(), address.password()) {
            (None, None) => return Ok(None),
            (username, password) => {
                basic(username.unwrap_or_default(), password.map_or("", |secret| secret.expose_secret()))
            }
        },
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| GitErrorKind::InvalidCredentials("the token holds control characters".into()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// One repository over http(s).
#[derive(Clone)]
pub(crate) struct HttpRemote {
    client: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
    addresses: AddressPolicy,
    proxied: bool,
    redirected: bool,
}

impl HttpRemote {
    /// `GET info/refs`, following redirects within the origin; later requests go where it led.
    pub(crate) async fn greet(
        &mut self,
        service: &str,
        version2: bool,
    ) -> Result<reqwest::Response, GitErrorKind> {
        for _ in 0..=REDIRECTS {
            let mut url = self.at("info/refs");
            url.set_query(Some(&format!("service={service}")));
            let mut request = self.client.get(url.clone());
            if version2 {
                request = request.header("git-protocol", "version=2");
            }
            let response = self.send(request, true).await?;
            if !response.status().is_redirection() {
                let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
                let expected = format!("application/x-{service}-advertisement");
                if response.status().is_success() && kind != Some(expected.as_bytes()) {
                    let kind = String::from_utf8_lossy(kind.unwrap_or(b"nothing")).into_owned();
                    return Err(GitErrorKind::Protocol(format!(
                        "content type `{}`, which is no smart git server's",
                        shown(&kind, 80)
                    )));
                }
                return check(response);
            }
            self.follow(&url, &response)?;
        }
        Err(GitErrorKind::Protocol("too many redirects".into()))
    }

    /// `POST` to the service: a question, which may be asked again if the connection breaks.
    pub(crate) async fn post(
        &self,
        service: &str,
        body: Bytes,
        version2: bool,
    ) -> Result<reqwest::Response, GitErrorKind> {
        let mut request = self.question(service, body);
        if version2 {
            request = request.header("git-protocol", "version=2");
        }
        let response = self.send(request, true).await?;
        answered(response)
    }

    /// `POST` to the service that changes something there: sent once, whatever happens.
    pub(crate) async fn post_once(
        &self,
        service: &str,
        body: Bytes,
    ) -> Result<reqwest::Response, GitErrorKind> {
        let response = self.send(self.question(service, body), false).await?;
        answered(response)
    }

    fn question(&self, service: &str, body: Bytes) -> reqwest::RequestBuilder {
        self.client
            .post(self.at(service))
            .header(header::CONTENT_TYPE, format!("application/x-{service}-request"))
            .header(header::ACCEPT, format!("application/x-{service}-result"))
            .body(body)
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn is_redirected(&self) -> bool {
        self.redirected
    }

    fn at(&self, end: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}/{end}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(None);
        url
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        again: bool,
    ) -> Result<reqwest::Response, GitErrorKind> {
        // a literal address never reaches the resolver
        if !self.proxied
            && let Some(address) = literal(&self.base)
            && !self.addresses.allows(address)
        {
            return Err(GitErrorKind::ForbiddenAddress(address));
        }
        let request = match &self.authorization {
            Some(value) => request.header(header::AUTHORIZATION, value.clone()),
            None => request,
        };
        let again = if again { request.try_clone() } else { None };
        let mut sent = request.send().await;
        // a kept connection may be closed by the server just as it is used again; what only reads is sent once more
        if let (Err(error), Some(again)) = (&sent, again)
            && !error.is_connect()
        {
            sent = again.send().await;
        }
        sent.map_err(|error| match error.is_connect() {
            true => GitErrorKind::Connect(causes(&error)),
            false => GitErrorKind::Connection(causes(&error)),
        })
    }

    fn follow(&mut self, from: &Url, response: &reqwest::Response) -> Result<(), GitErrorKind> {
        let target = response
            .headers()
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok())
            .and_then(|location| from.join(location).ok())
            .ok_or_else(|| GitErrorKind::Protocol("a redirect without a usable address".into()))?;
        let same = target.scheme() == from.scheme()
            && target.host_str() == from.host_str()
            && target.port_or_known_default() == from.port_or_known_default();
        let Some(path) = target.path().strip_suffix("/info/refs").filter(|path| !path.is_empty()) else {
            return Err(redirect(&target));
        };
        // an upgrade to https counts as another place: the credentials already went out in clear, so the object should change
        if !same {
            return Err(redirect(&target));
        }
        let mut base = target.clone();
        base.set_path(path);
        base.set_query(None);
        self.base = base;
        self.redirected = true;
        Ok(())
    }
}

fn answered(response: reqwest::Response) -> Result<reqwest::Response, GitErrorKind> {
    match response.status().is_redirection() {
        true => Err(GitErrorKind::Protocol("the server redirects a request with a body".into())),
        false => check(response),
    }
}

fn redirect(target: &Url) -> GitErrorKind {
    let mut shown_target = target.clone();
    // cannot fail on an http URL, and if it did the text below would still be cut to the host
    let cleared = shown_target.set_username("").is_ok() && shown_target.set_password(None).is_ok();
    shown_target.set_query(None);
    shown_target.set_fragment(None);
    let text = if cleared { shown_target.as_str() } else { target.host_str().unwrap_or_default() };
    GitErrorKind::Redirect(shown(text.trim_end_matches("/info/refs"), 200))
}

fn check(response: reqwest::Response) -> Result<reqwest::Response, GitErrorKind> {
    let status = response.status();
    match status.as_u16() {
        200 => Ok(response),
        401 | 403 => Err(GitErrorKind::Unauthorized(format!("HTTP {}", status.as_u16()))),
        404 | 410 => Err(GitErrorKind::RepositoryNotFound(format!("HTTP {}", status.as_u16()))),
        429 => {
            let retry_after = response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.trim().parse().ok())
                .map(Duration::from_secs);
            Err(GitErrorKind::Throttled { retry_after })
        }
        other => Err(GitErrorKind::Status(other)),
    }
}
