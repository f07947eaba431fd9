//! TLS settings for member clusters, parsed once per CA and shared by all members that have the same.
//!
//! A thousand members must not hold a thousand copies of the machine's roots. Client certificates are never shared
//! between different ones: they are part of the key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use kube::client::ConfigExt as _;
use rustls::ClientConfig;
use rustls::client::Resumption;
use sha2::{Digest as _, Sha256};

use secrecy::ExposeSecret as _;

/// Sessions kept for resumption per settings object; a cluster has one name, rarely two.
const SESSIONS: usize = 8;

#[derive(Default)]
pub(super) struct TlsCache {
    configs: Mutex<HashMap<[u8; 32], Weak<ClientConfig>>>,
}

impl TlsCache {
    /// The TLS settings for `config`, shared with every other cluster that has the same CA and client certificate.
    pub(super) fn get(&self, config: &kube::Config) -> Result<Arc<ClientConfig>, kube::Error> {
        let key = key(config);
        let mut configs = self.configs.lock().expect("building TLS settings does not panic");
        if let Some(found) = configs.get(&key).and_then(Weak::upgrade) {
            return Ok(found);
        }
        let mut built = config.rustls_client_config()?;
        built.resumption = Resumption::in_memory_sessions(SESSIONS);
        let built = Arc::new(built);
        configs.retain(|_, kept| kept.strong_count() > 0);
        configs.insert(key, Arc::downgrade(&built));
        Ok(built)
    }
}

fn key(config: &kube::Config) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(&[u8::from(config.accept_invalid_certs), u8::from(config.root_cert.is_some())]);
    for certificate in config.root_cert.iter().flatten() {
        part(certificate);
    }
    part(b"client");
    let user = &config.auth_info;
    part(user.client_certificate_data.as_deref().unwrap_or_default().as_bytes());
    part(user.client_key_data.as_ref().map(|k| k.expose_secret()).unwrap_or_default().as_bytes());
    part(user.client_certificate.as_deref().unwrap_or_default().as_bytes());
    part(user.client_key.as_deref().unwrap_or_default().as_bytes());
    hash.finalize().into()
}
