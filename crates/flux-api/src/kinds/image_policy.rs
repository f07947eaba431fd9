//! ImagePolicy.

use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};

api! {
    /// Which of an image's tags is the latest.
    ImagePolicySpec {
        /// The ImageRepository.
        image_repository_ref: NamespacedRef,
        /// How tags are ordered.
        policy: PolicyChoice,
        /// Which tags count, and what of them is ordered.
        filter_tags: Option<TagFilter>,
        /// Whether the digest is looked up; absent: Never.
        digest_reflection_policy: Option<ReflectionPolicy>,
        /// How often the digest is looked up (Always).
        interval: Option<GoDuration>,
        /// Leave it alone.
        suspend: bool,
    }

    /// An object of a known kind, in any namespace.
    NamespacedRef {
        /// Its name.
        name: String,
        /// Its namespace; the referring object's own when absent.
        namespace: Option<String>,
    }

    /// How tags are ordered; one of the three.
    PolicyChoice {
        /// By version, within a range.
        semver: Option<SemverPolicy>,
        /// By letter.
        alphabetical: Option<OrderPolicy>,
        /// By number.
        numerical: Option<OrderPolicy>,
    }

    /// A range of versions.
    SemverPolicy {
        /// The range.
        range: String,
    }

    /// Which end is the latest.
    OrderPolicy {
        /// Absent: asc, the last is the latest.
        order: Option<PolicyOrder>,
    }

    /// Which tags count, and what of them is ordered.
    TagFilter {
        /// A regular expression.
        pattern: Option<String>,
        /// What to order instead of the tag: `$ts`.
        extract: Option<String>,
    }

    /// What an ImagePolicy stands at.
    ImagePolicyStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// The latest image.
        latest_ref: Option<ImageRef>,
        /// The one before it.
        observed_previous_ref: Option<ImageRef>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }
}

/// An image at a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// The image without a tag.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// The digest, when the policy reflects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

words! {
    /// Which end of an order is the latest.
    PolicyOrder {
        Asc = "asc",
        Desc = "desc",
    }

    /// When the digest is looked up.
    ReflectionPolicy {
        Always = "Always",
        IfNotPresent = "IfNotPresent",
        Never = "Never",
    }
}

impl ImagePolicySpec {
    /// Never unless said otherwise.
    pub fn digest_reflection_policy(&self) -> ReflectionPolicy {
        self.digest_reflection_policy.unwrap_or(ReflectionPolicy::Never)
    }
}

impl OrderPolicy {
    /// asc unless said otherwise.
    pub fn order(&self) -> PolicyOrder {
        self.order.unwrap_or(PolicyOrder::Asc)
    }
}

impl NamespacedRef {
    /// The namespace referred to, for an object living in `own`.
    pub fn namespace<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }
}

impl std::fmt::Display for ImageRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)?;
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}
