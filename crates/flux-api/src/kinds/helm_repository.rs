//! HelmRepository.

use std::time::Duration;

use super::common::{AccessFrom, Artifact, CloudProvider, LocalRef, SOURCE_TIMEOUT};
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};

api! {
    /// A chart repository: an index over http, or a registry.
    HelmRepositorySpec {
        /// http, https or oci.
        url: String,
        /// Absent: default.
        r#type: Option<HelmRepositoryType>,
        /// How often to look without being told; optional for a registry.
        interval: Option<GoDuration>,
        /// Longest time for one operation.
        timeout: Option<GoDuration>,
        /// `username` and `password`, or dockerconfigjson.
        secret_ref: Option<LocalRef>,
        /// `ca.crt`, `tls.crt`, `tls.key`.
        cert_secret_ref: Option<LocalRef>,
        /// Send credentials to other hosts named in the index too.
        pass_credentials: bool,
        /// Plain http (oci).
        insecure: bool,
        /// Whose login to use (oci).
        provider: Option<CloudProvider>,
        /// Accepted and, as in Flux, without effect.
        access_from: Option<AccessFrom>,
        /// Leave it alone.
        suspend: bool,
    }

    /// What a HelmRepository stands at; a registry keeps none.
    HelmRepositoryStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// Where the newest index is served.
        url: Option<String>,
        /// The last index stored.
        artifact: Option<Artifact>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }
}

words! {
    /// Index over http, or registry.
    HelmRepositoryType {
        Default = "default",
        Oci = "oci",
    }
}

impl HelmRepositorySpec {
    /// 60 s unless said otherwise.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(SOURCE_TIMEOUT, GoDuration::get)
    }

    /// default unless said otherwise.
    pub fn repository_type(&self) -> HelmRepositoryType {
        self.r#type.unwrap_or(HelmRepositoryType::Default)
    }

    /// True for `type: oci`: a static object that nothing reconciles.
    pub fn is_oci(&self) -> bool {
        self.repository_type() == HelmRepositoryType::Oci
    }

    /// generic unless said otherwise.
    pub fn provider(&self) -> CloudProvider {
        self.provider.unwrap_or(CloudProvider::Generic)
    }
}
