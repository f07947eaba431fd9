//! `image.toolkit.fluxcd.io`.

use super::Generation::{self, Current, Second};
use super::node::{Node, boolean, duration, list, object, path, short_duration, strings, text, word};
use super::parts::{NAME, access_from, git_reference, local_ref};
use crate::kinds::{PolicyOrder, ReflectionPolicy, SigningKeyType};

pub(super) fn image_repository(now: Generation) -> Node {
    let exclusions = if now >= Second { list(text()).max(25) } else { list(text()) };
    object()
        .req("image", text())
        .req("interval", duration())
        .opt("accessFrom", access_from())
        .opt("certSecretRef", local_ref())
        .opt("secretRef", local_ref())
        .opt("serviceAccountName", text().max(NAME))
        .opt("suspend", boolean())
        .opt("timeout", short_duration())
        .when(now < Second, |o| o.opt("exclusionList", list(text())))
        .since(Second, now, |o| {
            o.def("exclusionList", exclusions)
                .opt("insecure", boolean())
                .def("provider", word(&["generic", "aws", "azure", "gcp"]))
                .opt("proxySecretRef", local_ref())
        })
        .into()
}

pub(super) fn image_policy(now: Generation) -> Node {
    let order = || object().def("order", word(PolicyOrder::WORDS));
    object()
        .req("imageRepositoryRef", object().req("name", text()).opt("namespace", text()))
        .req(
            "policy",
            object()
                .opt("alphabetical", order())
                .opt("numerical", order())
                .opt("semver", object().req("range", text())),
        )
        .opt("filterTags", object().opt("extract", text()).opt("pattern", text()))
        .since(Second, now, |o| {
            o.def("digestReflectionPolicy", word(ReflectionPolicy::WORDS))
                .opt("interval", duration())
                .opt("suspend", boolean())
                .rule(
                    |it| {
                        !it.contains_key("interval")
                            || it.get("digestReflectionPolicy").is_some_and(|policy| policy == "Always")
                    },
                    "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'",
                )
                .rule(
                    |it| {
                        it.contains_key("interval")
                            || it.get("digestReflectionPolicy").is_none_or(|policy| policy != "Always")
                    },
                    "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'",
                )
        })
        .into()
}

pub(super) fn image_update_automation(now: Generation) -> Node {
    let reference = git_reference().opt("name", text());
    let signing_key = object()
        .req("secretRef", local_ref())
        .since(Current, now, |o| o.opt("type", word(SigningKeyType::WORDS)));
    let commit = object()
        .req("author", object().req("email", text()).opt("name", text()))
        .opt("messageTemplate", text())
        .opt("signingKey", signing_key)
        .since(Second, now, |o| o.opt("messageTemplateValues", strings()));
    let push = object().opt("branch", text()).opt("options", strings()).opt("refspec", text());
    let git =
        object().opt("checkout", object().req("ref", reference)).req("commit", commit).opt("push", push);
    let requirement = object().req("key", text()).req("operator", text()).opt("values", list(text()));
    object()
        .req("interval", duration())
        .req(
            "sourceRef",
            object()
                .opt("apiVersion", text())
                .def("kind", word(&["GitRepository"]))
                .req("name", text())
                .opt("namespace", text()),
        )
        .opt("git", git)
        .opt("suspend", boolean())
        .def("update", object().opt("path", path()).def("strategy", word(&["Setters"])))
        .since(Second, now, |o| {
            o.opt(
                "policySelector",
                object().opt("matchExpressions", list(requirement)).opt("matchLabels", strings()),
            )
        })
        .into()
}
