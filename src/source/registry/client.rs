//! The HTTP clients: one for each set of certificates and proxy, so that connections are kept alive.
//!
//! Makes none itself (`transport.rs`).

use std::collections::HashMap;
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};

use super::error::RegistryErrorKind as Kind;
use super::limits;
use crate::source::limits::AddressPolicy;
use crate::source::transport::{self, AGENT, NoClient};
use crate::source::{Proxy, TlsMaterial};

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
        transport::identify(&mut hash, wanted.tls, wanted.proxy);
        let key = hash.finalize().into();
        if let Some(client) = self.made.lock().expect("held for one look-up").get(&key) {
            return Ok(client.clone());
        }
        let Wanted { secure, tls, proxy, addresses } = *wanted;
        let client = transport::client(AGENT, secure, tls, proxy, addresses, Some(limits::SILENCE)).map_err(
            |none| match none {
                NoClient::Settings(why) => Kind::InvalidCredentials(why),
                NoClient::Tls(why) => Kind::Connect(why),
            },
        )?;
        let mut made = self.made.lock().expect("held for one insert");
        if made.len() >= limits::REMEMBERED {
            made.clear();
        }
        made.insert(key, client.clone());
        Ok(client)
    }
}
