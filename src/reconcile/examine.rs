//! What can be seen to be wrong with objects before anything runs: references that lead nowhere, Secrets that do not fit,
//! things this version cannot do. Asks no git server, no registry and no cluster, and changes nothing.

use flux_api::{FluxObject, GitRepository, HelmRelease, ImageRepository};

use super::kubeconfig::kubeconfig_of;
use super::secrets::{git_credentials, need_secret, proxy, registry_credentials};
use super::values_from::compose_values;
use super::{dependents, git_repository, helm_release, image_repository, passive, unsupported};
use crate::cluster::{ClusterIdentity, Clusters, SecretBytes};
use crate::model::{Kind, ObjectKey};
use crate::objects::Objects;
use crate::source::ImageName;

/// What is wrong with which object, in order of the objects. Receivers are the business of the `receiver` room.
///
/// Clients of clusters are made and not used; that needs a tokio runtime around it.
pub fn examine(
    objects: &Objects,
    clusters: &Clusters,
    no_cross_namespace_refs: bool,
) -> Vec<(ObjectKey, String)> {
    let mut found = Vec::new();
    for object in objects.all() {
        let key = ObjectKey::new(object.kind(), object.namespace(), object.name());
        let mut problems = Problems { objects, clusters, found: Vec::new() };
        problems.of(&object, no_cross_namespace_refs);
        found.extend(problems.found.into_iter().map(|message| (key.clone(), message)));
    }
    found
}

struct Problems<'a> {
    objects: &'a Objects,
    clusters: &'a Clusters,
    found: Vec<String>,
}

