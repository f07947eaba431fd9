//! From Secrets in Flux's forms to the values the other rooms take. Errors name keys, never values.

use secrecy::SecretString;

use super::context::Inner;
use crate::objects::{Objects, Secret};
use crate::source::{
    ClientCertificate, DockerConfig, GitCredentials, ImageName, Proxy, RegistryCredentials, SshCredentials,
    TlsMaterial,
};

/// Why a Secret could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SecretProblem {
    /// It is not there (yet).
    #[error("failed to get secret '{namespace}/{name}': secrets \"{name}\" not found")]
    Missing { namespace: String, name: String },
    /// It is there and of no use.
    #[error("{0}")]
    Unusable(String),
}

impl Inner {
    /// A Secret of the object's own namespace.
    pub(super) fn need_secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<std::sync::Arc<Secret>, SecretProblem> {
        need_secret(&self.objects, namespace, name)
    }
}

/// See [`Inner::need_secret`].
pub(super) fn need_secret(
    objects: &Objects,
    namespace: &str,
    name: &str,
) -> Result<std::sync::Arc<Secret>, SecretProblem> {
    match objects.secret(namespace, name) {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => Err(SecretProblem::Missing { namespace: namespace.to_owned(), name: name.to_owned() }),
        Err(error) => Err(SecretProblem::Unusable(error.to_string())),
    }
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    secret.get_str(key).map(str::to_owned)
}

fn secret_text(secret: &Secret, key: &str) -> Option<SecretString> {
    text(secret, key).map(SecretString::from)
}

/// Credentials of a GitRepository for its URL's scheme (Flux: `internal/…/auth`).
pub(super) fn git_credentials(
    secret: &Secret,
    url: &str,
) -> Result<(GitCredentials, TlsMaterial), SecretProblem> {
    let tls = tls_material(secret)?;
    let named = format!("{}/{}", secret.namespace, secret.name);
    if url.starts_with("ssh://") {
        let Some(identity) = secret_text(secret, "identity") else {
            return Err(SecretProblem::Unusable(format!(
                "invalid auth options: secret `{named}` has no key `identity`\nhint: create it with `flux create secret git`"
            )));
        };
        let Some(known_hosts) = text(secret, "known_hosts") else {
            return Err(SecretProblem::Unusable(format!(
                "invalid auth options: secret `{named}` has no key `known_hosts`\nhint: `ssh-keyscan HOST` prints its content"
            )));
        };
        let password = secret_text(secret, "password");
        return Ok((GitCredentials::Ssh(SshCredentials { identity, password, known_hosts }), tls));
    }
    if let Some(token) = secret_text(secret, "bearerToken") {
        return Ok((GitCredentials::Bearer(token), tls));
    }
    match (text(secret, "username"), secret_text(secret, "password")) {
        (None, None) => Ok((GitCredentials::None, tls)),
        (Some(username), Some(password)) => Ok((GitCredentials::Basic { username, password }, tls)),
        (Some(_), None) => Err(SecretProblem::Unusable(format!(
            "invalid auth options: secret `{named}` has `username` but no `password`"
        ))),
        (None, Some(_)) => Err(SecretProblem::Unusable(format!(
            "invalid auth options: secret `{named}` has `password` but no `username`"
        ))),
    }
}

/// Credentials of an ImageRepository: what `.dockerconfigjson` (or the older `.dockercfg`) says about the image.
pub(super) fn registry_credentials(
    secret: &Secret,
    image: &ImageName,
) -> Result<RegistryCredentials, SecretProblem> {
    let named = format!("{}/{}", secret.namespace, secret.name);
    let config = match (secret.get(".dockerconfigjson"), secret.get(".dockercfg")) {
        (Some(json), _) => DockerConfig::parse(json),
        (None, Some(json)) => DockerConfig::parse_legacy(json),
        (None, None) => {
            return Err(SecretProblem::Unusable(format!(
                "secret `{named}` has no key `.dockerconfigjson`\nhint: create it with `kubectl create secret docker-registry`"
            )));
        }
    };
    config
        .and_then(|config| config.for_image(image))
        .map_err(|error| SecretProblem::Unusable(format!("secret `{named}` is unusable: {error}")))
}

