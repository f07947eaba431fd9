//! `source.toolkit.fluxcd.io`.

use serde_json::{Map, Value};

use super::Generation::{self, Current, Second};
use super::node::{
    Node, Object, boolean, file_name, free_duration, list, object, path, short_duration, text, word,
};
use super::parts::{access_from, git_reference, interval_of, local_ref, oci_verification, oidc_identities};
use crate::kinds::{
    GitVerificationMode, HelmRepositoryType, LayerOperation, OciVerifier, ReconcileStrategy, StsProvider,
};

fn str_of<'a>(it: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    it.get(field).and_then(Value::as_str)
}

fn timeout(o: Object, generation: Generation) -> Object {
    o.def("timeout", if generation >= Second { short_duration() } else { free_duration() })
}

pub(super) fn git_repository(now: Generation) -> Node {
    let reference = git_reference().since(Second, now, |o| o.opt("name", text()));
    let verify = match now {
        Current => object().def("mode", word(GitVerificationMode::WORDS)).req("secretRef", local_ref()),
        Second => object().req("mode", word(&["head"])).req("secretRef", local_ref()),
        Generation::First => object().req("mode", word(&["head"])).opt("secretRef", local_ref()),
    };
    let include = object().opt("fromPath", path()).req("repository", local_ref()).opt("toPath", path());
    timeout(object().req("interval", interval_of(now)), now)
        .req("url", text().pattern(r"^(http|https|ssh)://.*$"))
        .opt("ignore", text())
        .opt("include", list(include))
        .opt("recurseSubmodules", boolean())
        .opt("ref", reference)
        .opt("secretRef", local_ref())
        .opt("suspend", boolean())
        .opt("verify", verify)
        .since(Current, now, |o| {
            o.opt("provider", word(&["generic", "aws", "azure", "github"]))
                .opt("proxySecretRef", local_ref())
                .opt("serviceAccountName", text())
                .opt("sparseCheckout", list(path()))
                .rule(
                    |it| {
                        !it.contains_key("serviceAccountName")
                            || matches!(str_of(it, "provider"), Some("azure" | "aws"))
                    },
                    "serviceAccountName can only be set when provider is 'azure' or 'aws'",
                )
        })
        .when(now < Current, |o| {
            o.opt("accessFrom", access_from()).def("gitImplementation", word(&["go-git", "libgit2"]))
        })
        .into()
}

pub(super) fn oci_repository(now: Generation) -> Node {
    let verify = oci_verification(OciVerifier::WORDS).opt("matchOIDCIdentity", oidc_identities()).since(
        Current,
        now,
        |o| o.opt("trustedRootSecretRef", local_ref()),
    );
    timeout(object().req("interval", interval_of(now)), now)
        .req("url", text().pattern(r"^oci://.*$"))
        .opt("certSecretRef", local_ref())
        .opt("ignore", text())
        .opt("insecure", boolean())
        .opt("layerSelector", object().opt("mediaType", text()).opt("operation", word(LayerOperation::WORDS)))
        .def("provider", word(&["generic", "aws", "azure", "gcp"]))
        .opt("proxySecretRef", local_ref())
        .opt(
            "ref",
            object()
                .opt("digest", text())
                .opt("semver", text())
                .opt("semverFilter", text())
                .opt("tag", text()),
        )
        .opt("secretRef", local_ref())
        .opt("serviceAccountName", text())
        .opt("suspend", boolean())
        .opt("verify", verify)
        .into()
}

pub(super) fn helm_repository(now: Generation) -> Node {
    let url = if now >= Second { text().pattern(r"^(http|https|oci)://.*$") } else { text() };
    object()
        .req("url", url)
        .opt("accessFrom", access_from())
        .opt("passCredentials", boolean())
        .opt("secretRef", local_ref())
        .opt("suspend", boolean())
        .when(now < Second, |o| timeout(o.req("interval", free_duration()), now))
        .since(Second, now, |o| {
            o.opt("interval", interval_of(now))
                .opt("timeout", short_duration())
                .opt("certSecretRef", local_ref())
                .opt("insecure", boolean())
                .def("provider", word(&["generic", "aws", "azure", "gcp"]))
                .opt("type", word(HelmRepositoryType::WORDS))
        })
        .into()
}

