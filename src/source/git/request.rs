//! What to fetch: URL, credentials, reference. Values, never names of Secrets.

use std::time::Duration;

use secrecy::SecretString;

use crate::model::Revision;

/// One fetch of one repository.
#[derive(Clone, Debug)]
pub struct GitRequest {
    /// `http://`, `https://` or `ssh://`; userinfo is used and never shown.
    pub url: String,
    /// How to prove who we are.
    pub credentials: GitCredentials,
    /// A stable name for the credentials when the secret itself is short-lived (a GitHub App's hourly token):
    /// requests of the same URL and name share a kept repository. `None` derives it from the secret.
    pub credentials_name: Option<String>,
    /// Certificates for `https://`.
    pub tls: TlsMaterial,
    /// Proxy for `http://` and `https://`.
    pub proxy: Option<Proxy>,
    /// Which commit.
    pub reference: GitReference,
    /// What the webhook said, if one did.
    pub pushed: Option<PushHint>,
    /// Fetch submodules too.
    pub recurse_submodules: bool,
    /// Keep only files below these directories; empty keeps everything.
    pub sparse_checkout: Vec<String>,
    /// Time for the whole fetch; Flux's `spec.timeout`.
    pub timeout: Duration,
    /// The revision of the artifact at hand, to tell whether anything changed.
    pub last_observed: Option<Revision>,
}

impl GitRequest {
    /// A request with Flux's defaults: branch `master`, 60 s, no credentials.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: GitCredentials::None,
            credentials_name: None,
            tls: TlsMaterial::default(),
            proxy: None,
            reference: GitReference::default(),
            pushed: None,
            recurse_submodules: false,
            sparse_checkout: Vec::new(),
            timeout: Duration::from_secs(60),
            last_observed: None,
        }
    }

    /// The same request for a branch.
    pub fn branch(mut self, branch: impl Into<String>) -> Self {
        self.reference.branch = Some(branch.into());
        self
    }

    /// The same request after a push of `commit` to `reference` (`refs/heads/main`).
    pub fn pushed(mut self, reference: impl Into<String>, commit: impl Into<String>) -> Self {
        self.pushed = Some(PushHint { reference: reference.into(), commit: commit.into() });
        self
    }
}

/// How to prove who we are.
#[derive(Clone, Debug, Default)]
pub enum GitCredentials {
    /// Not at all.
    #[default]
    None,
    /// Name and password (or token) over http(s).
    Basic {
        /// The user.
        username: String,
        /// The password or token.
        password: SecretString,
    },
    /// A bearer token over http(s).
    Bearer(SecretString),
    /// A key over ssh.
    Ssh(SshCredentials),
}

/// Flux's ssh secret.
#[derive(Clone, Debug)]
pub struct SshCredentials {
    /// The private key, PEM or OpenSSH.
    pub identity: SecretString,
    /// The key's passphrase.
    pub password: Option<SecretString>,
    /// Lines as in `~/.ssh/known_hosts`; a host that is not in it is refused.
    pub known_hosts: String,
}

/// Certificates, PEM.
#[derive(Clone, Default)]
pub struct TlsMaterial {
    /// More roots beside the system's.
    pub ca: Option<Vec<u8>>,
    /// Client certificate and key.
    pub client: Option<ClientCertificate>,
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TlsMaterial { ca, client } = self;
        f.debug_struct("TlsMaterial").field("ca", &ca.is_some()).field("client", &client.is_some()).finish()
    }
}

/// A client certificate with its key, PEM.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate chain.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: SecretString,
}

/// Flux's proxy secret.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `http://`, `https://` or `socks5://` address.
    pub address: String,
    /// User, if the proxy asks.
    pub username: Option<String>,
    /// Password, if the proxy asks.
    pub password: Option<SecretString>,
}

/// Flux's `spec.ref`: commit before name before semver before tag before branch; nothing is branch `master`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitReference {
    /// A branch.
    pub branch: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// The highest tag within a range.
    pub semver: Option<String>,
    /// A full reference: `refs/heads/main`, `refs/pull/42/head`.
    pub name: Option<String>,
    /// A commit.
    pub commit: Option<String>,
}

/// What a webhook said was pushed. A hint: it chooses among what the repository itself shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushHint {
    /// The full reference: `refs/heads/main`.
    pub reference: String,
    /// The commit it now points to, 40 hex digits.
    pub commit: String,
}
