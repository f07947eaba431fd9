//! ssh, TLS, proxies, addresses.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use sluice::demo::git_server::GitServer;
use sluice::demo::repository::Change::Write;
use sluice::source::{
    AddressPolicy, ClientCertificate, GitCredentials, GitErrorKind, GitReference, GitRequest, Proxy,
    SourceLimits, SshCredentials, TlsMaterial,
};

use crate::world::*;

#[tokio::test]
async fn s14_local_addresses_are_refused_on_request() {
    let limits = SourceLimits { addresses: AddressPolicy::NoLocal, ..SourceLimits::default() };
    let world = world_with(|server| server, |router| router, limits).await;
    let named = world.forge.url.replace("127.0.0.1", "localhost");
    for url in [&world.forge.url, &named] {
        let refused = world.failure(&GitRequest { url: format!("{url}/app.git"), ..world.request() }).await;
        assert!(refused.to_string().contains("is not allowed"), "{refused}");
    }
    assert!(world.forge.asked().is_empty());
    let known_hosts = "* ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let key = tempfile::tempdir().unwrap();
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(key.path().join("key"))
        .output()
        .unwrap();
    assert!(output.status.success());
    let refused = world
        .failure(&GitRequest {
            url: "ssh://git@127.0.0.1:1/x".into(),
            credentials: GitCredentials::Ssh(SshCredentials {
                identity: std::fs::read_to_string(key.path().join("key")).unwrap().into(),
                password: None,
                known_hosts: known_hosts.into(),
            }),
            ..world.request()
        })
        .await;
    assert!(matches!(refused.kind, GitErrorKind::ForbiddenAddress(_)), "{refused}");
}

/// Serves `router` over TLS; the client must show a certificate of `clients` if there is one.
async fn tls(
    router: axum::Router,
    certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
    clients: Option<&rcgen::Certificate>,
) -> String {
    use rustls::server::WebPkiClientVerifier;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![certificate.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let service = hyper_util::service::TowerToHyperService::new(router);
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
                drop(connection.await);
            });
        }
    });
    url
}

#[tokio::test]
async fn https_takes_the_secrets_authority_and_client_certificate() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let client = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let forge = || GitServer::new(world.directory.path().join("git")).router();
    let plain = tls(forge(), &certificate, None).await;
    let mutual = tls(forge(), &certificate, Some(&client.cert)).await;
    let ca = Some(certificate.cert.pem().into_bytes());
    let shown = Some(ClientCertificate {
        certificate: client.cert.pem().into_bytes(),
        key: client.signing_key.serialize_pem().into(),
    });
    let request =
        |url: &str, tls: TlsMaterial| GitRequest { url: format!("{url}/app.git"), tls, ..world.request() };
    let trusting = TlsMaterial { ca: ca.clone(), client: None };
    assert_eq!(world.fetch(&request(&plain, trusting.clone())).await.subject, "one");
    assert_eq!(world.fetch(&request(&mutual, TlsMaterial { ca, client: shown })).await.subject, "one");
    for request in [request(&plain, TlsMaterial::default()), request(&mutual, trusting)] {
        let refused = world.failure(&request).await;
        let typed = matches!(refused.kind, GitErrorKind::Connect(_) | GitErrorKind::Connection(_));
        assert!(typed, "{refused}");
    }
    let unusable = TlsMaterial { ca: Some(b"no certificate".to_vec()), client: None };
    let refused = world.failure(&request(&plain, unusable)).await;
    assert_eq!(refused.reason(), "AuthenticationFailed", "{refused}");
}

#[tokio::test]
async fn f16_an_expired_certificate_and_one_of_another_name_are_refused() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let made = |name: &str, from: i32, to: i32| {
        let mut parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(to, 1, 1);
        let signing_key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertifiedKey { cert: parameters.self_signed(&signing_key).unwrap(), signing_key }
    };
    for (certificate, words) in [
        (made("localhost", 2020, 2021), "expired"),
        (made("localhost", 2999, 3000), "not valid yet"),
        (made("other.example.com", 2020, 3000), "not valid for name"),
    ] {
        let url = tls(GitServer::new(world.directory.path().join("git")).router(), &certificate, None).await;
        let ca = Some(certificate.cert.pem().into_bytes());
        let tls = TlsMaterial { ca, client: None };
        let request = GitRequest { url: format!("{url}/app.git"), tls, ..world.request() };
        let refused = world.failure(&request).await;
        assert!(matches!(refused.kind, GitErrorKind::Connect(_)), "{refused}");
        assert!(refused.to_string().contains(words), "{words}: {refused}");
    }
}

