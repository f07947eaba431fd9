//! ImageUpdateAutomation.

use std::collections::BTreeMap;

use super::common::{LocalRef, SourceRef};
use super::git_repository::GitReference;
use super::image_policy::ImageRef;
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};
use crate::time::Time;

api! {
    /// Writes the latest images into a git repository.
    ImageUpdateAutomationSpec {
        /// The GitRepository.
        source_ref: SourceRef,
        /// How to check out, commit and push.
        git: Option<GitSettings>,
        /// How often to look without being told.
        interval: GoDuration,
        /// Which policies; all of the namespace when absent.
        policy_selector: Option<LabelSelector>,
        /// What to change.
        update: Option<UpdateStrategy>,
        /// Leave it alone.
        suspend: bool,
    }

    /// How to check out, commit and push.
    GitSettings {
        /// What to check out; the GitRepository's when absent.
        checkout: Option<GitCheckout>,
        /// How to commit.
        commit: CommitSettings,
        /// Where to push.
        push: Option<PushSettings>,
    }

    /// What to check out.
    GitCheckout {
        /// The reference.
        #[serde(rename = "ref")]
        reference: GitReference,
    }

    /// How to commit.
    CommitSettings {
        /// Author and committer.
        author: CommitUser,
        /// The key to sign with.
        signing_key: Option<SigningKey>,
        /// A Go template for the message.
        message_template: Option<String>,
        /// `.Values` of the template.
        message_template_values: BTreeMap<String, String>,
    }

    /// Author and committer.
    CommitUser {
        /// The name.
        name: Option<String>,
        /// The address.
        email: String,
    }

    /// The key to sign with.
    SigningKey {
        /// The Secret.
        secret_ref: LocalRef,
        /// Absent: gpg.
        r#type: Option<SigningKeyType>,
    }

    /// Where to push.
    PushSettings {
        /// A branch; the one checked out when absent.
        branch: Option<String>,
        /// A refspec to push besides.
        refspec: Option<String>,
        /// Push options.
        options: BTreeMap<String, String>,
    }

    /// A Kubernetes label selector.
    LabelSelector {
        /// All of these.
        match_labels: BTreeMap<String, String>,
        /// And all of these.
        match_expressions: Vec<LabelRequirement>,
    }

    /// One requirement of a label selector.
    LabelRequirement {
        /// The label.
        key: String,
        /// In, NotIn, Exists or DoesNotExist.
        operator: String,
        /// The values.
        values: Vec<String>,
    }

    /// What to change.
    UpdateStrategy {
        /// `Setters`, the only one there is.
        strategy: Option<String>,
        /// The directory in the repository; its root when absent.
        path: Option<String>,
    }

    /// What an ImageUpdateAutomation stands at.
    ImageUpdateAutomationStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// When it last ran.
        last_automation_run_time: Option<Time>,
        /// The commit last pushed.
        last_push_commit: Option<String>,
        /// When.
        last_push_time: Option<Time>,
        /// The images of the last run, by policy.
        observed_policies: BTreeMap<String, ImageRef>,
        /// The source's revision of the last run.
        observed_source_revision: Option<String>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }
}

words! {
    /// Kinds of signing keys.
    SigningKeyType {
        Gpg = "gpg",
        Ssh = "ssh",
    }
}

/// The message of a commit when nothing is said.
pub const DEFAULT_MESSAGE_TEMPLATE: &str = "Update from image update automation";

impl ImageUpdateAutomationSpec {
    /// The directory to change; `.` when nothing is said.
    pub fn path(&self) -> &str {
        self.update
            .as_ref()
            .and_then(|update| update.path.as_deref())
            .filter(|path| !path.is_empty())
            .unwrap_or(".")
    }
}

impl CommitSettings {
    /// The template of the message.
    pub fn message_template(&self) -> &str {
        self.message_template
            .as_deref()
            .filter(|template| !template.is_empty())
            .unwrap_or(DEFAULT_MESSAGE_TEMPLATE)
    }
}

impl SigningKey {
    /// gpg unless said otherwise.
    pub fn key_type(&self) -> SigningKeyType {
        self.r#type.unwrap_or(SigningKeyType::Gpg)
    }
}

impl LabelSelector {
    /// Whether these labels are selected; an unknown operator selects nothing.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(&requirement.key);
                match requirement.operator.as_str() {
                    "In" => value.is_some_and(|value| requirement.values.contains(value)),
                    "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }
}
