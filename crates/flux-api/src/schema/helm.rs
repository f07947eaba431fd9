//! `helm.toolkit.fluxcd.io`.

use super::Generation::{self, Current, Second};
use super::node::{Node, Object, boolean, duration, file_name, int, list, object, text, word};
use super::parts::{
    NAME, NAMESPACE, common_metadata, config_ref, depends_on, health_check_exprs, ignore_rules, images,
    json_patches, kube_config, oci_verification, patches,
};
use crate::kinds::{
    ActionStrategyName, ChartNameChangeStrategy, CrdsPolicy, DeletionPropagation, DriftDetectionMode,
    OciVerifier, PostRenderStrategy, ReconcileStrategy, RemediationStrategy, ServerSideApplyMode,
    WaitStrategyName,
};

pub(super) fn helm_release(now: Generation) -> Node {
    let spec = object().req("interval", duration());
    // The first generation had only `chart`; its last releases took `chartRef` as well, but still asked for `chart`.
    let spec = if now >= Second { spec.opt("chart", chart(now)) } else { spec.req("chart", chart(now)) };
    let service_account = if now >= Second { text().length(1, NAME) } else { text() };
    spec.opt("chartRef", chart_ref(now))
        .opt("dependsOn", depends_on(now))
        .opt(
            "driftDetection",
            object().opt("ignore", ignore_rules()).opt("mode", word(DriftDetectionMode::WORDS)),
        )
        .opt("install", install(now))
        .opt("kubeConfig", kube_config(now, true))
        .opt("maxHistory", int())
        .opt("persistentClient", boolean())
        .opt("postRenderers", list(object().opt("kustomize", post_renderer(now))))
        .opt("releaseName", text().length(1, 53))
        .opt("rollback", rollback(now))
        .opt("serviceAccountName", service_account)
        .opt("storageNamespace", text().length(1, NAMESPACE))
        .opt("suspend", boolean())
        .opt("targetNamespace", text().length(1, NAMESPACE))
        .opt("test", test(now))
        .opt("timeout", duration())
        .opt("uninstall", uninstall())
        .opt("upgrade", upgrade(now))
        // The CRD takes anything; a list or scalar would be dropped without a word, so it is refused here.
        .def("values", Node::AnyObject)
        .opt("valuesFrom", list(values_from(now)))
        .since(Current, now, |o| {
            o.opt("commonMetadata", common_metadata())
                .opt("healthCheckExprs", health_check_exprs())
                .opt("postRenderStrategy", word(PostRenderStrategy::WORDS))
                .opt("waitStrategy", object().req("name", word(WaitStrategyName::WORDS)))
        })
        .since(Second, now, |o| {
            o.rule(
                |it| it.contains_key("chart") != it.contains_key("chartRef"),
                "either chart or chartRef must be set",
            )
        })
        .into()
}

fn chart(now: Generation) -> Object {
    let name = if now >= Second { file_name().length(1, 2048) } else { file_name() };
    let verifiers = if now >= Second { OciVerifier::WORDS } else { &["cosign"] };
    let source = object()
        .opt("apiVersion", text())
        .req("kind", word(&["HelmRepository", "GitRepository", "Bucket"]))
        .req("name", text().length(1, NAME))
        .opt("namespace", text().length(1, NAMESPACE));
    let spec = object()
        .req("chart", name)
        .opt("interval", duration())
        .def("reconcileStrategy", word(ReconcileStrategy::WORDS))
        .req("sourceRef", source)
        .opt("valuesFiles", list(file_name()))
        .opt("verify", oci_verification(verifiers))
        .def("version", text())
        .since(Second, now, |o| o.opt("ignoreMissingValuesFiles", boolean()))
        .when(now < Current, |o| o.opt("valuesFile", file_name()));
    object().opt("metadata", common_metadata()).req("spec", spec)
}

