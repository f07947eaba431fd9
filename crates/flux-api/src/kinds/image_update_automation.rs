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
    /// Why this is no selector, in the words of Kubernetes; `None` when it is one.
    pub fn problem(&self) -> Option<String> {
        let labels = self.match_labels.iter().map(|(key, value)| (key, std::slice::from_ref(value)));
        for (key, values) in labels {
            if let Some(problem) = label_selector_problem(key, values) {
                return Some(problem);
            }
        }
        for LabelRequirement { key, operator, values } in &self.match_expressions {
            let shown = || format!("{values:?}").replace("\", \"", "\",\"");
            match operator.as_str() {
                "In" | "NotIn" if values.is_empty() => {
                    let why = "for 'in', 'notin' operators, values set can't be empty";
                    return Some(format!("values: Invalid value: {}: {why}", shown()));
                }
                "Exists" | "DoesNotExist" if !values.is_empty() => {
                    let why = "values set must be empty for exists and does not exist";
                    return Some(format!("values: Invalid value: {}: {why}", shown()));
                }
                "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
                other => return Some(format!("{other:?} is not a valid label selector operator")),
            }
            if let Some(problem) = label_selector_problem(key, values) {
                return Some(problem);
            }
        }
        None
    }

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

/// What Kubernetes demands of a label's name and values.
fn label_selector_problem(key: &str, values: &[String]) -> Option<String> {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    let prefix = key.rsplit_once('/').map(|(prefix, _)| prefix);
    if name.is_empty()
        || !is_label_value(name)
        || prefix.is_some_and(|prefix| crate::subdomain_problem(prefix).is_some())
    {
        let why = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        return Some(format!("key: Invalid value: {key:?}: {why}"));
    }
    for (i, value) in values.iter().enumerate() {
        if value.len() > 63 {
            return Some(format!(
                "values[{i}][{key}]: Invalid value: {value:?}: must be no more than 63 bytes"
            ));
        }
        if !is_label_value(value) {
            let why = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
            return Some(format!("values[{i}][{key}]: Invalid value: {value:?}: {why}"));
        }
    }
    None
}

fn is_label_value(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_labels: BTreeMap::new(),
            match_expressions: vec![LabelRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            }],
        }
    }

    #[test]
    fn a_selector_that_kubernetes_would_refuse_is_none() {
        assert_eq!(LabelSelector::default().problem(), None);
        assert_eq!(requirement("app.kubernetes.io/name", "In", &["a", "b"]).problem(), None);
        for (selector, expected) in [
            (requirement("a", "Like", &["b"]), "\"Like\" is not a valid label selector operator"),
            (requirement("a", "In", &[]), "for 'in', 'notin' operators, values set can't be empty"),
            (requirement("a", "Exists", &["b"]), "values: Invalid value: [\"b\"]: values set must be empty"),
            (requirement("-a", "Exists", &[]), "key: Invalid value: \"-a\""),
            (requirement("a", "In", &["b c"]), "values[0][a]: Invalid value: \"b c\""),
            (requirement("a", "In", &[&"x".repeat(64)]), "must be no more than 63 bytes"),
        ] {
            let problem = selector.problem().unwrap();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
