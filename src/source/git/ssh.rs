//! git over ssh: one connection per server and key, kept for a while, with a strict `known_hosts`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::address::Address;
use super::error::{GitErrorKind, shown};
use super::known_hosts::{KnownHost, Verdict};
use super::request::{GitCredentials, SshCredentials};
use crate::source::limits::AddressPolicy;

/// An unused connection is closed after this; forges close theirs after a few minutes themselves.
const IDLE: Duration = Duration::from_secs(90);
/// A silent server is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// What a failing server's error output may hold.
const STDERR_BYTES: usize = 4096;
/// Connections kept at once; beyond it the closed ones go, then all.
const CONNECTIONS: usize = 64;

type Session = Arc<Handle<HostKeyCheck>>;

/// Connections at hand.
pub(crate) struct SshClients {
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    addresses: AddressPolicy,
}

/// One repository over ssh.
#[derive(Clone)]
pub(crate) struct SshRemote {
    clients: Arc<SshClients>,
    host: String,
    port: u16,
    user: String,
    path: String,
    credentials: SshCredentials,
    key: [u8; 32],
}

impl SshClients {
    pub(crate) fn new(addresses: AddressPolicy) -> Self {
        Self { sessions: Mutex::new(HashMap::new()), addresses }
    }

    /// A repository to talk to.
    pub(crate) fn remote(
        self: &Arc<Self>,
        address: &Address,
        credentials: &GitCredentials,
    ) -> Result<SshRemote, GitErrorKind> {
        let unusable = |why: &str| Err(GitErrorKind::InvalidCredentials(why.to_owned()));
        let credentials = match credentials {
            GitCredentials::Ssh(credentials) => credentials.clone(),
            GitCredentials::None | GitCredentials::Basic { .. } | GitCredentials::Bearer(_) => {
                return unusable("an `ssh://` URL needs a secret with `identity` and `known_hosts`");
            }
        };
        if credentials.known_hosts.trim().is_empty() {
            return unusable(
                "the secret has no `known_hosts`, so the server cannot be told from an impostor",
            );
        }
        let url = address.url();
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port().unwrap_or(22);
        let user = address.username().unwrap_or("git").to_owned();
        let path = percent_encoding::percent_decode_str(url.path())
            .decode_utf8()
            .map_err(|_| GitErrorKind::InvalidUrl("the path is not UTF-8".into()))?
            .into_owned();
        if path.chars().any(char::is_control) {
            return Err(GitErrorKind::InvalidUrl("the path contains control characters".into()));
        }
        // `ssh://host/~user/x` means that user's home, as in git
        let path = if path.starts_with("/~") { path[1..].to_owned() } else { path };
        let mut hash = Sha256::new();
        for part in [
            host.as_str(),
            &port.to_string(),
            &user,
            credentials.identity.expose_secret(),
            credentials.password.as_ref().map_or("", |password| password.expose_secret()),
            &credentials.known_hosts,
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(SshRemote {
            clients: Arc::clone(self),
            host,
            port,
            user,
            path,
            credentials,
            key: hash.finalize().into(),
        })
    }
}

impl SshRemote {
    /// `host:port`.
    pub(crate) fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Starts `service` for the repository.
    pub(crate) async fn start(&self, service: &str, version2: bool) -> Result<SshReader, GitErrorKind> {
        let known = self.clients.sessions.lock().expect("held for one lookup").get(&self.key).cloned();
        if let Some(session) = known.filter(|session| !session.is_closed()) {
            // the server may have dropped a kept connection: then a new one decides
            if let Ok(reader) = self.run(&session, service, version2).await {
                return Ok(reader);
            }
        }
        let session = Arc::new(self.connect().await?);
        {
            let mut sessions = self.clients.sessions.lock().expect("held for one insert");
            if sessions.len() >= CONNECTIONS {
                sessions.retain(|_, session| !session.is_closed());
            }
            if sessions.len() >= CONNECTIONS {
                sessions.clear();
            }
            sessions.insert(self.key, Arc::clone(&session));
        }
        self.run(&session, service, version2).await
    }

