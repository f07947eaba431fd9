//! Who reads what: the objects to wake when a source, chart or dependency changed.

use flux_api::{FluxObject, HelmRelease, ImagePolicy, ImageRef};

use crate::model::{Kind, ObjectKey};
use crate::objects::Objects;

fn key(object: &FluxObject) -> ObjectKey {
    ObjectKey::new(object.kind(), object.namespace(), object.name())
}

/// The source a HelmRelease takes its chart from (not the HelmChart between them).
pub(super) fn source_of(release: &HelmRelease) -> Option<ObjectKey> {
    let own = &release.metadata.namespace;
    if let Some(chart) = &release.spec.chart {
        let source = &chart.spec.source_ref;
        return Some(ObjectKey::new(source.kind, source.namespace(own), &source.name));
    }
    release
        .spec
        .chart_ref
        .as_ref()
        .map(|source| ObjectKey::new(source.kind, source.namespace(own), &source.name))
}

/// Objects that read a source directly: HelmReleases with a chart in it, HelmCharts that stand alone and the
/// releases that use those, repositories that include it.
pub(super) fn of_source(objects: &Objects, source: &ObjectKey) -> Vec<ObjectKey> {
    let mut found = Vec::new();
    let mut charts = Vec::new();
    for object in objects.list(Kind::HelmChart) {
        let FluxObject::HelmChart(chart) = &*object else { continue };
        let reference = &chart.spec.source_ref;
        let its =
            ObjectKey::new(reference.kind, reference.namespace(&chart.metadata.namespace), &reference.name);
        if its == *source {
            let chart_key = key(&object);
            // A chart made for a release is built by the release's own job.
            if objects.owner(&chart_key).is_none() {
                found.push(chart_key.clone());
                charts.push(chart_key);
            }
        }
    }
    for object in objects.list(Kind::HelmRelease) {
        let FluxObject::HelmRelease(release) = &*object else { continue };
        if let Some(its) = source_of(release)
            && (its == *source || charts.contains(&its))
        {
            found.push(key(&object));
        }
    }
    for object in objects.list(Kind::GitRepository) {
        let FluxObject::GitRepository(git) = &*object else { continue };
        let includes = source.kind == Kind::GitRepository
            && git.metadata.namespace == source.namespace
            && git.spec.include.iter().any(|include| include.repository.name == source.name);
        if includes {
            found.push(key(&object));
        }
    }
    found
}

/// HelmReleases that wait for this one by `dependsOn`.
pub(super) fn of_release(objects: &Objects, release: &ObjectKey) -> Vec<ObjectKey> {
    objects
        .list(Kind::HelmRelease)
        .iter()
        .filter(|object| {
            let FluxObject::HelmRelease(other) = &***object else { return false };
            other.spec.depends_on.iter().any(|dependency| {
                let namespace = dependency.namespace.as_deref().unwrap_or(&other.metadata.namespace);
                namespace == release.namespace && dependency.name == release.name
            })
        })
        .map(|object| key(object))
        .collect()
}

/// ImageUpdateAutomations that write to a GitRepository: how it is reached and what it follows is theirs, too.
pub(super) fn automations_of(objects: &Objects, repository: &ObjectKey) -> Vec<ObjectKey> {
    objects
        .list(Kind::ImageUpdateAutomation)
        .iter()
        .filter(|object| {
            let FluxObject::ImageUpdateAutomation(automation) = &***object else { return false };
            let source = &automation.spec.source_ref;
            source.kind == repository.kind
                && source.name == repository.name
                && source.namespace(&automation.metadata.namespace) == repository.namespace
        })
        .map(|object| key(object))
        .collect()
}

/// ImagePolicies that choose among the tags of an ImageRepository.
pub(super) fn of_image(objects: &Objects, repository: &ObjectKey) -> Vec<ObjectKey> {
    let refers = |policy: &ImagePolicy| {
        let reference = &policy.spec.image_repository_ref;
        reference.name == repository.name
            && reference.namespace(&policy.metadata.namespace) == repository.namespace
    };
    objects
        .list(Kind::ImagePolicy)
        .iter()
        .filter(|object| object.get::<ImagePolicy>().is_some_and(refers))
        .map(|object| key(object))
        .collect()
}

/// ImagePolicies of a namespace that use an ImageRepository of another one: its labels say whether they may.
pub(super) fn of_namespace(objects: &Objects, namespace: &str) -> Vec<ObjectKey> {
    let crosses = |policy: &ImagePolicy| {
        let own = &policy.metadata.namespace;
        own == namespace && policy.spec.image_repository_ref.namespace(own) != own
    };
    objects
        .list(Kind::ImagePolicy)
        .iter()
        .filter(|object| object.get::<ImagePolicy>().is_some_and(crosses))
        .map(|object| key(object))
        .collect()
}

/// ImageUpdateAutomations that select a policy and have not used the image it resolved to.
pub(super) fn of_policy(objects: &Objects, policy: &ImagePolicy, latest: &ImageRef) -> Vec<ObjectKey> {
    let metadata = &policy.metadata;
    objects
        .list(Kind::ImageUpdateAutomation)
        .iter()
        .filter(|object| {
            let FluxObject::ImageUpdateAutomation(automation) = &***object else { return false };
            let selects = automation
                .spec
                .policy_selector
                .as_ref()
                .is_none_or(|selector| selector.matches(&metadata.labels));
            automation.metadata.namespace == metadata.namespace
                && selects
                && automation.status.observed_policies.get(&metadata.name) != Some(latest)
        })
        .map(|object| key(object))
        .collect()
}

/// Objects that read a Secret or ConfigMap of their own namespace.
pub(super) fn of_config(objects: &Objects, is_secret: bool, namespace: &str, name: &str) -> Vec<ObjectKey> {
    objects
        .all()
        .iter()
        .filter(|object| object.namespace() == namespace && reads(object, is_secret, name))
        .map(|object| key(object))
        .collect()
}

fn reads(object: &FluxObject, is_secret: bool, name: &str) -> bool {
    let is = |reference: Option<&flux_api::LocalRef>| {
        is_secret && reference.is_some_and(|reference| reference.name == name)
    };
    match object {
        FluxObject::GitRepository(git) => {
            is(git.spec.secret_ref.as_ref()) || is(git.spec.proxy_secret_ref.as_ref())
        }
        FluxObject::HelmRelease(release) => {
            let kubeconfig = release
                .spec
                .kube_config
                .as_ref()
                .and_then(|config| config.secret_ref.as_ref())
                .is_some_and(|secret| is_secret && secret.name == name);
            let values = release.spec.values_from.iter().any(|reference| {
                let wants_secret = reference.kind == Some(flux_api::ConfigKind::Secret);
                wants_secret == is_secret && reference.name == name
            });
            kubeconfig || values
        }
        FluxObject::ImageRepository(repository) => {
            [&repository.spec.secret_ref, &repository.spec.cert_secret_ref, &repository.spec.proxy_secret_ref]
                .into_iter()
                .any(|reference| is(reference.as_ref()))
        }
        FluxObject::ImageUpdateAutomation(automation) => automation
            .spec
            .git
            .as_ref()
            .and_then(|git| git.commit.signing_key.as_ref())
            .is_some_and(|key| is(Some(&key.secret_ref))),
        FluxObject::Receiver(receiver) => is(receiver.spec.secret_ref.as_ref()),
        _ => false,
    }
}