fn chart_ref(now: Generation) -> Object {
    let kinds: &[&str] = if now >= Current {
        &["OCIRepository", "HelmChart", "ExternalArtifact"]
    } else {
        &["OCIRepository", "HelmChart"]
    };
    object()
        .opt("apiVersion", text())
        .req("kind", word(kinds))
        .req("name", text().length(1, NAME))
        .opt("namespace", text().length(1, NAMESPACE))
}

fn strategy() -> Object {
    object().req("name", word(ActionStrategyName::WORDS)).opt("retryInterval", duration())
}

fn remediation() -> Object {
    object().opt("ignoreTestFailures", boolean()).opt("remediateLastFailure", boolean()).opt("retries", int())
}

/// What install and upgrade have in common.
fn release_action(now: Generation) -> Object {
    object()
        .opt("crds", word(CrdsPolicy::WORDS))
        .opt("disableHooks", boolean())
        .opt("disableOpenAPIValidation", boolean())
        .opt("disableWait", boolean())
        .opt("disableWaitForJobs", boolean())
        .opt("timeout", duration())
        .since(Current, now, |o| {
            o.opt("disableSchemaValidation", boolean()).opt("disableTakeOwnership", boolean())
        })
}

fn install(now: Generation) -> Object {
    release_action(now)
        .opt("createNamespace", boolean())
        .opt("remediation", remediation())
        .opt("replace", boolean())
        .opt("skipCRDs", boolean())
        .since(Current, now, |o| {
            o.opt("serverSideApply", boolean()).opt(
                "strategy",
                strategy().rule(
                    |it| !it.contains_key("retryInterval") || it["name"] != "RemediateOnFailure",
                    ".retryInterval cannot be set when .name is 'RemediateOnFailure'",
                ),
            )
        })
}

fn upgrade(now: Generation) -> Object {
    release_action(now)
        .opt("cleanupOnFail", boolean())
        .opt("force", boolean())
        .opt("preserveValues", boolean())
        .opt("remediation", remediation().opt("strategy", word(RemediationStrategy::WORDS)))
        .since(Current, now, |o| {
            o.opt("chartNameChangeStrategy", word(ChartNameChangeStrategy::WORDS))
                .opt("serverSideApply", word(ServerSideApplyMode::WORDS))
                .opt(
                    "strategy",
                    strategy().rule(
                        |it| !it.contains_key("retryInterval") || it["name"] == "RetryOnFailure",
                        ".retryInterval can only be set when .name is 'RetryOnFailure'",
                    ),
                )
        })
}

fn test(now: Generation) -> Object {
    object().opt("enable", boolean()).opt("ignoreFailures", boolean()).opt("timeout", duration()).since(
        Second,
        now,
        |o| o.opt("filters", list(object().opt("exclude", boolean()).req("name", text().length(1, NAME)))),
    )
}

fn rollback(now: Generation) -> Object {
    object()
        .opt("cleanupOnFail", boolean())
        .opt("disableHooks", boolean())
        .opt("disableWait", boolean())
        .opt("disableWaitForJobs", boolean())
        .opt("force", boolean())
        .opt("recreate", boolean())
        .opt("timeout", duration())
        .since(Current, now, |o| o.opt("serverSideApply", word(ServerSideApplyMode::WORDS)))
}

fn uninstall() -> Object {
    object()
        .def("deletionPropagation", word(DeletionPropagation::WORDS))
        .opt("disableHooks", boolean())
        .opt("disableWait", boolean())
        .opt("keepHistory", boolean())
        .opt("timeout", duration())
}

fn post_renderer(now: Generation) -> Object {
    object().opt("images", images()).opt("patches", patches()).when(now < Current, |o| {
        o.opt("patchesJson6902", json_patches()).opt("patchesStrategicMerge", list(Node::Any))
    })
}

fn values_from(now: Generation) -> Object {
    config_ref()
        .opt("optional", boolean())
        .opt("targetPath", text().max(250).pattern(r"^([a-zA-Z0-9_\-.\\\/]|\[[0-9]{1,5}\])+$"))
        .opt("valuesKey", text().max(253).pattern(r"^[\-._a-zA-Z0-9]+$"))
        .since(Current, now, |o| o.opt("literal", boolean()))
}
