//! Which kept repository belongs to a request: one per URL and credentials.

use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::address::Address;
use super::fetch::Git;
use super::kept::Kept;
use super::request::{GitCredentials, GitRequest};

impl Git {
    /// The kept repository of this URL and these credentials: who cannot read the one cannot read the other.
    pub(crate) fn kept(&self, request: &GitRequest, address: &Address) -> Arc<Kept> {
        let name = hex::encode(&self.identity(request, address)[..16]);
        let mut all = self.kept.lock().expect("held for one lookup");
        let kept = all.entry(name).or_insert_with_key(|name| {
            Arc::new(Kept::new(self.directory.join(format!("{name}.git")), Arc::clone(&self.permits)))
        });
        kept.touch();
        Arc::clone(kept)
    }

    pub(crate) fn known(&self) -> Vec<(String, Arc<Kept>)> {
        let all = self.kept.lock().expect("held for one copy");
        all.iter().map(|(name, kept)| (name.clone(), Arc::clone(kept))).collect()
    }

    pub(crate) fn forget(&self, name: &str) {
        self.kept.lock().expect("held for one removal").remove(name);
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn permits(&self) -> &Arc<Semaphore> {
        &self.permits
    }

    fn identity(&self, request: &GitRequest, address: &Address) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        let mut part = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        part(address.shown().as_bytes());
        part(address.username().unwrap_or_default().as_bytes());
        match (&request.credentials_name, &request.credentials) {
            (Some(name), _) => {
                part(b"named");
                part(name.as_bytes());
            }
            (None, GitCredentials::None) => {
                part(b"none");
                part(address.password().map_or("", |secret| secret.expose_secret()).as_bytes());
            }
            (None, GitCredentials::Basic { username, password }) => {
                part(b"basic");
                part(username.as_bytes());
                part(password.expose_secret().as_bytes());
            }
            (None, GitCredentials::Bearer(token)) => {
                part(b"bearer");
                part(token.expose_secret().as_bytes());
            }
            (None, GitCredentials::Ssh(ssh)) => {
                part(b"ssh");
                part(ssh.identity.expose_secret().as_bytes());
            }
        }
        if let Some(client) = &request.tls.client {
            part(&client.certificate);
        }
        mac.finalize().into_bytes().to_vec()
    }
}

/// A secret of this state directory, so that names on disk tell nothing about credentials.
pub(crate) fn key(directory: &Path) -> std::io::Result<Vec<u8>> {
    let path = directory.join("key");
    match std::fs::read(&path) {
        Ok(key) if key.len() == 32 => return Ok(key),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = uuid::Uuid::new_v4().as_bytes().to_vec();
    key.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
    super::super::write_private(&path, &key)?;
    Ok(key)
}
