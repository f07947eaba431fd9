//! Reads a kubeconfig with suspicion: it comes out of a Secret that a tenant wrote.
//!
//! Whatever would run a program, open a file of ours or weaken TLS is refused with a message, unless the operator's
//! flags allow it; kube never sees such a kubeconfig. Nothing is taken from the environment (no `HTTPS_PROXY`) and no
//! connection is made here.

use std::net::IpAddr;

use base64::Engine as _;
use kube::config::{AuthInfo, Cluster as ClusterEntry, ExecAuthCluster, Kubeconfig};
use secrecy::ExposeSecret as _;

use super::SecretBytes;

/// The API server's own limit on a Secret: nothing longer can have come out of one.
const LARGEST: usize = 1 << 20;
/// A kubeconfig names one member; hundreds of contexts are a mistake or an attack.
const MOST_CONTEXTS: usize = 100;

/// What the operator allows a kubeconfig to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct KubeconfigPolicy {
    /// `--insecure-kubeconfig-exec`: credential plugins may run. Files named in a kubeconfig stay closed.
    pub exec: bool,
    /// `--insecure-kubeconfig-tls`: `insecure-skip-tls-verify` and `http://` servers.
    pub insecure_tls: bool,
    /// The kubeconfig is the operator's own (`--kubeconfig`): files and programs it names are theirs too.
    pub trusted: bool,
}

/// A kubeconfig cannot be used. Texts name fields and keys, never values that may be credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kubeconfig of {object} refused: {reason}")]
pub struct KubeconfigError {
    /// Where the kubeconfig came from, as the caller names it (``Secret `apps/member1` ``).
    pub object: String,
    /// Why.
    pub reason: KubeconfigReason,
}

/// Why a kubeconfig cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigReason {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// Longer than a Secret can be.
    #[error("it is {size} bytes long, more than {LARGEST}")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// Not text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// Not YAML, or not a kubeconfig.
    #[error("it is no kubeconfig: {0}")]
    Syntax(String),
    /// Hundreds of contexts.
    #[error("it has {0} contexts, more than {MOST_CONTEXTS}")]
    TooManyContexts(usize),
    /// `current-context` is missing or empty.
    #[error("it has no current-context\nhint: `kubectl config use-context NAME`")]
    NoCurrentContext,
    /// A reference leads nowhere.
    #[error("{what} `{name}` is not in it")]
    Missing {
        /// `context`, `cluster` or `user`.
        what: &'static str,
        /// The name looked for.
        name: String,
    },
    /// The cluster has no usable `server`.
    #[error("cluster `{cluster}` has no usable server: {detail}")]
    BadServer {
        /// The cluster entry's name.
        cluster: String,
        /// What is wrong.
        detail: String,
    },
    /// It would run a program.
    #[error(
        "user `{user}` has `{field}`, which runs a program\nhint: use a token or a client certificate, or start sluice with `--insecure-kubeconfig-exec`"
    )]
    Exec {
        /// The user entry's name.
        user: String,
        /// The field.
        field: &'static str,
    },
    /// It would read a file of the machine sluice runs on.
    #[error("`{field}` of `{entry}` names a file; put the content into `{instead}`")]
    FilePath {
        /// The cluster or user entry's name.
        entry: String,
        /// The field.
        field: &'static str,
        /// The field that carries the content instead.
        instead: &'static str,
    },
    /// It would talk without verifying whom to.
    #[error(
        "cluster `{cluster}` {detail}\nhint: use the cluster's CA in `certificate-authority-data`, or start sluice with `--insecure-kubeconfig-tls`"
    )]
    InsecureTls {
        /// The cluster entry's name.
        cluster: String,
        /// `has insecure-skip-tls-verify` or `has an http:// server`.
        detail: &'static str,
    },
    /// A proxy we do not go through.
    #[error("proxy-url of cluster `{cluster}` {detail}")]
    Proxy {
        /// The cluster entry's name.
        cluster: String,
        /// What is wrong.
        detail: &'static str,
    },
    /// A certificate, key or token that cannot be read.
    #[error("`{field}` of `{entry}` {detail}")]
    BadCredential {
        /// The cluster or user entry's name.
        entry: String,
        /// The field.
        field: &'static str,
        /// What is wrong, without the value.
        detail: String,
    },
    /// The server is the cluster sluice itself runs in, and nobody is impersonated.
    #[error("its server `{0}` is the cluster sluice runs in\nhint: name a service account to impersonate")]
    OwnHost(String),
}

