//! `kustomize.toolkit.fluxcd.io`.

use super::Generation::{self, Current, Second};
use super::node::{Node, boolean, duration, free_duration, list, object, path, strings, text, word};
use super::parts::{
    NAMESPACE, common_metadata, config_ref, depends_on, health_check_exprs, ignore_rules, images,
    interval_of, json_patches, kube_config, local_ref, patches,
};
use crate::kinds::{BuildMetadata, DeletionPolicy, SubstituteStrategy};

pub(super) fn kustomization(now: Generation) -> Node {
    let sources: &[&str] = match now {
        Current => &["OCIRepository", "GitRepository", "Bucket", "ExternalArtifact"],
        Second => &["OCIRepository", "GitRepository", "Bucket"],
        Generation::First => &["GitRepository", "Bucket"],
    };
    let source = object()
        .opt("apiVersion", text())
        .req("kind", word(sources))
        .req("name", text())
        .opt("namespace", text());
    let pause = || if now >= Second { duration() } else { free_duration() };
    let decryption =
        object()
            .req("provider", word(&["sops"]))
            .opt("secretRef", local_ref())
            .since(Current, now, |o| o.opt("serviceAccountName", text()));
    let health_check =
        object().opt("apiVersion", text()).req("kind", text()).req("name", text()).opt("namespace", text());
    let substitute_from = config_ref().since(Second, now, |o| o.def("optional", boolean()));
    let post_build = object()
        .opt("substitute", strings())
        .opt("substituteFrom", list(substitute_from))
        .since(Current, now, |o| o.opt("substituteStrategy", word(SubstituteStrategy::WORDS)));
    object()
        .req("interval", interval_of(now))
        .req("prune", boolean())
        .req("sourceRef", source)
        .opt("decryption", decryption)
        .opt("dependsOn", depends_on(now))
        .def("force", boolean())
        .opt("healthChecks", list(health_check))
        .opt("images", images())
        .opt("kubeConfig", kube_config(now, false))
        .opt("patches", patches())
        .opt("path", path())
        .opt("postBuild", post_build)
        .opt("retryInterval", pause())
        .opt("serviceAccountName", text())
        .opt("suspend", boolean())
        .opt("targetNamespace", text().length(1, NAMESPACE))
        .opt("timeout", pause())
        .since(Second, now, |o| {
            o.opt("commonMetadata", common_metadata()).opt("components", list(text())).opt("wait", boolean())
        })
        .since(Current, now, |o| {
            o.opt("buildMetadata", list(word(BuildMetadata::WORDS)))
                .opt("deletionPolicy", word(DeletionPolicy::WORDS))
                .opt("healthCheckExprs", health_check_exprs())
                .opt("ignore", ignore_rules())
                .opt("ignoreMissingComponents", boolean())
                .opt("namePrefix", text().length(1, 200))
                .opt("nameSuffix", text().length(1, 200))
        })
        .when(now < Current, |o| {
            o.opt("patchesJson6902", json_patches())
                .opt("patchesStrategicMerge", list(Node::Any))
                .opt("validation", word(&["none", "client", "server"]))
        })
        .into()
}