    async fn run(&self, session: &Session, service: &str, version2: bool) -> Result<SshReader, GitErrorKind> {
        let channel = session.channel_open_session().await.map_err(lost)?;
        let (mut read, write) = channel.split();
        if version2 {
            // servers that do not accept the variable answer in version 0, which is understood as well
            write.set_env(false, "GIT_PROTOCOL", "version=2").await.map_err(lost)?;
        }
        write.exec(true, format!("{service} {}", quoted(&self.path))).await.map_err(lost)?;
        loop {
            match read.wait().await {
                Some(ChannelMsg::Success) => break,
                Some(ChannelMsg::Failure) => {
                    return Err(GitErrorKind::Remote(format!("`{service}` may not be run")));
                }
                Some(ChannelMsg::Data { .. } | ChannelMsg::ExtendedData { .. }) => {
                    return Err(GitErrorKind::Protocol("data before the program started".into()));
                }
                Some(_) => {}
                None => return Err(GitErrorKind::Connection("the server closed the channel".into())),
            }
        }
        Ok(SshReader { read, write, stderr: Vec::new(), failed: None })
    }

    async fn connect(&self) -> Result<Handle<HostKeyCheck>, GitErrorKind> {
        let key = russh::keys::decode_secret_key(
            self.credentials.identity.expose_secret(),
            self.credentials.password.as_ref().map(|password| password.expose_secret()),
        )
        .map_err(|_| {
            GitErrorKind::InvalidCredentials(
                "the secret's `identity` is no private key, or `password` does not open it".into(),
            )
        })?;
        let known = KnownHost::read(&self.credentials.known_hosts, &self.host, self.port);
        if !known.is_listed() {
            return Err(GitErrorKind::HostKey(format!(
                "`known_hosts` has no key for {}:{}",
                self.host, self.port
            )));
        }
        let preferred = russh::Preferred { key: known.algorithms().into(), ..russh::Preferred::default() };
        let config = client::Config {
            preferred,
            inactivity_timeout: Some(IDLE),
            keepalive_interval: Some(KEEPALIVE),
            nodelay: true,
            ..client::Config::default()
        };
        let socket = self.socket().await?;
        let verdict = Arc::new(Mutex::new(None));
        let check = HostKeyCheck { known, verdict: Arc::clone(&verdict) };
        let mut session = match client::connect_stream(Arc::new(config), socket, check).await {
            Ok(session) => session,
            Err(error) => return Err(self.refused(&verdict, error)),
        };
        let hash = session.best_supported_rsa_hash().await.map_err(lost)?.flatten();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        let answer = session.authenticate_publickey(self.user.as_str(), key).await.map_err(lost)?;
        match answer.success() {
            true => Ok(session),
            false => Err(GitErrorKind::Unauthorized(format!("ssh key of user `{}`", shown(&self.user, 60)))),
        }
    }

    async fn socket(&self) -> Result<tokio::net::TcpStream, GitErrorKind> {
        let connect = |error: std::io::Error| GitErrorKind::Connect(error.to_string());
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await.map_err(connect)?;
        let mut last = GitErrorKind::Connect("the name has no address".into());
        for address in found {
            if !self.clients.addresses.allows(address.ip()) {
                last = GitErrorKind::ForbiddenAddress(address.ip());
                continue;
            }
            match tokio::net::TcpStream::connect(address).await {
                Ok(socket) => {
                    socket.set_nodelay(true).map_err(connect)?;
                    return Ok(socket);
                }
                Err(error) => last = connect(error),
            }
        }
        Err(last)
    }