/// What a kubeconfig comes down to.
pub(super) struct Access {
    /// kube's settings, with nothing left in them that would surprise us.
    pub(super) config: kube::Config,
    /// Host and port, for messages.
    pub(super) server: String,
}

/// Checks a kubeconfig and turns it into connection settings.
pub(super) fn read(kubeconfig: &SecretBytes, policy: KubeconfigPolicy) -> Result<Access, KubeconfigReason> {
    let bytes = kubeconfig.expose_secret();
    if bytes.len() > LARGEST {
        return Err(KubeconfigReason::TooLarge { size: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| KubeconfigReason::NotText)?;
    if text.trim().is_empty() {
        return Err(KubeconfigReason::Empty);
    }
    let kubeconfig = parse(text)?;
    if kubeconfig.contexts.len() > MOST_CONTEXTS {
        return Err(KubeconfigReason::TooManyContexts(kubeconfig.contexts.len()));
    }
    let context_name = kubeconfig
        .current_context
        .as_deref()
        .filter(|n| !n.is_empty())
        .ok_or(KubeconfigReason::NoCurrentContext)?;
    let missing = |what, name: &str| KubeconfigReason::Missing { what, name: name.to_owned() };
    let context = kubeconfig
        .contexts
        .iter()
        .find(|c| c.name == context_name)
        .and_then(|c| c.context.as_ref())
        .ok_or_else(|| missing("context", context_name))?;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|c| c.name == context.cluster)
        .and_then(|c| c.cluster.as_ref())
        .ok_or_else(|| missing("cluster", &context.cluster))?;
    let user_name = context.user.as_deref().unwrap_or_default();
    let user = if user_name.is_empty() {
        AuthInfo::default()
    } else {
        let entry = kubeconfig.auth_infos.iter().find(|u| u.name == user_name);
        entry.and_then(|u| u.auth_info.clone()).ok_or_else(|| missing("user", user_name))?
    };
    check_cluster(cluster, &context.cluster, policy)?;
    check_user(&user, user_name, policy)?;
    connect_settings(cluster, &context.cluster, user, user_name, policy)
}

/// The readers' texts quote the document, which holds credentials, so they stay here.
fn parse(text: &str) -> Result<Kubeconfig, KubeconfigReason> {
    let json = goyaml::yaml_to_json(text)
        .map_err(|_| KubeconfigReason::Syntax("it is not valid YAML".to_owned()))?;
    serde_json::from_value(json)
        .map_err(|_| KubeconfigReason::Syntax("a field has another type than kubectl expects".to_owned()))
}

fn check_cluster(
    cluster: &ClusterEntry,
    name: &str,
    policy: KubeconfigPolicy,
) -> Result<(), KubeconfigReason> {
    if is_set(&cluster.certificate_authority) && !policy.trusted {
        return Err(KubeconfigReason::FilePath {
            entry: name.to_owned(),
            field: "certificate-authority",
            instead: "certificate-authority-data",
        });
    }
    if cluster.insecure_skip_tls_verify == Some(true) && !policy.insecure_tls {
        let detail = "has insecure-skip-tls-verify";
        return Err(KubeconfigReason::InsecureTls { cluster: name.to_owned(), detail });
    }
    Ok(())
}

fn check_user(user: &AuthInfo, name: &str, policy: KubeconfigPolicy) -> Result<(), KubeconfigReason> {
    // kube's auth providers read files and run programs too; no flag of Flux allows them, so none of ours does.
    if user.auth_provider.is_some() && !policy.trusted {
        return Err(KubeconfigReason::Exec { user: name.to_owned(), field: "auth-provider" });
    }
    if user.exec.is_some() && !policy.exec && !policy.trusted {
        return Err(KubeconfigReason::Exec { user: name.to_owned(), field: "exec" });
    }
    let files = [
        (is_set(&user.token_file), "tokenFile", "token"),
        (is_set(&user.client_certificate), "client-certificate", "client-certificate-data"),
        (is_set(&user.client_key), "client-key", "client-key-data"),
    ];
    for (set, field, instead) in files {
        if set && !policy.trusted {
            return Err(KubeconfigReason::FilePath { entry: name.to_owned(), field, instead });
        }
    }
    Ok(())
}

fn is_set(text: &Option<String>) -> bool {
    text.as_deref().is_some_and(|t| !t.is_empty())
}

fn connect_settings(
    cluster: &ClusterEntry,
    cluster_name: &str,
    mut user: AuthInfo,
    user_name: &str,
    policy: KubeconfigPolicy,
) -> Result<Access, KubeconfigReason> {
    let bad_server = |detail: &str| KubeconfigReason::BadServer {
        cluster: cluster_name.to_owned(),
        detail: detail.to_owned(),
    };
    let server =
        cluster.server.as_deref().filter(|s| !s.is_empty()).ok_or_else(|| bad_server("there is none"))?;
    let url: url::Url = server.parse().map_err(|_| bad_server("it is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad_server("it carries a user name"));
    }
    match url.scheme() {
        "https" => {}
        "http" if policy.insecure_tls => {}
        "http" => {
            let detail = "has an http:// server";
            return Err(KubeconfigReason::InsecureTls { cluster: cluster_name.to_owned(), detail });
        }
        _ => return Err(bad_server("it is neither https:// nor http://")),
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(bad_server("it has no host"));
    };
    let uri: http::Uri = server.trim_end_matches('/').parse().map_err(|_| bad_server("it is no URL"))?;
    let mut config = kube::Config::new(uri);
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name.clone().filter(|n| !n.is_empty());
    config.root_cert = root_certificates(cluster, cluster_name)?;
    config.proxy_url = proxy(cluster, cluster_name)?;
    if let Some(exec) = &mut user.exec {
        exec.cluster = ExecAuthCluster::try_from(cluster).ok();
    }
    check_identity(&user, user_name)?;
    config.auth_info = user;
    // The call's own deadline covers reading and writing; a retry policy of 15 tries must never run under ours.
    config.default_retry = false;
    // Several clusters may stand behind one host (`https://rancher.example/k8s/clusters/c-1`).
    let path = url.path().trim_end_matches('/');
    Ok(Access { config, server: format!("{host}:{port}{path}") })
}

fn root_certificates(cluster: &ClusterEntry, name: &str) -> Result<Option<Vec<Vec<u8>>>, KubeconfigReason> {
    let bad = |detail: String| KubeconfigReason::BadCredential {
        entry: name.to_owned(),
        field: "certificate-authority-data",
        detail,
    };
    let pem = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) if !data.is_empty() => decode(data).ok_or_else(|| bad("is not base64".to_owned()))?,
        (_, Some(path)) if !path.is_empty() => std::fs::read(path)
            .map_err(|error| bad(format!("cannot be read from certificate-authority `{path}`: {error}")))?,
        _ => return Ok(None),
    };
    use rustls_pki_types::pem::PemObject as _;
    let certificates: Result<Vec<_>, _> =
        rustls_pki_types::CertificateDer::pem_slice_iter(&pem).map(|c| c.map(|c| c.to_vec())).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(Some(certificates)),
        _ => Err(bad("holds no PEM certificate".to_owned())),
    }
}