#[tokio::test]
async fn a_proxy_is_used_and_asked_with_its_own_credentials() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    // a proxy for plain http gets the whole URL; this one is the forge itself
    let forge = GitServer::new(world.directory.path().join("git")).router();
    let proxy = Forge::start(forge.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        let given = request.headers().get(header::PROXY_AUTHORIZATION).cloned();
        log.lock().unwrap().push(format!("{:?} {:?}", request.uri().host(), given.is_some()));
        next.run(request)
    })))
    .await;
    let request = GitRequest {
        url: "http://git.invalid/app.git".into(),
        proxy: Some(Proxy {
            address: proxy.url.clone(),
            username: Some("me".into()),
            password: Some("canary".into()),
        }),
        ..world.request()
    };
    assert_eq!(world.fetch(&request).await.subject, "one");
    let seen = seen.lock().unwrap().clone();
    assert!(!seen.is_empty() && seen.iter().all(|line| line == "Some(\"git.invalid\") true"), "{seen:?}");
    assert!(!format!("{request:?}").contains("canary"));
}

/// A real sshd on a free port, for the user who runs the tests.
struct Sshd {
    port: u16,
    child: std::process::Child,
    host_key: String,
    identity: String,
    user: String,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn sshd(directory: &Path) -> Option<Sshd> {
    let program = "/usr/sbin/sshd";
    if !Path::new(program).exists() {
        return None;
    }
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "host"]);
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "open sesame", "-f", "user"]);
    let user = run("id", &["-un"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = |name: &str| directory.join(name).display().to_string();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n",
        at("host"),
        at("user.pub"),
    );
    std::fs::write(directory.join("sshd_config"), config).unwrap();
    // sshd started by root wants it; by anybody else it does not matter
    drop(std::fs::create_dir_all("/run/sshd"));
    let mut child = Command::new(program)
        .args(["-D", "-e", "-f", &at("sshd_config")])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let listening = words.by_ref().map_while(Result::ok).any(|line| line.contains("Server listening"));
    assert!(listening, "sshd did not start");
    // its output is read to the end, so that it never waits for us
    std::thread::spawn(move || words.count());
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let host_key = read("host.pub").split(' ').take(2).collect::<Vec<_>>().join(" ");
    Some(Sshd { port, child, host_key, identity: read("user"), user })
}