pub(super) fn helm_chart(now: Generation) -> Node {
    let source = object()
        .opt("apiVersion", text())
        .req("kind", word(&["HelmRepository", "GitRepository", "Bucket"]))
        .req("name", text());
    object()
        .req("chart", file_name())
        .req("interval", interval_of(now))
        .def("reconcileStrategy", word(ReconcileStrategy::WORDS))
        .req("sourceRef", source)
        .opt("suspend", boolean())
        .opt("valuesFiles", list(file_name()))
        .def("version", text())
        .since(Second, now, |o| {
            o.opt("ignoreMissingValuesFiles", boolean()).opt(
                "verify",
                oci_verification(OciVerifier::WORDS).opt("matchOIDCIdentity", oidc_identities()),
            )
        })
        .when(now < Current, |o| o.opt("accessFrom", access_from()).opt("valuesFile", file_name()))
        .since(Current, now, |o| {
            o.rule(
                |it| !it.contains_key("verify") || it["sourceRef"]["kind"].as_str() == Some("HelmRepository"),
                "spec.verify is only supported when spec.sourceRef.kind is 'HelmRepository'",
            )
        })
        .into()
}

pub(super) fn bucket(now: Generation) -> Node {
    fn provider(it: &Map<String, Value>) -> &str {
        str_of(it, "provider").unwrap_or("generic")
    }
    fn sts(it: &Map<String, Value>) -> Option<&Map<String, Value>> {
        it.get("sts").and_then(Value::as_object)
    }
    fn sts_provider(it: &Map<String, Value>) -> Option<&str> {
        sts(it).and_then(|sts| str_of(sts, "provider"))
    }
    let credentials = object()
        .opt("certSecretRef", local_ref())
        .req("endpoint", text().pattern(r"^(http|https)://.*$"))
        .req("provider", word(StsProvider::WORDS))
        .opt("secretRef", local_ref());
    let providers: &[&str] =
        if now >= Second { &["generic", "aws", "gcp", "azure"] } else { &["generic", "aws", "gcp"] };
    timeout(object().req("interval", interval_of(now)), now)
        .req("bucketName", text())
        .req("endpoint", text())
        .opt("ignore", text())
        .opt("insecure", boolean())
        .def("provider", word(providers))
        .opt("region", text())
        .opt("secretRef", local_ref())
        .opt("suspend", boolean())
        .when(now < Current, |o| o.opt("accessFrom", access_from()))
        .since(Second, now, |o| {
            o.opt("certSecretRef", local_ref())
                .opt("prefix", text())
                .opt("proxySecretRef", local_ref())
                .opt("sts", credentials)
                .rule(
                    |it| sts(it).is_none() || matches!(provider(it), "aws" | "generic"),
                    "STS configuration is only supported for the 'aws' and 'generic' Bucket providers",
                )
                .rule(
                    |it| provider(it) != "aws" || matches!(sts_provider(it), None | Some("aws")),
                    "'aws' is the only supported STS provider for the 'aws' Bucket provider",
                )
                .rule(
                    |it| provider(it) != "generic" || matches!(sts_provider(it), None | Some("ldap")),
                    "'ldap' is the only supported STS provider for the 'generic' Bucket provider",
                )
                .rule(
                    |it| {
                        sts_provider(it) != Some("aws")
                            || sts(it).is_none_or(|sts| !sts.contains_key("secretRef"))
                    },
                    "spec.sts.secretRef is not required for the 'aws' STS provider",
                )
                .rule(
                    |it| {
                        sts_provider(it) != Some("aws")
                            || sts(it).is_none_or(|sts| !sts.contains_key("certSecretRef"))
                    },
                    "spec.sts.certSecretRef is not required for the 'aws' STS provider",
                )
        })
        .since(Current, now, |o| {
            o.opt("serviceAccountName", text())
                .rule(
                    |it| provider(it) != "generic" || !it.contains_key("serviceAccountName"),
                    "ServiceAccountName is not supported for the 'generic' Bucket provider",
                )
                .rule(
                    |it| !it.contains_key("secretRef") || !it.contains_key("serviceAccountName"),
                    "cannot set both .spec.secretRef and .spec.serviceAccountName",
                )
        })
        .into()
}

pub(super) fn external_artifact() -> Node {
    object()
        .opt(
            "sourceRef",
            object()
                .opt("apiVersion", text())
                .req("kind", text())
                .req("name", text())
                .opt("namespace", text()),
        )
        .into()
}