    fn refused(&self, verdict: &Mutex<Option<Verdict>>, error: russh::Error) -> GitErrorKind {
        let server = format!("{}:{}", self.host, self.port);
        let judged = verdict.lock().expect("held for one read").take();
        match (judged, error) {
            (Some(Verdict::Changed), _) => GitErrorKind::HostKey(format!(
                "{server} shows another key than `known_hosts` has: somebody may be in between"
            )),
            (Some(Verdict::Revoked), _) => {
                GitErrorKind::HostKey(format!("{server} shows a key that `known_hosts` revokes"))
            }
            (Some(Verdict::Unknown), _) => {
                GitErrorKind::HostKey(format!("`known_hosts` has no key for {server}"))
            }
            (_, russh::Error::NoCommonAlgo { kind: russh::AlgorithmKind::Key, .. }) => {
                GitErrorKind::HostKey(format!("{server} has no key of the kind that `known_hosts` lists"))
            }
            (_, error) => GitErrorKind::Connect(shown(&error.to_string(), 200)),
        }
    }
}

/// What a program on the server says, and the way to answer it.
pub(crate) struct SshReader {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<client::Msg>,
    stderr: Vec<u8>,
    failed: Option<u32>,
}

impl SshReader {
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, GitErrorKind> {
        loop {
            match self.read.wait().await {
                Some(ChannelMsg::Data { data }) => return Ok(Some(data)),
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = STDERR_BYTES.saturating_sub(self.stderr.len());
                    self.stderr.extend_from_slice(&data[..data.len().min(room)]);
                }
                Some(ChannelMsg::ExitStatus { exit_status }) if exit_status != 0 => {
                    self.failed = Some(exit_status);
                }
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
        }
        let words = shown(&String::from_utf8_lossy(&self.stderr), 512);
        match self.failed {
            Some(_) if words.contains("not found") || words.contains("does not appear to be a git") => {
                Err(GitErrorKind::RepositoryNotFound(words))
            }
            Some(status) if words.is_empty() => Err(GitErrorKind::Remote(format!("exit status {status}"))),
            Some(_) => Err(GitErrorKind::Remote(words)),
            None => Ok(None),
        }
    }

    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), GitErrorKind> {
        self.write.data_bytes(bytes).await.map_err(lost)
    }
}

/// Compares the server's key with `known_hosts` and remembers the verdict for the error's text.
pub(crate) struct HostKeyCheck {
    known: KnownHost,
    verdict: Arc<Mutex<Option<Verdict>>>,
}

impl client::Handler for HostKeyCheck {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let verdict = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.known.judge(key),
            PublicKeyOrCertificate::Certificate(_) => Verdict::Unknown,
        };
        let trusted = verdict == Verdict::Trusted;
        *self.verdict.lock().expect("held for one write") = Some(verdict);
        Ok(trusted)
    }
}

fn lost(error: impl std::fmt::Display) -> GitErrorKind {
    GitErrorKind::Connection(shown(&error.to_string(), 200))
}

/// Quotes for the server's shell as git's `sq_quote` does.
fn quoted(path: &str) -> String {
    let mut out = String::from("'");
    for character in path.chars() {
        match character {
            '\'' | '!' => {
                out.push_str("'\\");
                out.push(character);
                out.push('\'');
            }
            other => out.push(other),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s33_paths_are_quoted_for_the_servers_shell() {
        assert_eq!(quoted("/team/app.git"), "'/team/app.git'");
        assert_eq!(quoted("/a'; touch /tmp/x; '"), "'/a'\\''; touch /tmp/x; '\\'''");
    }

    #[test]
    fn s17_an_ssh_url_without_known_hosts_is_refused_before_any_connection() {
        let clients = Arc::new(SshClients::new(AddressPolicy::Any));
        let address = Address::parse("ssh://git@127.0.0.1:1/x").unwrap();
        let credentials = GitCredentials::Ssh(SshCredentials {
            identity: "key".into(),
            password: None,
            known_hosts: " \n".into(),
        });
        let refused = clients.remote(&address, &credentials).err().unwrap();
        assert!(matches!(refused, GitErrorKind::InvalidCredentials(_)), "{refused}");
        assert!(clients.remote(&address, &GitCredentials::None).is_err());
    }
}
