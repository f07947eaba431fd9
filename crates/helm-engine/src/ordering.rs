//! The order in which Helm installs and removes kinds.

use std::cmp::Ordering;
use std::sync::LazyLock;

use crate::profile::HelmProfile;

/// Kinds in the order they are installed by Helm 4.
pub const INSTALL_ORDER: &[&str] = &[
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Kinds in the order they are removed by Helm 4.
pub const UNINSTALL_ORDER: &[&str] = &[
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "Ingress",
    "IngressClass",
    "Service",
    "CronJob",
    "Job",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
    "DaemonSet",
    "RoleBindingList",
    "RoleBinding",
    "RoleList",
    "Role",
    "ClusterRoleBindingList",
    "ClusterRoleBinding",
    "ClusterRoleList",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "ConfigMap",
    "SecretList",
    "Secret",
    "ServiceAccount",
    "PodDisruptionBudget",
    "PodSecurityPolicy",
    "LimitRange",
    "ResourceQuota",
    "NetworkPolicy",
    "Namespace",
    "PriorityClass",
];

type Ranks = std::collections::HashMap<&'static str, usize>;

fn ranks(order: &'static [&'static str]) -> Ranks {
    order.iter().enumerate().map(|(rank, kind)| (*kind, rank)).collect()
}

static INSTALL_RANKS: LazyLock<Ranks> = LazyLock::new(|| ranks(INSTALL_ORDER));
static UNINSTALL_RANKS: LazyLock<Ranks> = LazyLock::new(|| ranks(UNINSTALL_ORDER));

fn compare(ranks: &Ranks, webhooks_last: bool, a: &str, b: &str) -> Ordering {
    let rank = |kind: &str| {
        if !webhooks_last && kind.ends_with("WebhookConfiguration") { None } else { ranks.get(kind) }
    };
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Sorts by install order; unknown kinds come last by name, equal kinds keep their order.
pub fn install_order<T>(items: &mut [T], profile: &HelmProfile, kind: impl Fn(&T) -> &str) {
    items.sort_by(|a, b| compare(&INSTALL_RANKS, profile.webhooks_last, kind(a), kind(b)));
}

/// Sorts by uninstall order; unknown kinds come last by name, equal kinds keep their order.
pub fn uninstall_order<T>(items: &mut [T], profile: &HelmProfile, kind: impl Fn(&T) -> &str) {
    items.sort_by(|a, b| compare(&UNINSTALL_RANKS, profile.webhooks_last, kind(a), kind(b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(kinds: &[&str]) -> String {
        let mut kinds = kinds.to_vec();
        install_order(&mut kinds, &HelmProfile::default(), |kind| kind);
        kinds.join(" ")
    }

    #[test]
    fn unknown_kinds_are_installed_last_by_name() {
        assert_eq!(
            sorted(&["Widget", "Deployment", "", "Anvil", "ValidatingWebhookConfiguration", "Namespace"]),
            "Namespace Deployment ValidatingWebhookConfiguration  Anvil Widget"
        );
    }

    #[test]
    fn helm_3_does_not_know_webhook_configurations() {
        let mut kinds = vec!["Widget", "ValidatingWebhookConfiguration", "APIService", "Anvil"];
        install_order(&mut kinds, &HelmProfile::v3_19(), |kind| kind);
        assert_eq!(kinds, ["APIService", "Anvil", "ValidatingWebhookConfiguration", "Widget"]);
    }

    #[test]
    fn removal_starts_with_webhooks() {
        let mut kinds = vec!["Namespace", "Deployment", "ValidatingWebhookConfiguration", "Widget"];
        uninstall_order(&mut kinds, &HelmProfile::default(), |kind| kind);
        assert_eq!(kinds, ["ValidatingWebhookConfiguration", "Deployment", "Namespace", "Widget"]);
    }
}
