//! The HTTP client of everything that leaves for the outside: git servers, registries, forges.
//!
//! Follows no redirect, asks nothing twice and connects to no address that the policy forbids. Keeps no client: that is
//! for who has a use for it again.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::git::{Proxy, TlsMaterial, shown};
use super::limits::AddressPolicy;

/// What calls itself nothing else.
pub(crate) const AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));
/// Long enough for a slow name server, short enough to leave time for a retry within Flux's 60 s.
const CONNECT: Duration = Duration::from_secs(15);
/// Connections without work are kept as long as most servers keep them.
const IDLE: Duration = Duration::from_secs(90);

/// Why there is no client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoClient {
    /// What the object or its Secret says is unusable.
    Settings(String),
    /// TLS cannot be set up here: no roots, no memory.
    Tls(String),
}

/// A client. `secure` is for https, which needs roots; an image without any can still speak http. `silence` is how long
/// the other end may say nothing, where the caller has no deadline that ends it.
pub(crate) fn client(
    agent: &str,
    secure: bool,
    tls: &TlsMaterial,
    proxy: Option<&Proxy>,
    addresses: AddressPolicy,
    silence: Option<Duration>,
) -> Result<reqwest::Client, NoClient> {
    let bad = |what: &'static str| {
        move |error: reqwest::Error| NoClient::Settings(format!("{what}: {}", causes(&error)))
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .gzip(false)
        .referer(false)
        .dns_resolver(Resolver(addresses));
    if let Some(silence) = silence {
        builder = builder.read_timeout(silence);
    }
    if secure {
        if let Some(ca) = &tls.ca {
            let roots = reqwest::Certificate::from_pem_bundle(ca).map_err(bad("`ca.crt` is unusable"))?;
            if roots.is_empty() {
                return Err(NoClient::Settings("`ca.crt` holds no certificate".into()));
            }
            builder = builder.tls_certs_merge(roots);
        }
        if let Some(client) = &tls.client {
            let mut pem = client.certificate.clone();
            pem.push(b'\n');
            pem.extend_from_slice(client.key.expose_secret().as_bytes());
            let identity =
                reqwest::Identity::from_pem(&pem).map_err(bad("`tls.crt` or `tls.key` is unusable"))?;
            builder = builder.identity(identity);
        }
    } else {
        builder = builder.tls_certs_only([]);
    }
    builder = match proxy {
        None => builder.no_proxy(),
        Some(proxy) => {
            let mut via =
                reqwest::Proxy::all(&proxy.address).map_err(bad("the proxy's `address` is unusable"))?;
            if let Some(username) = &proxy.username {
                let password = proxy.password.as_ref().map_or("", |password| password.expose_secret());
                via = via.basic_auth(username, password);
            }
            builder.proxy(via)
        }
    };
    builder.build().map_err(|error| NoClient::Tls(causes(&error)))
}

/// Feeds what a connection is made with, each part fenced off from the next: clients are told apart by it.
pub(crate) fn identify(hash: &mut Sha256, tls: &TlsMaterial, proxy: Option<&Proxy>) {
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(tls.ca.as_deref().unwrap_or_default());
    if let Some(client) = &tls.client {
        part(&client.certificate);
        part(client.key.expose_secret().as_bytes());
    }
    if let Some(proxy) = proxy {
        part(proxy.address.as_bytes());
        part(proxy.username.as_deref().unwrap_or_default().as_bytes());
        part(proxy.password.as_ref().map_or("", |password| password.expose_secret()).as_bytes());
    }
}

/// The address a URL names without a name: it never reaches the resolver, so who sends the request looks at it. Behind a
/// proxy it is the proxy that connects.
pub(crate) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Ipv4(address) => Some(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Some(IpAddr::V6(address)),
        url::Host::Domain(_) => None,
    }
}

/// A reqwest error and its causes in one line, without the URL.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if parts.last() != Some(&text) {
            parts.push(text);
        }
        next = cause.source();
    }
    match parts.is_empty() {
        true if error.is_timeout() => "timed out".to_owned(),
        true => "no further details".to_owned(),
        false => shown(&parts.join(": "), 300),
    }
}

/// Resolves a name once and hands on only the addresses the policy allows: they are the ones connected to.
struct Resolver(AddressPolicy);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let first = found.first().copied();
            let allowed: Vec<_> = found.into_iter().filter(|at| policy.allows(at.ip())).collect();
            match (allowed.is_empty(), first) {
                (true, Some(refused)) => Err(format!("address {} is not allowed", refused.ip()).into()),
                _ => Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::git::ClientCertificate;

    #[test]
    fn material_that_cannot_be_used_is_said_and_plain_http_needs_none() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let ca = |text: &str| TlsMaterial { ca: Some(text.as_bytes().to_vec()), client: None };
        let pair = TlsMaterial {
            ca: None,
            client: Some(ClientCertificate { certificate: b"x".to_vec(), key: "canary".into() }),
        };
        let proxy = |address: &str| Proxy { address: address.into(), username: None, password: None };
        let made = |secure: bool, tls: &TlsMaterial, proxy: Option<&Proxy>| {
            client(AGENT, secure, tls, proxy, AddressPolicy::Any, None).err()
        };
        let none = TlsMaterial::default();
        for (tls, via, expected) in [
            (ca(""), None, "`ca.crt` holds no certificate"),
            (
                ca("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
                None,
                "`ca.crt` is unusable: ",
            ),
            (pair.clone(), None, "`tls.crt` or `tls.key` is unusable: "),
            (none.clone(), Some(proxy("no proxy")), "the proxy's `address` is unusable: "),
        ] {
            let refused = made(true, &tls, via.as_ref());
            let Some(NoClient::Settings(text)) = &refused else { panic!("{expected}: {refused:?}") };
            assert!(text.starts_with(expected) && !text.contains("canary"), "{text}");
        }
        assert_eq!(made(false, &pair, None), None);
    }
}
