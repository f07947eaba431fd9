//! All member clusters of this process: one client per kubeconfig, one breaker per server.
//!
//! Keeps what is used and forgets the rest; holds no list of clusters that should exist.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::SecretBytes;
use super::breaker::{Breaker, BreakerSettings, BreakerState};
use super::connection;
use super::discovery::KindCache;
use super::error::ApiError;
use super::gate::Gate;
use super::kinds::{Capabilities, SharedKinds};
use super::kubeconfig::{self, Access, KubeconfigError, KubeconfigPolicy, KubeconfigReason};
use super::member::{Health, Member};
use super::seen::Seen;
use super::tls::TlsCache;
use super::warm::Warm;
use crate::model::{Clock, Timestamp};

/// Watches open at once per cluster; a wait bundles its objects into far fewer.
const WATCHES: usize = 64;

/// Idle connections to all clusters together, roughly: a few clusters keep what a push needs, many one each, and no
/// more clusters than this any.
const IDLE_CONNECTIONS: usize = 256;

/// How clusters are talked to.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Calls in flight per cluster.
    pub in_flight: usize,
    /// The deadline of every single call.
    pub call_deadline: Duration,
    /// A watch that says nothing for this long is checked by a list.
    pub watch_silence: Duration,
    /// The circuit breaker of each cluster.
    pub breaker: BreakerSettings,
    /// What a kubeconfig may do.
    pub policy: KubeconfigPolicy,
    /// `User-Agent`.
    pub user_agent: String,
    /// Clients kept; the least recently used goes first.
    pub most_clients: usize,
    /// Host and port of the cluster sluice itself runs in, if it does.
    pub own_host: Option<String>,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            in_flight: 16,
            call_deadline: Duration::from_secs(30),
            watch_silence: Duration::from_secs(30),
            breaker: BreakerSettings::default(),
            policy: KubeconfigPolicy::default(),
            user_agent: concat!("sluice/", env!("CARGO_PKG_VERSION")).to_owned(),
            most_clients: 4096,
            own_host: None,
        }
    }
}

/// On whose behalf a cluster is used.
#[derive(Clone, Debug, Default)]
pub struct ClusterIdentity {
    /// Where the kubeconfig came from, for messages: ``Secret `apps/member1` ``.
    pub object: String,
    /// The service account of the target cluster to act as.
    pub impersonate: Option<ServiceAccount>,
}

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// All member clusters.
#[derive(Clone)]
pub struct Clusters(Arc<Shared>);

struct Shared {
    settings: Arc<ClusterSettings>,
    clock: Clock,
    user_agent: HeaderValue,
    tls: TlsCache,
    warm: Arc<Warm>,
    kinds: Arc<SharedKinds>,
    members: Mutex<HashMap<[u8; 32], Pooled>>,
    health: Mutex<HashMap<[u8; 32], Weak<Health>>>,
}

struct Pooled {
    member: Arc<Member>,
    /// Impersonation the kubeconfig itself asks for.
    headers: Vec<(HeaderName, HeaderValue)>,
    used: Timestamp,
}