/// `ca.crt`, `tls.crt`, `tls.key` and their old names.
pub(super) fn tls_material(secret: &Secret) -> Result<TlsMaterial, SecretProblem> {
    let bytes = |keys: [&str; 2]| keys.iter().find_map(|key| secret.get(key)).map(<[u8]>::to_vec);
    let certificate = bytes(["tls.crt", "certFile"]);
    let key = secret_text(secret, "tls.key").or_else(|| secret_text(secret, "keyFile"));
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        (None, None) => None,
        _ => {
            return Err(SecretProblem::Unusable(format!(
                "secret `{}/{}` needs both `tls.crt` and `tls.key`, or neither",
                secret.namespace, secret.name
            )));
        }
    };
    Ok(TlsMaterial { ca: bytes(["ca.crt", "caFile"]), client })
}

/// `address`, `username`, `password`.
pub(super) fn proxy(secret: &Secret) -> Result<Proxy, SecretProblem> {
    let Some(address) = text(secret, "address") else {
        return Err(SecretProblem::Unusable(format!(
            "invalid proxy secret `{}/{}`: key `address` is missing",
            secret.namespace, secret.name
        )));
    };
    Ok(Proxy { address, username: text(secret, "username"), password: secret_text(secret, "password") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(keys: &[(&str, &str)]) -> Secret {
        Secret::new(
            "apps",
            "auth",
            keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())),
        )
    }

    #[test]
    fn each_form_of_git_credentials_is_read() {
        let basic = secret(&[("username", "u"), ("password", "canary")]);
        let (credentials, _) = git_credentials(&basic, "https://h/r").unwrap();
        assert!(matches!(credentials, GitCredentials::Basic { ref username, .. } if username == "u"));
        assert!(!format!("{credentials:?}").contains("canary"));
        let bearer = secret(&[("bearerToken", "t")]);
        assert!(matches!(git_credentials(&bearer, "https://h/r").unwrap().0, GitCredentials::Bearer(_)));
        let ca_only = secret(&[("ca.crt", "pem")]);
        let (none, tls) = git_credentials(&ca_only, "https://h/r").unwrap();
        assert!(matches!(none, GitCredentials::None) && tls.ca.is_some());
    }

    #[test]
    fn registry_credentials_are_those_of_the_image() {
        let image = ImageName::parse("ghcr.io/a/b").unwrap();
        let json = r#"{"auths": {"ghcr.io": {"username": "u", "password": "canary"}}}"#;
        let found = registry_credentials(&secret(&[(".dockerconfigjson", json)]), &image).unwrap();
        assert!(matches!(&found, RegistryCredentials::Basic { username, .. } if username == "u"));
        let hub = ImageName::parse("alpine").unwrap();
        let none = registry_credentials(&secret(&[(".dockerconfigjson", json)]), &hub).unwrap();
        assert!(matches!(none, RegistryCredentials::Anonymous));
        for (keys, expect) in [
            (&[("password", "canary")][..], "has no key `.dockerconfigjson`\nhint: "),
            (&[(".dockerconfigjson", "canary")][..], "is unusable: it is not Docker's configuration"),
        ] {
            let error = registry_credentials(&secret(keys), &image).unwrap_err().to_string();
            assert!(error.contains(expect) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_named_without_values() {
        for (keys, url, expect) in [
            (&[("username", "canary")][..], "https://h/r", "no `password`"),
            (&[("identity", "canary")][..], "ssh://git@h/r", "no key `known_hosts`"),
            (&[][..], "ssh://git@h/r", "no key `identity`"),
        ] {
            let error = git_credentials(&secret(keys), url).unwrap_err().to_string();
            assert!(error.contains(expect) && !error.contains("canary"), "{error}");
        }
    }
}