fn decode(data: &str) -> Option<Vec<u8>> {
    let packed: String = data.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(packed).ok()
}

/// Client certificates and keys that cannot work are named here, by field; later the TLS library would say less.
fn check_identity(user: &AuthInfo, name: &str) -> Result<(), KubeconfigReason> {
    use rustls_pki_types::pem::PemObject as _;
    let bad = |field, detail: &str| KubeconfigReason::BadCredential {
        entry: name.to_owned(),
        field,
        detail: detail.to_owned(),
    };
    if let Some(data) = &user.client_certificate_data {
        let pem = decode(data).ok_or_else(|| bad("client-certificate-data", "is not base64"))?;
        rustls_pki_types::CertificateDer::from_pem_slice(&pem)
            .map_err(|_| bad("client-certificate-data", "holds no PEM certificate"))?;
        if user.client_key_data.is_none() && !is_set(&user.client_key) {
            return Err(bad("client-certificate-data", "comes without client-key-data"));
        }
    }
    if let Some(data) = &user.client_key_data {
        let pem = decode(data.expose_secret()).ok_or_else(|| bad("client-key-data", "is not base64"))?;
        rustls_pki_types::PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| bad("client-key-data", "holds no PEM private key"))?;
    }
    if let Some(token) = &user.token
        && http::HeaderValue::from_str(token.expose_secret()).is_err()
    {
        return Err(bad("token", "holds characters no header can carry"));
    }
    Ok(())
}

/// When the client certificate, if there is one, runs out.
pub(super) fn client_certificate_expires(user: &AuthInfo) -> Option<crate::model::Timestamp> {
    use rustls_pki_types::pem::PemObject as _;
    let pem = decode(user.client_certificate_data.as_deref()?)?;
    let certificate = rustls_pki_types::CertificateDer::from_pem_slice(&pem).ok()?;
    super::expiry::not_after(&certificate)
}

