//! `notification.toolkit.fluxcd.io`.

use serde_json::{Map, Value};

use super::Generation::{self, Current, First, Second};
use super::node::{Node, Object, boolean, duration, list, object, short_duration, strings, text, word};
use super::parts::local_ref;
use crate::kinds::{EventSeverity, ProviderType, ReceiverType};

/// Kinds an Alert or Receiver may name; the first generation knew the first ten.
const KINDS: &[&str] = &[
    "Bucket",
    "GitRepository",
    "Kustomization",
    "HelmRelease",
    "HelmChart",
    "HelmRepository",
    "ImageRepository",
    "ImagePolicy",
    "ImageUpdateAutomation",
    "OCIRepository",
    "ArtifactGenerator",
    "ExternalArtifact",
];

fn object_selector(now: Generation) -> Object {
    let kinds = if now >= Second { KINDS } else { &KINDS[..10] };
    let length = if now >= Second { 253 } else { 53 };
    object()
        .opt("apiVersion", text())
        .req("kind", word(kinds))
        .opt("matchLabels", strings())
        .req("name", text().length(1, length))
        .opt("namespace", text().length(1, length))
}

pub(super) fn alert(now: Generation) -> Node {
    let summary = if now >= Second { text().max(255) } else { text() };
    object()
        .req("eventSources", list(object_selector(now)))
        .req("providerRef", local_ref())
        .def("eventSeverity", word(EventSeverity::WORDS))
        .opt("exclusionList", list(text()))
        .opt("summary", summary)
        .opt("suspend", boolean())
        .since(Second, now, |o| o.opt("eventMetadata", strings()).opt("inclusionList", list(text())))
        .into()
}

/// Providers of the second generation.
const SECOND_PROVIDERS: &[&str] = &[
    "slack",
    "discord",
    "msteams",
    "rocket",
    "generic",
    "generic-hmac",
    "github",
    "gitlab",
    "gitea",
    "bitbucketserver",
    "bitbucket",
    "azuredevops",
    "googlechat",
    "googlepubsub",
    "webex",
    "sentry",
    "azureeventhub",
    "telegram",
    "lark",
    "matrix",
    "opsgenie",
    "alertmanager",
    "grafana",
    "githubdispatch",
    "pagerduty",
    "datadog",
];

/// Providers of the first generation.
const FIRST_PROVIDERS: &[&str] = &[
    "slack",
    "discord",
    "msteams",
    "rocket",
    "generic",
    "generic-hmac",
    "github",
    "gitlab",
    "bitbucket",
    "azuredevops",
    "googlechat",
    "webex",
    "sentry",
    "azureeventhub",
    "telegram",
    "lark",
    "matrix",
    "opsgenie",
    "alertmanager",
    "grafana",
    "githubdispatch",
];

pub(super) fn provider(now: Generation) -> Node {
    let types = match now {
        Current => ProviderType::WORDS,
        Second => SECOND_PROVIDERS,
        First => FIRST_PROVIDERS,
    };
    let free = || if now >= Second { text().max(2048) } else { text() };
    let (address, proxy) = if now >= Second {
        (text().max(2048), text().max(2048).pattern(r"^(http|https)://.*$"))
    } else {
        (text().pattern("^(http|https)://"), text().pattern("^(http|https)://"))
    };
    object()
        .req("type", word(types))
        .opt("address", address)
        .opt("certSecretRef", local_ref())
        .opt("channel", free())
        .opt("proxy", proxy)
        .opt("secretRef", local_ref())
        .opt("suspend", boolean())
        .opt("timeout", short_duration())
        .opt("username", free())
        .since(Second, now, |o| o.opt("interval", duration()))
        .since(Current, now, |o| {
            o.opt("commitStatusExpr", text())
                .opt("proxySecretRef", local_ref())
                .opt("serviceAccountName", text())
                .rule(
                    |it| {
                        const WITH_STATUS: &[&str] =
                            &["github", "gitlab", "gitea", "bitbucketserver", "bitbucket", "azuredevops"];
                        !it.contains_key("commitStatusExpr")
                            || it["type"].as_str().is_some_and(|name| WITH_STATUS.contains(&name))
                    },
                    "spec.commitStatusExpr is only supported for the 'github', 'gitlab', 'gitea', 'bitbucketserver', 'bitbucket', 'azuredevops' provider types",
                )
        })
        .into()
}

/// Receivers before today's version.
const OLD_RECEIVERS: &[&str] = &[
    "generic",
    "generic-hmac",
    "github",
    "gitlab",
    "bitbucket",
    "harbor",
    "dockerhub",
    "quay",
    "gcr",
    "nexus",
    "acr",
];

pub(super) fn receiver(now: Generation) -> Node {
    fn is_oidc(it: &Map<String, Value>) -> bool {
        it.get("type").is_some_and(|name| name == "generic-oidc")
    }
    fn has_issuers(it: &Map<String, Value>) -> bool {
        it.get("oidcProviders").and_then(Value::as_array).is_some_and(|issuers| !issuers.is_empty())
    }
    let types = if now >= Current { ReceiverType::WORDS } else { OLD_RECEIVERS };
    let resource = object_selector(now).since(Current, now, |o| o.opt("filter", text()));
    let issuer = object()
        .req("issuerURL", text().pattern("^https?://"))
        .opt("audience", text())
        .req("validations", list(object().req("expression", text()).req("message", text())).min(1))
        .opt("variables", list(object().req("expression", text()).req("name", text())));
    object()
        .req("type", word(types))
        .req("resources", list(resource))
        .opt("events", list(text()))
        .opt("suspend", boolean())
        .when(now < Current, |o| o.req("secretRef", local_ref()))
        .when(now == Second, |o| o.opt("interval", duration()))
        .since(Current, now, |o| {
            o.opt("secretRef", local_ref())
                .def("interval", duration())
                .opt("oidcProviders", list(issuer))
                .opt("resourceFilter", text())
                .rule(
                    |it| !is_oidc(it) || has_issuers(it),
                    "generic-oidc receivers must define at least one oidcProvider",
                )
                .rule(
                    |it| is_oidc(it) || !has_issuers(it),
                    "oidcProviders can only be set when type is generic-oidc",
                )
                .rule(
                    |it| !is_oidc(it) || !it.contains_key("secretRef"),
                    "secretRef cannot be set when type is generic-oidc",
                )
                .rule(
                    |it| is_oidc(it) || it.contains_key("secretRef"),
                    "secretRef is required when type is not generic-oidc",
                )
        })
        .into()
}