/// One cluster, on somebody's behalf. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(super) member: Arc<Member>,
    pub(super) headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl Clusters {
    /// No clusters yet.
    pub fn new(settings: ClusterSettings, clock: Clock) -> Self {
        let user_agent =
            HeaderValue::from_str(&settings.user_agent).unwrap_or(HeaderValue::from_static("sluice"));
        Self(Arc::new(Shared {
            settings: Arc::new(settings),
            clock,
            user_agent,
            tls: TlsCache::default(),
            warm: Warm::new(IDLE_CONNECTIONS),
            kinds: Arc::new(SharedKinds::default()),
            members: Mutex::new(HashMap::new()),
            health: Mutex::new(HashMap::new()),
        }))
    }

    /// The cluster a kubeconfig names, through the client already open for the same kubeconfig if there is one. Opens
    /// no connection yet. Needs a tokio runtime around it.
    pub fn connect(
        &self,
        kubeconfig: &SecretBytes,
        identity: ClusterIdentity,
    ) -> Result<Cluster, KubeconfigError> {
        let refuse = |reason| KubeconfigError { object: identity.object.clone(), reason };
        self.open(kubeconfig, &identity, self.0.settings.policy).map_err(refuse)
    }

    /// The cluster of the operator's own kubeconfig (`--kubeconfig`): it may name files and programs.
    pub fn connect_trusted(
        &self,
        kubeconfig: &SecretBytes,
        identity: ClusterIdentity,
    ) -> Result<Cluster, KubeconfigError> {
        let policy = KubeconfigPolicy { trusted: true, insecure_tls: true, exec: true };
        let refuse = |reason| KubeconfigError { object: identity.object.clone(), reason };
        self.open(kubeconfig, &identity, policy).map_err(refuse)
    }

    /// The cluster sluice runs in, with the service account of its pod.
    pub fn connect_in_cluster(&self, identity: ClusterIdentity) -> Result<Cluster, KubeconfigError> {
        let refuse = |reason| KubeconfigError { object: identity.object.clone(), reason };
        let open = || {
            let mut config = kube::Config::incluster()
                .map_err(|error| KubeconfigReason::Syntax(format!("not in a cluster: {error}")))?;
            config.default_retry = false;
            let server = match (config.cluster_url.host(), config.cluster_url.port_u16()) {
                (Some(host), Some(port)) => format!("{host}:{port}"),
                (Some(host), None) => format!("{host}:443"),
                (None, _) => "kubernetes.default.svc:443".to_owned(),
            };
            let key = Sha256::digest(b"in-cluster").into();
            self.pooled(key, Access { config, server }, &identity)
        };
        open().map_err(refuse)
    }

    fn open(
        &self,
        kubeconfig: &SecretBytes,
        identity: &ClusterIdentity,
        policy: KubeconfigPolicy,
    ) -> Result<Cluster, KubeconfigReason> {
        let mut hash = Sha256::new();
        hash.update([u8::from(policy.trusted)]);
        hash.update(kubeconfig.expose_secret());
        let key = hash.finalize().into();
        if let Some(cluster) = self.known(&key, identity)? {
            return Ok(cluster);
        }
        let access = kubeconfig::read(kubeconfig, policy)?;
        self.pooled(key, access, identity)
    }

    fn known(&self, key: &[u8; 32], identity: &ClusterIdentity) -> Result<Option<Cluster>, KubeconfigReason> {
        let mut members = self.lock();
        let Some(pooled) = members.get_mut(key) else { return Ok(None) };
        pooled.used = self.0.clock.now();
        self.handle(pooled, identity).map(Some)
    }

    fn handle(&self, pooled: &Pooled, identity: &ClusterIdentity) -> Result<Cluster, KubeconfigReason> {
        let headers = match &identity.impersonate {
            None => pooled.headers.clone(),
            Some(ServiceAccount { namespace, name }) => {
                let user = format!("system:serviceaccount:{namespace}:{name}");
                let value = HeaderValue::from_str(&user).map_err(|_| KubeconfigReason::BadCredential {
                    entry: identity.object.clone(),
                    field: "serviceAccountName",
                    detail: "holds characters no header can carry".to_owned(),
                })?;
                vec![(HeaderName::from_static("impersonate-user"), value)]
            }
        };
        // A kubeconfig that leads back to where sluice runs would act with whatever rights it carries.
        let own_host = self.0.settings.own_host.as_deref();
        if headers.is_empty() && own_host == Some(&*pooled.member.server) {
            return Err(KubeconfigReason::OwnHost(pooled.member.server.to_string()));
        }
        Ok(Cluster { member: pooled.member.clone(), headers: headers.into() })
    }

    fn pooled(
        &self,
        key: [u8; 32],
        access: Access,
        identity: &ClusterIdentity,
    ) -> Result<Cluster, KubeconfigReason> {
        let Access { mut config, server } = access;
        let headers = take_impersonation(&mut config)?;
        let shared = &*self.0;
        let health = self.health_of(&config);
        let certificate_expires = kubeconfig::client_certificate_expires(&config.auth_info);
        let idle = (IDLE_CONNECTIONS / (self.lock().len() + 1)).clamp(1, shared.settings.in_flight);
        let connection = connection::open(config, &shared.tls, &shared.warm, idle).map_err(|error| {
            KubeconfigReason::BadCredential {
                entry: server.clone(),
                field: "credentials",
                detail: format!("cannot be used: {error}"),
            }
        })?;
        let member = Arc::new(Member {
            server: server.into(),
            connection,
            health,
            settings: shared.settings.clone(),
            clock: shared.clock.clone(),
            kinds: KindCache::new(shared.kinds.clone()),
            seen: Seen::default(),
            user_agent: shared.user_agent.clone(),
            certificate_expires,
        });
        let pooled = Pooled { member, headers, used: shared.clock.now() };
        let cluster = self.handle(&pooled, identity)?;
        let mut members = self.lock();
        if members.len() >= shared.settings.most_clients
            && let Some(oldest) = members.iter().min_by_key(|(_, p)| p.used).map(|(key, _)| *key)
        {
            members.remove(&oldest);
        }
        members.insert(key, pooled);
        Ok(cluster)
    }

    /// The breaker and limits of a server, shared by all kubeconfigs that reach it the same way. A kubeconfig with
    /// another CA gets its own, so that a wrong one cannot shut the others out.
    fn health_of(&self, config: &kube::Config) -> Arc<Health> {
        let mut hash = Sha256::new();
        let mut part = |text: &[u8]| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        part(config.cluster_url.to_string().as_bytes());
        part(config.tls_server_name.as_deref().unwrap_or_default().as_bytes());
        part(config.proxy_url.as_ref().map(ToString::to_string).unwrap_or_default().as_bytes());
        for certificate in config.root_cert.iter().flatten() {
            part(certificate);
        }
        let key: [u8; 32] = hash.finalize().into();
        let mut all = self.0.health.lock().expect("a map's insert does not panic");
        if let Some(found) = all.get(&key).and_then(Weak::upgrade) {
            return found;
        }
        let health = Arc::new(Health {
            breaker: Breaker::new(self.0.settings.breaker, self.0.clock.clone()),
            gate: Gate::new(self.0.settings.in_flight),
            watches: Semaphore::new(WATCHES),
        });
        all.retain(|_, kept| kept.strong_count() > 0);
        all.insert(key, Arc::downgrade(&health));
        health
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Pooled>> {
        self.0.members.lock().expect("the lock is held for a look-up or an insert")
    }
}

/// Moves the kubeconfig's own impersonation into headers, where the caller's can replace it.
fn take_impersonation(config: &mut kube::Config) -> Result<Vec<(HeaderName, HeaderValue)>, KubeconfigReason> {
    let user = &mut config.auth_info;
    let mut named = Vec::new();
    named.extend(user.impersonate.take().filter(|u| !u.is_empty()).map(|u| ("impersonate-user", u)));
    named.extend(user.impersonate_uid.take().map(|u| ("impersonate-uid", u)));
    named.extend(user.impersonate_groups.take().into_iter().flatten().map(|g| ("impersonate-group", g)));
    user.impersonate_user_extra = None;
    let bad = |field| KubeconfigReason::BadCredential {
        entry: "the user".to_owned(),
        field,
        detail: "holds characters no header can carry".to_owned(),
    };
    named
        .into_iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_str(&value).map_err(|_| bad(name))?;
            Ok((HeaderName::from_static(name), value))
        })
        .collect()
}

impl Cluster {
    /// Host and port of the API server.
    pub fn server(&self) -> &str {
        &self.member.server
    }

    /// When the kubeconfig's client certificate runs out, if it has one.
    pub fn client_certificate_expires(&self) -> Option<Timestamp> {
        self.member.certificate_expires
    }

    /// Whether the cluster is being talked to.
    pub fn state(&self) -> BreakerState {
        self.member.health.breaker.state()
    }

    /// Version and kinds of the cluster, at most a minute old.
    pub async fn capabilities(&self) -> Result<Capabilities, ApiError> {
        self.member.kinds.fresh(&self.member, &self.headers).await
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cluster").field(&self.member.server).finish()
    }
}