fn proxy(cluster: &ClusterEntry, name: &str) -> Result<Option<http::Uri>, KubeconfigReason> {
    let Some(text) = cluster.proxy_url.as_deref().filter(|p| !p.is_empty()) else { return Ok(None) };
    let bad = |detail| KubeconfigReason::Proxy { cluster: name.to_owned(), detail };
    let url: url::Url = text.parse().map_err(|_| bad("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("is neither http:// nor https://"));
    }
    match url.host() {
        None => return Err(bad("has no host")),
        Some(host) if is_metadata_host(&host) => return Err(bad("is a cloud metadata address")),
        Some(_) => {}
    }
    text.parse().map(Some).map_err(|_| bad("is no URL"))
}

/// Addresses at which clouds hand out credentials to whoever asks from inside.
fn is_metadata_host(host: &url::Host<&str>) -> bool {
    let ip = match host {
        url::Host::Ipv4(ip) => IpAddr::V4(*ip),
        url::Host::Ipv6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => IpAddr::V4(ip),
            None => IpAddr::V6(*ip),
        },
        url::Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            return matches!(name.as_str(), "metadata" | "metadata.google.internal" | "instance-data");
        }
    };
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.octets() == [100, 100, 100, 200],
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.segments()[..2] == [0xfd00, 0xec2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

    /// A kubeconfig whose cluster and user hold these lines.
    fn config(cluster: &[&str], user: &[&str]) -> String {
        let lines = |lines: &[&str]| lines.iter().map(|l| format!("    {l}\n")).collect::<String>();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context:\n    cluster: k\n    user: u\n\
             clusters:\n- name: k\n  cluster:\n{}users:\n- name: u\n  user:\n{}",
            lines(cluster),
            lines(user),
        )
    }

    fn read_text(text: &str, policy: KubeconfigPolicy) -> Result<Access, KubeconfigReason> {
        read(&SecretBytes::from(text.as_bytes().to_vec()), policy)
    }

    #[track_caller]
    fn refused(text: &str) -> KubeconfigReason {
        read_text(text, KubeconfigPolicy::default()).err().expect("the kubeconfig was accepted")
    }

    const SERVER: &str = "server: https://10.0.0.1:6443";

    #[test]
    fn a_plain_kubeconfig_is_read_without_the_environment() {
        let access = read_text(&config(&[SERVER], &["token: abc"]), KubeconfigPolicy::default()).unwrap();
        assert_eq!(access.server, "10.0.0.1:6443");
        assert!(access.config.proxy_url.is_none());
        assert!(!access.config.default_retry);
        assert!(access.config.auth_info.token.is_some());
    }

    #[test]
    fn h90_s1_programs_are_refused_without_the_flag() {
        let exec = config(
            &[SERVER],
            &["exec:", "  apiVersion: client.authentication.k8s.io/v1", "  command: /bin/sh"],
        );
        let field = |text: &str| match refused(text) {
            KubeconfigReason::Exec { field, user } => (field, user),
            other => panic!("{other}"),
        };
        assert_eq!(field(&exec), ("exec", "u".to_owned()));
        let provider =
            config(&[SERVER], &["auth-provider:", "  name: gcp", "  config:", "    cmd-path: /bin/sh"]);
        assert_eq!(field(&provider), ("auth-provider", "u".to_owned()));
        let allowed = KubeconfigPolicy { exec: true, ..KubeconfigPolicy::default() };
        assert!(read_text(&exec, allowed).is_ok());
        assert!(read_text(&provider, allowed).is_err(), "the flag allows exec only");
    }

    #[test]
    fn h90_s1_files_are_refused_even_with_the_flags() {
        let allowed = KubeconfigPolicy { exec: true, insecure_tls: true, trusted: false };
        let table = [
            (config(&[SERVER], &["tokenFile: /etc/passwd"]), "tokenFile"),
            (config(&[SERVER], &["client-certificate: /etc/passwd"]), "client-certificate"),
            (config(&[SERVER], &["client-key: /etc/passwd"]), "client-key"),
            (config(&[SERVER, "certificate-authority: /etc/passwd"], &["token: a"]), "certificate-authority"),
            (config(&[SERVER, "certificate-authority: ../ca"], &["token: a"]), "certificate-authority"),
        ];
        for (text, expected) in table {
            let Err(KubeconfigReason::FilePath { field, .. }) = read_text(&text, allowed) else {
                panic!("{expected} was not refused")
            };
            assert_eq!(field, expected);
        }
    }

    #[test]
    fn h91_unverified_connections_are_refused_without_the_flag() {
        let skip = config(&[SERVER, "insecure-skip-tls-verify: true"], &["token: a"]);
        let plain = config(&["server: http://10.0.0.1:8080"], &["token: a"]);
        for text in [&skip, &plain] {
            assert!(matches!(refused(text), KubeconfigReason::InsecureTls { .. }));
            let allowed = KubeconfigPolicy { insecure_tls: true, ..KubeconfigPolicy::default() };
            assert!(read_text(text, allowed).is_ok());
        }
    }

    #[test]
    fn h92_proxies_at_metadata_addresses_are_refused() {
        for proxy in [
            "http://169.254.169.254",
            "http://[fe80::1]:80",
            "http://[fd00:ec2::254]",
            "http://[::ffff:169.254.169.254]",
            "http://metadata.google.internal.",
            "http://100.100.100.200",
            "socks5://10.0.0.1:1080",
            "file:///etc/passwd",
            "no url",
        ] {
            let text = config(&[SERVER, &format!("proxy-url: '{proxy}'")], &["token: a"]);
            assert!(matches!(refused(&text), KubeconfigReason::Proxy { .. }), "{proxy}");
        }
        let text = config(&[SERVER, "proxy-url: http://proxy.example:3128"], &["token: a"]);
        assert!(read_text(&text, KubeconfigPolicy::default()).unwrap().config.proxy_url.is_some());
    }

    #[test]
    fn h93_oversized_and_dangling_kubeconfigs_are_refused() {
        let huge = format!("{}# {}", config(&[SERVER], &["token: a"]), "x".repeat(10 << 20));
        assert!(matches!(refused(&huge), KubeconfigReason::TooLarge { .. }));
        let mut many = config(&[SERVER], &["token: a"]);
        let contexts: String =
            (0..1000).map(|i| format!("- name: c{i}\n  context:\n    cluster: k\n    user: u\n")).collect();
        many = many.replace("contexts:\n", &format!("contexts:\n{contexts}"));
        assert_eq!(refused(&many), KubeconfigReason::TooManyContexts(1001));
        let none = config(&[SERVER], &["token: a"]).replace("current-context: c\n", "");
        assert_eq!(refused(&none), KubeconfigReason::NoCurrentContext);
        let missing = |what, name: &str| KubeconfigReason::Missing { what, name: name.to_owned() };
        let text = config(&[SERVER], &["token: a"]);
        assert_eq!(
            refused(&text.replace("current-context: c", "current-context: d")),
            missing("context", "d")
        );
        assert_eq!(refused(&text.replace("cluster: k\n", "cluster: l\n")), missing("cluster", "l"));
        assert_eq!(refused(&text.replace("user: u\n", "user: v\n")), missing("user", "v"));
    }

    #[test]
    fn h95_empty_and_broken_texts_are_named_without_their_content() {
        assert_eq!(refused(" \n"), KubeconfigReason::Empty);
        let bytes = SecretBytes::from(vec![0xff, 0xfe]);
        assert_eq!(read(&bytes, KubeconfigPolicy::default()).err(), Some(KubeconfigReason::NotText));
        for broken in ["{", "a: [", "- 1", "token: hunter2\ncontexts: 7", "x: &a [*a]"] {
            let reason = refused(broken);
            assert!(!reason.to_string().contains("hunter2"), "{reason}");
        }
        let bad = |cluster: &[&str], user: &[&str]| match refused(&config(cluster, user)) {
            KubeconfigReason::BadCredential { field, detail, .. } => format!("{field} {detail}"),
            other => panic!("{other}"),
        };
        let ca = format!("certificate-authority-data: {CA}");
        assert_eq!(
            bad(&[SERVER, "certificate-authority-data: '%%%'"], &["token: a"]),
            "certificate-authority-data is not base64"
        );
        assert_eq!(
            bad(&[SERVER, "certificate-authority-data: aGFsbG8="], &["token: a"]),
            "certificate-authority-data holds no PEM certificate"
        );
        assert_eq!(
            bad(&[SERVER, &ca], &["client-certificate-data: '%'"]),
            "client-certificate-data is not base64"
        );
        assert_eq!(bad(&[SERVER], &["token: \"a\\nb\""]), "token holds characters no header can carry");
    }

    #[test]
    fn servers_that_are_no_servers_are_refused() {
        for server in ["", "10.0.0.1:6443", "ftp://a", "https://user:pass@a:6443", "unix:///x"] {
            let text = config(&[&format!("server: '{server}'")], &["token: a"]);
            let reason = refused(&text);
            assert!(matches!(reason, KubeconfigReason::BadServer { .. }), "{server}: {reason}");
            assert!(!reason.to_string().contains("pass"), "{reason}");
        }
    }
}