impl Problems<'_> {
    fn of(&mut self, object: &FluxObject, no_cross_namespace_refs: bool) {
        let own = object.namespace();
        let key = |reference: &flux_api::SourceRef| {
            ObjectKey::new(reference.kind, reference.namespace(own), &reference.name)
        };
        let source = match object {
            FluxObject::GitRepository(git) => {
                self.git(git);
                None
            }
            FluxObject::HelmRelease(release) => {
                self.release(release);
                dependents::source_of(release)
            }
            FluxObject::HelmChart(chart) => Some(key(&chart.spec.source_ref)),
            FluxObject::ImageRepository(repository) => {
                self.image(repository);
                None
            }
            FluxObject::ImagePolicy(policy) => {
                let reference = &policy.spec.image_repository_ref;
                Some(ObjectKey::new(Kind::ImageRepository, reference.namespace(own), &reference.name))
            }
            FluxObject::ImageUpdateAutomation(automation) => Some(key(&automation.spec.source_ref)),
            FluxObject::Provider(_) | FluxObject::Alert(_) => {
                self.found.extend(passive::passive_problem(self.objects, object));
                None
            }
            FluxObject::Receiver(_) => None,
            FluxObject::OCIRepository(_)
            | FluxObject::HelmRepository(_)
            | FluxObject::Bucket(_)
            | FluxObject::ExternalArtifact(_)
            | FluxObject::Kustomization(_) => {
                self.found.push(unsupported::message(object.kind()));
                None
            }
        };
        let Some(source) = source else { return };
        if no_cross_namespace_refs && source.namespace != own {
            self.found.push(format!(
                "can't access '{}/{}/{}', cross-namespace references have been blocked",
                source.kind, source.namespace, source.name
            ));
        } else if self.objects.get(&source).is_none() {
            self.found.push(format!("`{source}` does not exist"));
        }
    }

    /// A Secret, and what is to be had from it.
    fn secret<T, E: ToString>(
        &mut self,
        namespace: &str,
        name: &str,
        read: impl FnOnce(&crate::objects::Secret) -> Result<T, E>,
    ) {
        match need_secret(self.objects, namespace, name) {
            Err(problem) => self.found.push(problem.to_string()),
            Ok(secret) => self.found.extend(read(&secret).err().map(|problem| problem.to_string())),
        }
    }

    fn exists(&mut self, namespace: &str, name: &str) {
        self.secret(namespace, name, |_| Ok::<(), String>(()));
    }

    fn git(&mut self, git: &GitRepository) {
        let (namespace, spec) = (&git.metadata.namespace, &git.spec);
        self.found.extend(git_repository::unsupported(git));
        if let Some(reference) = &spec.secret_ref {
            self.secret(namespace, &reference.name, |secret| git_credentials(secret, &spec.url));
        }
        if let Some(reference) = &spec.proxy_secret_ref {
            self.secret(namespace, &reference.name, proxy);
        }
        if let Some(verification) = &spec.verify {
            self.exists(namespace, &verification.secret_ref.name);
        }
        for include in &spec.include {
            let included = ObjectKey::new(Kind::GitRepository, namespace, &include.repository.name);
            if self.objects.get(&included).is_none() {
                self.found.push(format!("`{included}` does not exist"));
            }
        }
    }

    fn image(&mut self, repository: &ImageRepository) {
        let (namespace, spec) = (&repository.metadata.namespace, &repository.spec);
        let image = match ImageName::parse(&spec.image) {
            Ok(image) => image,
            Err(error) => {
                self.found.push(error.to_string());
                return;
            }
        };
        self.found.extend(image_repository::unsupported(repository).map(|failure| failure.message));
        if let Some(reference) = &spec.secret_ref {
            self.secret(namespace, &reference.name, |secret| registry_credentials(secret, &image));
        }
        if let Some(reference) = &spec.cert_secret_ref {
            self.exists(namespace, &reference.name);
        }
        if let Some(reference) = &spec.proxy_secret_ref {
            self.secret(namespace, &reference.name, proxy);
        }
    }

    fn release(&mut self, release: &HelmRelease) {
        let namespace = &release.metadata.namespace;
        let key = ObjectKey::new(Kind::HelmRelease, namespace, &release.metadata.name);
        let field = helm_release::unsupported_field(release);
        self.found.extend(field.map(|field| format!("`{field}` is not supported by this version")));
        self.found.extend(self.objects.dependency_problem(&key).map(|problem| problem.to_string()));
        self.found.extend(compose_values(self.objects, release).err().map(|problem| problem.message));
        let source_kind = dependents::source_of(release).map(|source| source.kind);
        let wanted = if release.spec.chart.is_some() { Kind::GitRepository } else { Kind::HelmChart };
        if let Some(kind) = source_kind.filter(|kind| *kind != wanted) {
            self.found.push(format!("charts from a {kind} are not supported by this version"));
        }
        let Some(reference) = &release.spec.kube_config else { return };
        let Some(secret_ref) = &reference.secret_ref else {
            self.found.push("`spec.kubeConfig.configMapRef` is not supported by this version".to_owned());
            return;
        };
        let clusters = self.clusters;
        self.secret(namespace, &secret_ref.name, |secret| {
            let bytes = kubeconfig_of(secret, secret_ref.key.as_deref())?;
            let identity = ClusterIdentity {
                object: format!("Secret `{namespace}/{}`", secret_ref.name),
                impersonate: None,
            };
            let client = clusters.connect(&SecretBytes::from(bytes.to_vec()), identity);
            client.map(drop).map_err(|error| error.to_string())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterSettings;
    use crate::model::Clock;

    const GOOD: &str = "\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: git, namespace: apps}
spec: {interval: 1m, url: 'https://git.example/app', secretRef: {name: log-in}}
---
apiVersion: v1
kind: Secret
metadata: {name: log-in, namespace: apps}
stringData: {username: a, password: b}
---
apiVersion: v1
kind: Secret
metadata: {name: m-kubeconfig, namespace: apps}
stringData:
  value: |
    {clusters: [{name: c, cluster: {server: 'https://127.0.0.1:6443'}}], users: [{name: u, user: {token: t}}],
     contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: apps}
spec:
  interval: 1m
  chart: {spec: {chart: ./chart, sourceRef: {kind: GitRepository, name: git}}}
  kubeConfig: {secretRef: {name: m-kubeconfig}}
";

    async fn found(manifests: &str) -> Vec<String> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let clock = Clock::manual("2026-11-24T10:00:00Z".parse().unwrap());
        let objects = Objects::memory(clock.clone());
        assert_eq!(objects.put_manifests("all.yaml", manifests).await, []);
        let clusters = Clusters::new(ClusterSettings::default(), clock);
        examine(&objects, &clusters, false)
            .into_iter()
            .map(|(key, message)| format!("{key}: {message}"))
            .collect()
    }

    #[tokio::test]
    async fn what_can_work_is_not_complained_about() {
        assert_eq!(found(GOOD).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_cannot_work_is_named() {
        let release = "HelmRelease/apps/web: ";
        for (from, to, wanted) in [
            ("name: git}}}", "name: gone}}}", format!("{release}`GitRepository/apps/gone` does not exist")),
            (
                "kind: GitRepository, name: git",
                "kind: Bucket, name: git",
                format!("{release}charts from a Bucket are not supported by this version"),
            ),
            (
                "secretRef: {name: log-in}",
                "secretRef: {name: nope}",
                "GitRepository/apps/git: failed to get secret 'apps/nope': secrets \"nope\" not found".to_owned(),
            ),
            (
                "{username: a, password: b}",
                "{username: a}",
                "GitRepository/apps/git: invalid auth options: secret `apps/log-in` has `username` but no `password`"
                    .to_owned(),
            ),
            (
                "secretRef: {name: log-in}}",
                "provider: github}",
                "GitRepository/apps/git: `spec.provider: github` is not supported".to_owned(),
            ),
            (
                "  value: |",
                "  other: |",
                format!("{release}KubeConfig secret 'apps/m-kubeconfig' does not contain a 'value' or"),
            ),
            ("{token: t}", "{exec: {command: id, apiVersion: v1}}", format!("{release}kubeconfig of Secret `apps/m-kubeconfig` refused: ")),
            (
                "{server: 'https://127.0.0.1:6443'}",
                "{server: 'https://127.0.0.1:6443', insecure-skip-tls-verify: true}",
                format!("{release}kubeconfig of Secret `apps/m-kubeconfig` refused: "),
            ),
            (
                "  interval: 1m\n  chart:",
                "  interval: 1m\n  dependsOn: [{name: web}]\n  chart:",
                format!("{release}`HelmRelease/apps/web` depends on itself"),
            ),
            (
                "  interval: 1m\n  chart:",
                "  interval: 1m\n  valuesFrom: [{kind: ConfigMap, name: none}]\n  chart:",
                format!("{release}could not resolve ConfigMap chart values reference 'apps/none'"),
            ),
            (
                "  interval: 1m\n  chart:",
                "  interval: 1m\n  postRenderers: [{kustomize: {}}]\n  chart:",
                format!("{release}`spec.postRenderers` is not supported by this version"),
            ),
        ] {
            let manifests = GOOD.replacen(from, to, 1);
            assert_ne!(manifests, GOOD, "{from}");
            let found = found(&manifests).await;
            assert!(found.iter().any(|it| it.starts_with(&wanted)), "{to}: {found:?}");
        }
    }

    #[tokio::test]
    async fn kinds_that_nothing_reconciles_are_named() {
        let bucket = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: Bucket\nmetadata: {name: b, namespace: apps}\nspec: {interval: 1m, bucketName: b, endpoint: s3.example}\n";
        assert_eq!(
            found(bucket).await,
            ["Bucket/apps/b: Bucket is not reconciled by this version of sluice; it is left to Flux"]
        );
    }
}
