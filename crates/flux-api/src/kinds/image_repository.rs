//! ImageRepository.

use std::time::Duration;

use super::common::{AccessFrom, CloudProvider, LocalRef};
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::api;
use crate::time::Time;

api! {
    /// An image whose tags are listed.
    ImageRepositorySpec {
        /// The image, without scheme and tag.
        image: String,
        /// How often to list without being told.
        interval: GoDuration,
        /// Longest time for one listing.
        timeout: Option<GoDuration>,
        /// Credentials, dockerconfigjson.
        secret_ref: Option<LocalRef>,
        /// Image pull secrets or cloud identity.
        service_account_name: Option<String>,
        /// `ca.crt`, `tls.crt`, `tls.key`.
        cert_secret_ref: Option<LocalRef>,
        /// Address and credentials of a proxy.
        proxy_secret_ref: Option<LocalRef>,
        /// Plain http.
        insecure: bool,
        /// Whose login to use.
        provider: Option<CloudProvider>,
        /// Tags to leave out, regular expressions.
        exclusion_list: Option<Vec<String>>,
        /// Policies of which namespaces may use it.
        access_from: Option<AccessFrom>,
        /// Leave it alone.
        suspend: bool,
    }

    /// What an ImageRepository stands at.
    ImageRepositoryStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// The image with its registry spelt out.
        canonical_image_name: Option<String>,
        /// The last listing.
        last_scan_result: Option<ScanResult>,
        /// The exclusion list of that listing.
        observed_exclusion_list: Vec<String>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }

    /// One listing.
    ScanResult {
        /// Tags found after exclusion.
        tag_count: Option<i64>,
        /// When.
        scan_time: Option<Time>,
        /// The ten highest, descending.
        latest_tags: Vec<String>,
        /// Checksum of the tags.
        revision: Option<String>,
    }
}

impl ImageRepositorySpec {
    /// The interval, at least 1 s, unless said otherwise.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.interval).get().max(Duration::from_secs(1))
    }

    /// cosign signatures are left out unless said otherwise.
    pub fn exclusion_list(&self) -> Vec<String> {
        self.exclusion_list.clone().unwrap_or_else(|| vec![r"^.*\.sig$".to_owned()])
    }

    /// generic unless said otherwise.
    pub fn provider(&self) -> CloudProvider {
        self.provider.unwrap_or(CloudProvider::Generic)
    }
}
