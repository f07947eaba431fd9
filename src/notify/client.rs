//! The HTTP side of sending: one attempt, no redirects, a deadline, a small answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{ProviderKind, SendError, Target};

/// As much of an answer as is read.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Idle connections are closed after this time.
const IDLE: Duration = Duration::from_secs(30);
/// Ways to reach a provider that are kept open; with more of them all begin anew.
const KEPT: usize = 32;

/// Which addresses messages may go to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Refuse loopback addresses too, not only link-local ones.
    pub no_local: bool,
}

impl Policy {
    fn is_barred(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                address.is_link_local()
                    || address.is_unspecified()
                    || (self.no_local && address.is_loopback())
            }
            IpAddr::V6(address) => {
                address.is_unicast_link_local()
                    || address.is_unspecified()
                    || address.to_ipv4_mapped().is_some_and(|address| self.is_barred(IpAddr::V4(address)))
                    || (self.no_local && address.is_loopback())
            }
        }
    }
}

/// Sends requests for every provider. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    policy: Policy,
    /// By what they were made of: proxy, authority, identity.
    ways: Arc<Mutex<HashMap<[u8; 32], reqwest::Client>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("policy", &self.policy).finish_non_exhaustive()
    }
}

fn refuse(message: String) -> SendError {
    SendError { message, retryable: false, retry_after: None }
}

impl Client {
    /// A client that keeps to `policy`.
    pub fn new(policy: Policy) -> Self {
        Self { policy, ways: Arc::default() }
    }

    /// The client for a target: what makes one takes milliseconds of certificates, and a push to many members has many
    /// messages.
    fn http(&self, target: &Target) -> Result<reqwest::Client, SendError> {
        let key = way(target);
        if let Some(client) = self.ways.lock().expect("held for one look-up").get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(target)?;
        let mut ways = self.ways.lock().expect("held for one insert");
        if ways.len() >= KEPT {
            ways.clear();
        }
        ways.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, target: &Target) -> Result<reqwest::Client, SendError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(self.policy)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &target.proxy {
            let proxy = reqwest::Proxy::all(proxy.expose_secret())
                .map_err(|_| refuse("failed to use the provider's proxy: it is no URL".to_owned()))?;
            builder = builder.proxy(proxy);
        }
        if let Some(authority) = &target.authority {
            let certificates = reqwest::Certificate::from_pem_bundle(authority)
                .map_err(|error| refuse(format!("failed to read `ca.crt` of the provider: {error}")))?;
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        if let Some((certificate, key)) = &target.identity {
            let mut pem = certificate.clone();
            pem.push(b'\n');
            pem.extend_from_slice(key.expose_secret().as_bytes());
            let identity = reqwest::Identity::from_pem(&pem)
                .map_err(|_| refuse("failed to read `tls.crt` and `tls.key` of the provider".to_owned()))?;
            builder = builder.identity(identity);
        }
        builder.build().map_err(|error| refuse(format!("failed to set up TLS for the provider: {error}")))
    }

