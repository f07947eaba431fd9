//! The HTTP clients: one for each set of certificates and proxy, so that connections are kept alive.
//!
//! Follows no redirect by itself and sends nothing of its own accord.

use std::collections::HashMap;
use std::sync::Mutex;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::error::RegistryErrorKind as Kind;
use super::limits;
use crate::source::git::{Resolver, causes};
use crate::source::limits::AddressPolicy;
use crate::source::{Proxy, TlsMaterial};

const USER_AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));

/// What a client is made for.
pub(super) struct Wanted<'a> {
    /// https, which needs roots; an image without any can still speak http.
    pub(super) secure: bool,
    pub(super) tls: &'a TlsMaterial,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) addresses: AddressPolicy,
}

#[derive(Default)]
pub(super) struct Clients {
    made: Mutex<HashMap<[u8; 32], reqwest::Client>>,
}

impl Clients {
    pub(super) fn get(&self, wanted: &Wanted<'_>) -> Result<reqwest::Client, Kind> {
        let mut hash = Sha256::new();
        hash.update([u8::from(wanted.secure), u8::from(wanted.addresses == AddressPolicy::Any)]);
        add_transport(&mut hash, wanted.tls, wanted.proxy);
        let key = hash.finalize().into();
        if let Some(client) = self.made.lock().expect("held for one look-up").get(&key) {
            return Ok(client.clone());
        }
        let client = build(wanted)?;
        let mut made = self.made.lock().expect("held for one insert");
        if made.len() >= limits::REMEMBERED {
            made.clear();
        }
        made.insert(key, client.clone());
        Ok(client)
    }
}

/// Feeds what a connection is made with, each part fenced off from the next.
pub(super) fn add_transport(hash: &mut Sha256, tls: &TlsMaterial, proxy: Option<&Proxy>) {
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

fn build(wanted: &Wanted<'_>) -> Result<reqwest::Client, Kind> {
    let bad = |what: &str| {
        let what = what.to_owned();
        move |error: reqwest::Error| Kind::InvalidCredentials(format!("{what}: {}", causes(&error)))
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(limits::CONNECT)
        .read_timeout(limits::SILENCE)
        .pool_idle_timeout(limits::IDLE)
        .tcp_nodelay(true)
        .gzip(false)
        .referer(false)
        .dns_resolver(Resolver(wanted.addresses));
    if wanted.secure {
        if let Some(ca) = &wanted.tls.ca {
            let roots = reqwest::Certificate::from_pem_bundle(ca).map_err(bad("`ca.crt` is unusable"))?;
            if roots.is_empty() {
                return Err(Kind::InvalidCredentials("`ca.crt` holds no certificate".into()));
            }
            builder = builder.tls_certs_merge(roots);
        }
        if let Some(client) = &wanted.tls.client {
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
    builder = match wanted.proxy {
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
    builder.build().map_err(|error| Kind::Connect(causes(&error)))
}