#[tokio::test]
async fn s17_ssh_works_with_the_listed_host_key_and_with_no_other() {
    let world = world().await;
    let keys = tempfile::tempdir().unwrap();
    let Some(server) = sshd(keys.path()) else {
        eprintln!("skipped: /usr/sbin/sshd is not installed (apt-get install openssh-server)");
        return;
    };
    let first = world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let path = world.repository.path().display().to_string();
    let url = format!("ssh://{}@127.0.0.1:{}{path}", server.user, server.port);
    let host = format!("[127.0.0.1]:{}", server.port);
    let request = |known_hosts: String, password: &str| GitRequest {
        url: url.clone(),
        credentials: GitCredentials::Ssh(SshCredentials {
            identity: server.identity.clone().into(),
            password: Some(password.into()),
            known_hosts,
        }),
        ..world.request()
    };
    let trusted = format!("{host} {}\n", server.host_key);
    let checkout = world.fetch(&request(trusted.clone(), "open sesame")).await;
    assert_eq!(
        (checkout.commit.as_str(), read(&checkout, "a").await.as_deref()),
        (first.as_str(), Some("1"))
    );
    let second = world.repository.commit("main", &[Write("a", b"2")], "two").unwrap();
    let mut again = request(trusted.clone(), "open sesame");
    again.last_observed = observed(&checkout);
    let again = world.fetch(&again).await;
    assert_eq!((again.commit, again.changed), (second, true));
    let tag = GitReference { commit: Some(first), ..GitReference::default() };
    world.fetch(&GitRequest { reference: tag, ..request(trusted.clone(), "open sesame") }).await;

    let changed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    for (known_hosts, password, words) in [
        (format!("{host} {changed}\n"), "open sesame", "shows another key"),
        (format!("other.example.com {}\n", server.host_key), "open sesame", "has no key for"),
        (format!("@revoked * {}\n{trusted}", server.host_key), "open sesame", "revokes"),
        (String::new(), "open sesame", "no `known_hosts`"),
        (trusted.clone(), "canary-wrong", "`password` does not open it"),
    ] {
        let refused = world.failure(&request(known_hosts.clone(), password)).await;
        assert!(refused.to_string().contains(words), "{known_hosts}: {refused}");
        assert_eq!(refused.reason(), "AuthenticationFailed", "{refused}");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
    let missing = GitRequest { url: format!("{url}-none"), ..request(trusted.clone(), "open sesame") };
    let missing = world.failure(&missing).await;
    assert!(matches!(missing.kind, GitErrorKind::RepositoryNotFound(_)), "{missing}");
    let stranger = tempfile::tempdir().unwrap();
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(stranger.path().join("key"))
        .output()
        .unwrap();
    assert!(output.status.success());
    let refused = world
        .failure(&GitRequest {
            credentials: GitCredentials::Ssh(SshCredentials {
                identity: std::fs::read_to_string(stranger.path().join("key")).unwrap().into(),
                password: None,
                known_hosts: trusted,
            }),
            ..request(String::new(), "")
        })
        .await;
    assert!(matches!(refused.kind, GitErrorKind::Unauthorized(_)), "{refused}");
}

#[tokio::test]
async fn a_push_goes_over_ssh_and_a_hooks_words_come_back() {
    let world = world().await;
    let keys = tempfile::tempdir().unwrap();
    let Some(server) = sshd(keys.path()) else {
        eprintln!("skipped: /usr/sbin/sshd is not installed (apt-get install openssh-server)");
        return;
    };
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let path = world.repository.path().display().to_string();
    let request = GitRequest {
        url: format!("ssh://{}@127.0.0.1:{}{path}", server.user, server.port),
        credentials: GitCredentials::Ssh(SshCredentials {
            identity: server.identity.clone().into(),
            password: Some("open sesame".into()),
            known_hosts: format!("[127.0.0.1]:{} {}\n", server.port, server.host_key),
        }),
        ..world.request()
    };
    let base = world.fetch(&request).await;
    let edit = |text: &[u8]| sluice::source::NewCommit {
        changes: [("a".to_owned(), text.to_vec())].into(),
        author: sluice::source::GitIdentity { name: "Flux".into(), email: "flux@example.com".into() },
        time: sluice::model::Timestamp::UNIX_EPOCH,
        message: "edit".into(),
        signing: None,
    };
    let push = |commit: &sluice::source::GitCheckout, expected: &str| sluice::source::GitPush {
        commit: commit.commit.clone(),
        updates: vec![sluice::source::RefUpdate {
            reference: "refs/heads/main".into(),
            expected: sluice::source::Expected::At(expected.to_owned()),
            force: false,
        }],
        options: Vec::new(),
    };
    let first = world.sources.commit(&base, edit(b"2")).await.unwrap();
    world.sources.push(&request, &push(&first, &base.commit)).await.unwrap();
    assert_eq!(world.repository.head("main").unwrap().unwrap(), first.commit);
    // once more: there is nothing to do, and the connection is left in order
    world.sources.push(&request, &push(&first, &base.commit)).await.unwrap();
    let hook = world.repository.path().join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(hook.with_extension("new"), "#!/bin/sh\necho closed for the holidays\nexit 1\n").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(hook.with_extension("new"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(hook.with_extension("new"), &hook).unwrap();
    let second = world.sources.commit(&first, edit(b"3")).await.unwrap();
    let refused = world.sources.push(&request, &push(&second, &first.commit)).await.unwrap_err();
    let sluice::source::PushError::Refused { words, .. } = &refused else { panic!("{refused}") };
    assert_eq!(words, "pre-receive hook declined: closed for the holidays");
    let refused = world.sources.push(&request, &push(&second, &base.commit)).await.unwrap_err();
    assert!(matches!(refused, sluice::source::PushError::Moved { .. }), "{refused}");
    assert_eq!(world.fetch(&request).await.commit, first.commit);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_just_closed_is_no_error() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = world().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/app.git", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let answer = |kind: &str, body: &str| {
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-{kind}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let greeting = "000eversion 2\n000cls-refs\n0000";
        let mut bytes = vec![0; 4096];
        let mut connections = 0;
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            connections += 1;
            let mut requests = 0;
            while let Ok(count) = socket.read(&mut bytes).await {
                if count == 0 {
                    break;
                }
                requests += 1;
                if connections == 1 && requests == 2 {
                    break;
                }
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                let answer = match text.starts_with("GET") {
                    true => answer("advertisement", greeting),
                    false => answer("result", "0000"),
                };
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    let refused = world.failure(&GitRequest { url, ..world.request() }).await;
    assert!(matches!(refused.kind, GitErrorKind::Empty), "{refused}");
    server.abort();
}