    /// Refuses what no notification should reach: other schemes, link-local and metadata addresses.
    fn check(&self, address: &str) -> Result<url::Url, SendError> {
        let url =
            url::Url::parse(address).map_err(|_| refuse("the provider's address is no URL".to_owned()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(format!(
                "the provider's address has the scheme `{}`\nhint: only http and https are sent to",
                url.scheme()
            )));
        }
        let literal = match url.host() {
            Some(url::Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(url::Host::Domain(_)) => None,
            None => return Err(refuse("the provider's address has no host".to_owned())),
        };
        if let Some(address) = literal
            && self.policy.is_barred(address)
        {
            return Err(refuse(format!("the provider's address `{address}` is not allowed")));
        }
        Ok(url)
    }

    /// Posts JSON with a bearer token if the target has one.
    pub(super) async fn post_json(
        &self,
        target: &Target,
        address: &str,
        body: &Value,
        headers: &[(String, String)],
    ) -> Result<Vec<u8>, SendError> {
        self.post(target, address, body.to_string().into_bytes(), headers).await
    }

    pub(super) async fn post(
        &self,
        target: &Target,
        address: &str,
        body: Vec<u8>,
        headers: &[(String, String)],
    ) -> Result<Vec<u8>, SendError> {
        let url = self.check(address)?;
        let mut request = self
            .http(target)?
            .post(url)
            .timeout(target.timeout)
            .header("Content-Type", "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in &target.headers {
            request = request.header(name, value.expose_secret());
        }
        let bearer =
            matches!(target.kind, ProviderKind::Slack | ProviderKind::Rocket | ProviderKind::Discord);
        if let (Some(token), true) = (&target.token, bearer) {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some((user, password)) = &target.basic {
            request = request.basic_auth(user, Some(password.expose_secret()));
        }
        // reqwest's texts name the URL, which may hold a token.
        let answer = request.send().await.map_err(|error| SendError {
            message: format!("failed to send message: {}", reason(&error.without_url())),
            retryable: true,
            retry_after: None,
        })?;
        let status = answer.status();
        let retry_after = answer
            .headers()
            .get("Retry-After")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        let body = read_capped(answer).await;
        if status.is_success() {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(&body);
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        let retryable = status.is_server_error() || status.as_u16() == 429 || status.as_u16() == 408;
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        Err(SendError {
            message: format!(
                "failed to send message: request failed with status code {}{said}",
                status.as_u16()
            ),
            retryable,
            retry_after,
        })
    }
}

/// Tells apart what needs a client of its own.
fn way(target: &Target) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: Option<&[u8]>| {
        hash.update([u8::from(bytes.is_some())]);
        let bytes = bytes.unwrap_or_default();
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(target.proxy.as_ref().map(|proxy| proxy.expose_secret().as_bytes()));
    part(target.authority.as_deref());
    part(target.identity.as_ref().map(|(certificate, _)| certificate.as_slice()));
    part(target.identity.as_ref().map(|(_, key)| key.expose_secret().as_bytes()));
    hash.finalize().into()
}

/// The innermost cause, which is what a person needs (`connection refused`, `operation timed out`).
fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

async fn read_capped(mut answer: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = ANSWER_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= ANSWER_LIMIT {
            break;
        }
    }
    body
}

/// A name leads only where its addresses may be sent to: those that are let through are the ones connected to.
impl reqwest::dns::Resolve for Policy {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let policy = *self;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let barred = found.iter().map(|at| at.ip()).find(|address| policy.is_barred(*address));
            let allowed: Vec<_> = found.into_iter().filter(|at| !policy.is_barred(at.ip())).collect();
            match (allowed.is_empty(), barred) {
                (true, Some(address)) => Err(format!("the address `{address}` is not allowed").into()),
                _ => Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn targets_that_are_reached_alike_share_a_client_and_no_others() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::new(Policy::default());
        let target = |proxy: Option<&str>, address: &str| Target {
            kind: ProviderKind::Generic,
            address: SecretString::from(address),
            channel: String::new(),
            username: String::new(),
            token: None,
            basic: None,
            headers: Vec::new(),
            proxy: proxy.map(SecretString::from),
            authority: None,
            identity: None,
            timeout: Duration::from_secs(1),
        };
        let open = |target: &Target| client.http(target).map(drop);
        let count = || client.ways.lock().unwrap().len();
        open(&target(None, "http://a/")).unwrap();
        open(&target(None, "http://b/")).unwrap();
        assert_eq!(count(), 1);
        open(&target(Some("http://proxy:1"), "http://b/")).unwrap();
        assert_eq!(count(), 2);
        let mut broken = target(None, "https://a/");
        broken.authority =
            Some(b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n".to_vec());
        assert!(open(&broken).is_err(), "another authority is another client");
        for number in 0..2 * KEPT {
            open(&target(Some(&format!("http://proxy:{}", number + 2)), "http://b/")).unwrap();
            assert!(count() <= KEPT);
        }
    }

    #[test]
    fn h97_addresses_no_message_should_reach() {
        let open = Client::new(Policy::default());
        for address in [
            "http://169.254.169.254/latest",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "file:///etc/passwd",
            "gopher://x",
            "not a url",
            "http://0.0.0.0/",
        ] {
            assert!(open.check(address).is_err(), "{address}");
        }
        assert!(open.check("http://127.0.0.1:9/hook").is_ok());
        let strict = Client::new(Policy { no_local: true });
        for address in ["http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"] {
            assert!(strict.check(address).is_err(), "{address}");
        }
        for address in ["http://10.1.2.3/", "http://[fd00::1]/"] {
            assert!(strict.check(address).is_ok(), "{address}: a chat may run in a private network");
        }
    }

    #[tokio::test]
    async fn h97_a_name_leads_nowhere_that_its_address_may_not() {
        use reqwest::dns::Resolve as _;
        let lookup = |no_local| async move {
            Policy { no_local }.resolve("localhost".parse().unwrap()).await.map(Iterator::count)
        };
        assert!(lookup(false).await.unwrap() > 0);
        let refused = lookup(true).await.unwrap_err().to_string();
        assert!(refused.starts_with("the address `") && refused.ends_with("` is not allowed"), "{refused}");
    }
}
