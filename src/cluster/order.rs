//! In which order objects are applied and deleted: groups one after another, the objects of a group together.
//!
//! Two orders, Helm's and Flux's; both are observable when something fails, so neither is improved here. Helm's own is
//! where charts are rendered, in `helm_engine::ordering`; its way back is not the reverse of its way there.

use helm_engine::ordering::{INSTALL_ORDER, UNINSTALL_ORDER};

use super::object::{Manifest, ObjectId};

/// Whose order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Helm's `InstallOrder`; kinds it does not know come last, by name.
    #[default]
    Helm,
    /// kustomize-controller's stages, and Flux's `ReconcileOrder` within them.
    Flux {
        /// `--custom-apply-stage-kinds`: (group, kind) applied after the class definitions and before the rest.
        custom_stage: Vec<(String, String)>,
    },
}

/// Objects that are applied together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Indices into the list that was ordered.
    pub(super) members: Vec<usize>,
    /// Whether these must be ready before the next group is touched.
    pub(super) settle: bool,
}

/// fluxcd/pkg `ssa/sort.go`, before everything else …
const FLUX_FIRST: &[&str] = &[
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// … and after everything else.
const FLUX_LAST: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// A place in an order. Groups are runs of equal ranks.
type Rank = (u8, usize, String, String);

fn helm_rank(order: &[&str], id: &ObjectId) -> Rank {
    match order.iter().position(|kind| *kind == id.kind) {
        Some(index) => (0, index, String::new(), String::new()),
        None => (0, order.len(), id.kind.clone(), String::new()),
    }
}

fn flux_rank(id: &ObjectId, custom_stage: &[(String, String)]) -> Rank {
    let is_definition = id.is_crd()
        || (id.group.is_empty() && id.kind == "Namespace")
        || (id.group == "rbac.authorization.k8s.io" && id.kind == "ClusterRole");
    let stage = if is_definition {
        0
    } else if id.kind.ends_with("Class") {
        1
    } else if custom_stage.iter().any(|(group, kind)| *group == id.group && *kind == id.kind) {
        2
    } else {
        3
    };
    let middle = FLUX_FIRST.len();
    let index = match FLUX_FIRST.iter().position(|kind| *kind == id.kind) {
        Some(index) => index,
        None => FLUX_LAST.iter().position(|kind| *kind == id.kind).map_or(middle, |last| middle + 1 + last),
    };
    // Flux goes on by group, then kind; the kinds of one rank do not depend on each other, so they go together.
    (stage, index, String::new(), String::new())
}

/// The groups in which to apply `objects`.
pub(super) fn to_apply(objects: &[Manifest], order: &Order) -> Vec<Group> {
    let rank = |manifest: &Manifest| match order {
        Order::Helm => helm_rank(INSTALL_ORDER, &manifest.id),
        Order::Flux { custom_stage } => flux_rank(&manifest.id, custom_stage),
    };
    let mut groups = grouped(objects.iter().map(rank));
    let last = groups.len().saturating_sub(1);
    for (index, (rank, group)) in groups.iter_mut().enumerate() {
        let is_crds = group.members.iter().any(|member| objects[*member].id.is_crd());
        let ends_stage = matches!(order, Order::Flux { .. }) && rank.0 < 2;
        group.settle = index < last && (is_crds || ends_stage);
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// The groups in which to delete `objects`.
pub(super) fn to_delete(objects: &[ObjectId], order: &Order) -> Vec<Vec<usize>> {
    match order {
        Order::Helm => {
            let groups = grouped(objects.iter().map(|id| helm_rank(UNINSTALL_ORDER, id)));
            groups.into_iter().map(|(_, group)| group.members).collect()
        }
        Order::Flux { custom_stage } => {
            let groups = grouped(objects.iter().map(|id| flux_rank(id, custom_stage)));
            groups.into_iter().rev().map(|(_, group)| group.members).collect()
        }
    }
}

fn grouped(ranks: impl Iterator<Item = Rank>) -> Vec<(Rank, Group)> {
    let mut ranked: Vec<(Rank, usize)> = ranks.enumerate().map(|(index, rank)| (rank, index)).collect();
    ranked.sort();
    let mut groups: Vec<(Rank, Group)> = Vec::new();
    for (rank, index) in ranked {
        match groups.last_mut() {
            Some((last, group)) if *last == rank => group.members.push(index),
            _ => groups.push((rank, Group { members: vec![index], settle: false })),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(api_version: &str, kind: &str) -> Manifest {
        let json = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}});
        Manifest::new(json, None).unwrap()
    }

    fn kinds(objects: &[Manifest], groups: &[Group]) -> Vec<(String, bool)> {
        let kinds = |group: &Group| {
            let kinds: Vec<_> = group.members.iter().map(|m| objects[*m].id.kind.as_str()).collect();
            kinds.join("+")
        };
        groups.iter().map(|group| (kinds(group), group.settle)).collect()
    }

    #[test]
    fn helm_installs_in_its_order_and_unknown_kinds_last_by_name() {
        let objects = [
            manifest("x.io/v1", "Widget"),
            manifest("apps/v1", "Deployment"),
            manifest("v1", "ConfigMap"),
            manifest("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            manifest("v1", "ConfigMap"),
            manifest("x.io/v1", "Anvil"),
        ];
        let groups = to_apply(&objects, &Order::Helm);
        let expected = [
            ("ConfigMap+ConfigMap", false),
            ("CustomResourceDefinition", true),
            ("Deployment", false),
            ("Anvil", false),
            ("Widget", false),
        ];
        assert_eq!(kinds(&objects, &groups), expected.map(|(k, s)| (k.to_owned(), s)));
    }

    #[test]
    fn f11_flux_applies_definitions_and_classes_first_and_lets_them_settle() {
        let objects = [
            manifest("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
            manifest("x.io/v1", "Widget"),
            manifest("v1", "Secret"),
            manifest("networking.k8s.io/v1", "IngressClass"),
            manifest("v1", "Namespace"),
            manifest("x.io/v1", "Early"),
            manifest("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ];
        let order = Order::Flux { custom_stage: vec![("x.io".to_owned(), "Early".to_owned())] };
        let groups = to_apply(&objects, &order);
        let expected = [
            ("CustomResourceDefinition", true),
            ("Namespace", true),
            ("IngressClass", true),
            ("Early", false),
            ("Secret", false),
            ("Widget", false),
            ("ValidatingWebhookConfiguration", false),
        ];
        assert_eq!(kinds(&objects, &groups), expected.map(|(k, s)| (k.to_owned(), s)));
    }

    #[test]
    fn nothing_waits_for_what_comes_last() {
        let objects = [manifest("v1", "Namespace")];
        let order = Order::Flux { custom_stage: Vec::new() };
        assert!(!to_apply(&objects, &order)[0].settle);
    }

    #[test]
    fn helm_uninstalls_services_before_deployments() {
        let ids: Vec<_> = [("v1", "Namespace"), ("apps/v1", "Deployment"), ("v1", "Service")]
            .map(|(v, k)| ObjectId::new(v, k, "", "a"))
            .into();
        assert_eq!(to_delete(&ids, &Order::Helm), [[2], [1], [0]]);
        let flux = Order::Flux { custom_stage: Vec::new() };
        assert_eq!(to_delete(&ids, &flux), [[1], [2], [0]]);
    }
}
