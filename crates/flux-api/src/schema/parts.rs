//! Pieces that several kinds share.

use super::Generation::{self, Current, Second};
use super::node::{Node, Object, Text, duration, free_duration, list, object, strings, text, word};

/// A namespace's length.
pub(super) const NAMESPACE: usize = 63;
/// An object name's length.
pub(super) const NAME: usize = 253;

pub(super) fn local_ref() -> Object {
    object().req("name", text())
}

/// `spec.interval` where the first generation had no pattern.
pub(super) fn interval_of(generation: Generation) -> Text {
    if generation >= Second { duration() } else { free_duration() }
}

pub(super) fn access_from() -> Object {
    object().req("namespaceSelectors", list(object().opt("matchLabels", strings())))
}

pub(super) fn common_metadata() -> Object {
    object().opt("annotations", strings()).opt("labels", strings())
}

pub(super) fn depends_on(generation: Generation) -> Node {
    list(
        object()
            .req("name", text())
            .opt("namespace", text())
            .since(Current, generation, |o| o.opt("readyExpr", text())),
    )
    .into()
}

pub(super) fn selector() -> Object {
    object()
        .opt("annotationSelector", text())
        .opt("group", text())
        .opt("kind", text())
        .opt("labelSelector", text())
        .opt("name", text())
        .opt("namespace", text())
        .opt("version", text())
}

pub(super) fn patches() -> Node {
    list(object().req("patch", text()).opt("target", selector())).into()
}

pub(super) fn json_patches() -> Node {
    let operation = object()
        .opt("from", text())
        .req("op", word(&["test", "remove", "add", "replace", "move", "copy"]))
        .req("path", text())
        .opt("value", Node::Any);
    list(object().req("patch", list(operation)).req("target", selector())).into()
}

pub(super) fn images() -> Node {
    list(object().opt("digest", text()).req("name", text()).opt("newName", text()).opt("newTag", text()))
        .into()
}

pub(super) fn ignore_rules() -> Node {
    list(object().req("paths", list(text())).opt("target", selector())).into()
}

pub(super) fn health_check_exprs() -> Node {
    list(
        object()
            .req("apiVersion", text())
            .req("current", text())
            .opt("failed", text())
            .opt("inProgress", text())
            .opt("kind", text()),
    )
    .into()
}

/// `first_has_key`: Kustomization's first generation knew no `key`, HelmRelease's did.
pub(super) fn kube_config(generation: Generation, first_has_key: bool) -> Object {
    let secret =
        object().req("name", text()).when(generation >= Second || first_has_key, |o| o.opt("key", text()));
    if generation < Second {
        return object().req("secretRef", secret);
    }
    object().opt("configMapRef", local_ref()).opt("secretRef", secret).rule(
        |it| it.contains_key("configMapRef") != it.contains_key("secretRef"),
        "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
    )
}

pub(super) fn oci_verification(providers: &'static [&'static str]) -> Object {
    object().def("provider", word(providers)).opt("secretRef", local_ref())
}

pub(super) fn oidc_identities() -> Node {
    list(object().req("issuer", text()).req("subject", text())).into()
}

/// A secret or config map by kind, name and, if `optional`, leave to be absent.
pub(super) fn config_ref() -> Object {
    object().req("kind", word(&["Secret", "ConfigMap"])).req("name", text().length(1, NAME))
}

pub(super) fn git_reference() -> Object {
    object().opt("branch", text()).opt("commit", text()).opt("semver", text()).opt("tag", text())
}
