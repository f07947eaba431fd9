//! Bucket.

use std::time::Duration;

use super::common::{Artifact, CloudProvider, LocalRef, SOURCE_TIMEOUT};
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};

api! {
    /// The files of an object-storage bucket.
    BucketSpec {
        /// Absent: generic.
        provider: Option<CloudProvider>,
        /// The bucket.
        bucket_name: String,
        /// The service's address.
        endpoint: String,
        /// A service that gives temporary credentials.
        sts: Option<BucketSts>,
        /// Plain http.
        insecure: bool,
        /// The region.
        region: Option<String>,
        /// Only keys that begin so.
        prefix: Option<String>,
        /// Credentials.
        secret_ref: Option<LocalRef>,
        /// Identity for a cloud's login.
        service_account_name: Option<String>,
        /// `ca.crt`, `tls.crt`, `tls.key`.
        cert_secret_ref: Option<LocalRef>,
        /// Address and credentials of a proxy.
        proxy_secret_ref: Option<LocalRef>,
        /// How often to look without being told.
        interval: GoDuration,
        /// Longest time for one operation.
        timeout: Option<GoDuration>,
        /// gitignore lines.
        ignore: Option<String>,
        /// Leave it alone.
        suspend: bool,
    }

    /// A service that gives temporary credentials.
    BucketSts {
        /// Which kind.
        provider: Option<StsProvider>,
        /// Its address.
        endpoint: String,
        /// Credentials for it.
        secret_ref: Option<LocalRef>,
        /// `ca.crt`, `tls.crt`, `tls.key` for it.
        cert_secret_ref: Option<LocalRef>,
    }

    /// What a Bucket stands at.
    BucketStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// Where the newest artifact is served.
        url: Option<String>,
        /// The last artifact stored.
        artifact: Option<Artifact>,
        /// `spec.ignore` of the artifact.
        observed_ignore: Option<String>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }
}

words! {
    /// Kinds of credential services.
    StsProvider {
        Aws = "aws",
        Ldap = "ldap",
    }
}

impl BucketSpec {
    /// 60 s unless said otherwise.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(SOURCE_TIMEOUT, GoDuration::get)
    }

    /// generic unless said otherwise.
    pub fn provider(&self) -> CloudProvider {
        self.provider.unwrap_or(CloudProvider::Generic)
    }
}
