//! Helm's own release storage: one Secret per revision, in the storage namespace of the member cluster.
//!
//! Mirrors helm `pkg/storage/driver/secrets.go`, so that `helm list`, `history`, `get` and Flux read what is written.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use helm_engine::release::{DecodeError, Release, SECRET_TYPE, SharedCharts, encode, secret_name};
use serde_json::{Value, json};

use crate::cluster::{ApiError, Cluster, ListScope, Manifest, ObjectId, Propagation};
use crate::model::Clock;
use crate::render::pool::{PoolError, RenderPool};

/// gzip level of stored releases: a sixth of the CPU of Helm's 9 for about one percent more bytes.
const GZIP_LEVEL: u32 = 5;

/// The most bytes the data of a Secret may hold.
const SECRET_LIMIT: usize = 1024 * 1024;

/// Why the history could not be read or written, or the cluster not be compared with it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// What somebody may have changed on the cluster cannot be told.
    #[error("unable to determine cluster state: {0}")]
    Undetermined(String),
    /// The cluster refused or failed.
    #[error(transparent)]
    Cluster(#[from] ApiError),
    /// A stored record is damaged.
    #[error("failed to read release `{secret}` in namespace `{namespace}`: {source}")]
    Damaged {
        /// The Secret.
        secret: String,
        /// Its namespace.
        namespace: String,
        /// What is wrong.
        source: DecodeError,
    },
    /// Packing or unpacking was cut off.
    #[error("failed to read or write release records: {0}")]
    Stopped(#[from] PoolError),
    /// The release is larger than a Secret may be.
    #[error(
        "failed to store release `{release}`: it needs {bytes} bytes, a Secret holds {SECRET_LIMIT}\nhint: the chart's own files are stored with the release; keep large ones out with `.helmignore`"
    )]
    TooLarge {
        /// The release.
        release: String,
        /// What it would need.
        bytes: usize,
    },
}

/// The history of one release.
#[derive(Clone)]
pub struct Storage {
    cluster: Cluster,
    namespace: String,
    name: String,
    clock: Clock,
    pool: RenderPool,
    charts: SharedCharts,
}

impl Storage {
    /// The history of release `name`, kept in `namespace`. Records are packed and unpacked on the threads of `pool`: a
    /// large chart takes tens of milliseconds, during which the runtime's workers would answer no webhook. Records of one
    /// chart share it through `charts`.
    pub fn new(
        cluster: Cluster,
        namespace: impl Into<String>,
        name: impl Into<String>,
        clock: Clock,
        pool: RenderPool,
        charts: SharedCharts,
    ) -> Self {
        Self { cluster, namespace: namespace.into(), name: name.into(), clock, pool, charts }
    }

    /// All stored revisions, oldest first. Nothing when the namespace does not exist.
    pub async fn history(&self) -> Result<Vec<Release>, StorageError> {
        let scope = ListScope {
            namespace: Some(self.namespace.clone()),
            labels: format!("name={},owner=helm", self.name),
        };
        let secrets = self.cluster.list("v1", "Secret", &scope).await?;
        if secrets.is_empty() {
            return Ok(Vec::new());
        }
        let (namespace, charts) = (self.namespace.clone(), self.charts.clone());
        let unpack = move || {
            let mut releases = secrets
                .iter()
                .map(|secret| unpack(secret, &namespace, &charts))
                .collect::<Result<Vec<_>, _>>()?;
            releases.sort_by_key(|release| release.version);
            Ok(releases)
        };
        self.pool.run(unpack).await?
    }

    fn id(&self, version: i64) -> ObjectId {
        ObjectId::new("v1", "Secret", &self.namespace, &secret_name(&self.name, version))
    }

    async fn manifest(&self, release: &Release, time_label: &str) -> Result<Manifest, StorageError> {
        let id = self.id(release.version);
        let mut labels: BTreeMap<String, String> = release.labels.clone();
        labels.insert(time_label.to_owned(), self.clock.now().as_second().to_string());
        labels.insert("name".to_owned(), release.name.clone());
        labels.insert("owner".to_owned(), "helm".to_owned());
        labels.insert("status".to_owned(), release.info.status.as_str().to_owned());
        labels.insert("version".to_owned(), release.version.to_string());
        let release = release.clone();
        let payload = self.pool.run(move || pack(&release)).await??;
        let json = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": id.name, "namespace": self.namespace, "labels": labels },
            "type": SECRET_TYPE,
            "data": { "release": payload },
        });
        Ok(Manifest { id, json, source: None })
    }

    /// Stores a new revision, and deletes `outdated` ones at the same time. Fails when the revision is there already; a
    /// record that is too large touches nothing. An old revision that cannot be deleted is left for the next time: by
    /// then the new one may be there, and a failure would leave it pending.
    pub async fn create(&self, release: &Release, outdated: &[i64]) -> Result<(), StorageError> {
        let manifest = self.manifest(release, "createdAt").await?;
        let create = self.cluster.create(&manifest, super::FIELD_MANAGER);
        let delete = futures::future::join_all(outdated.iter().map(|version| self.delete(*version)));
        let (created, deleted) = futures::future::join(create, delete).await;
        for (version, outcome) in outdated.iter().zip(deleted) {
            if let Err(error) = outcome {
                let name = super::names::full_name(&self.namespace, &self.name, *version);
                tracing::warn!(
                    "failed to delete the outdated release {name}, the next one tries again: {error}"
                );
            }
        }
        created?;
        Ok(())
    }

    /// Overwrites a stored revision.
    pub async fn update(&self, release: &Release) -> Result<(), StorageError> {
        let manifest = self.manifest(release, "modifiedAt").await?;
        self.cluster.replace(&manifest, super::FIELD_MANAGER).await?;
        Ok(())
    }

    /// Deletes one revision; that it is gone already is fine.
    pub async fn delete(&self, version: i64) -> Result<(), StorageError> {
        self.cluster.remove(&self.id(version), Propagation::Background).await?;
        Ok(())
    }
}

/// A record as it stands in its Secret.
fn pack(release: &Release) -> Result<String, StorageError> {
    let payload = encode(release, GZIP_LEVEL);
    if payload.len() > SECRET_LIMIT {
        return Err(StorageError::TooLarge {
            release: super::names::full_name(&release.namespace, &release.name, release.version),
            bytes: payload.len(),
        });
    }
    Ok(STANDARD.encode(&payload))
}

fn unpack(secret: &Value, namespace: &str, charts: &SharedCharts) -> Result<Release, StorageError> {
    let damaged = |source: DecodeError| StorageError::Damaged {
        secret: secret["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        namespace: namespace.to_owned(),
        source,
    };
    let packed = secret["data"]["release"].as_str().unwrap_or_default();
    let payload = STANDARD.decode(packed).map_err(|error| damaged(error.into()))?;
    let mut release = charts.decode(&payload).map_err(damaged)?;
    let system = ["createdAt", "modifiedAt", "name", "owner", "status", "version"];
    release.labels = secret["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !system.contains(&key.as_str()))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    Ok(release)
}
