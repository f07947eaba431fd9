//! An ImagePolicy: choose the latest of the tags that its ImageRepository knows, look up its digest if that is wanted,
//! and tell the automations that have not used it yet.
//!
//! Lists nothing: what is known, an ImageRepository found.

use std::collections::BTreeMap;
use std::time::Duration;

use flux_api::{
    AccessFrom, CloudProvider, Condition, ConditionStatus, FluxObject, GoDuration, ImagePolicy,
    ImagePolicyStatus, ImageRef, ImageRepository, ReflectionPolicy, condition_type as t, conditions, reason,
};

use super::context::{Done, Inner, Run, at};
use super::dependents;
use crate::image::policy::{Policy, PolicyError};
use crate::model::{CauseKind, Kind, ObjectKey, Severity};
use crate::queue::StepOutcome;
use crate::source::ImageName;

/// What waits for nothing in particular is tried again after this long at the latest (Flux's `--max-retry-delay`).
const LONGEST_RETRY: Duration = Duration::from_secs(15 * 60);

/// Why there is no latest image.
#[derive(Debug)]
struct Failure {
    reason: &'static str,
    message: String,
    then: Then,
}

/// What is done about it.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    /// Nothing, until somebody changes something.
    Stall,
    /// It is looked at again after this long, and when the dependency announces itself.
    Wait(Duration),
    /// It is tried again with backoff, or when the registry says.
    Retry(Option<Duration>),
}

impl Failure {
    fn stall(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), then: Then::Stall }
    }

    fn retry(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), then: Then::Retry(None) }
    }
}

/// Brings the object to what its ImageRepository knows now.
pub(super) async fn reconcile(run: &mut Run<'_>, object: &FluxObject, policy: &ImagePolicy) -> Done {
    let key = run.job.object.clone();
    let generation = policy.metadata.generation;
    let mut status = policy.status.clone();
    let outcome = choose(run, policy, &mut status).await;
    let now = run.time();
    status.last_handled_reconcile_at =
        object.requested_at().map(str::to_owned).or(status.last_handled_reconcile_at);
    let before = &policy.status.conditions;
    let done = match outcome {
        Ok(()) => {
            conditions::remove(&mut status.conditions, t::STALLED);
            conditions::remove(&mut status.conditions, t::RECONCILING);
            status.observed_generation = generation;
            let message = ready_message(&status);
            let ready = Condition::new(t::READY, ConditionStatus::True, reason::SUCCEEDED, message.clone());
            conditions::set(&mut status.conditions, ready, generation, now);
            let told = conditions::is_ready(before)
                && conditions::get(before, t::READY).is_some_and(|ready| ready.message == message);
            let severity = if told { Severity::Trace } else { Severity::Info };
            run.event(object, severity, reason::SUCCEEDED, message, &[]);
            match policy.spec.interval.map(GoDuration::get).filter(|interval| !interval.is_zero()) {
                Some(interval) => Done::Interval(interval),
                None => Done::Nothing,
            }
        }
        Err(Failure { reason, message, then }) => {
            let ready = Condition::new(t::READY, ConditionStatus::False, reason, message.clone());
            conditions::set(&mut status.conditions, ready, generation, now);
            if then == Then::Stall {
                status.observed_generation = generation;
                conditions::mark_stalled(&mut status.conditions, reason, &message, generation, now);
            } else {
                let progress = match policy.status.observed_generation == generation {
                    true => "reconciliation in progress".to_owned(),
                    false => format!(
                        "processing object: new generation {} -> {generation}",
                        policy.status.observed_generation
                    ),
                };
                conditions::mark_reconciling(
                    &mut status.conditions,
                    reason::PROGRESSING_WITH_RETRY,
                    &progress,
                    generation,
                    now,
                );
            }
            let told = conditions::get(before, t::READY).is_some_and(|ready| ready.message == message);
            // What only waits says so once.
            if !(told && matches!(then, Then::Wait(_))) {
                run.event(object, Severity::Error, reason, message.clone(), &[]);
            }
            match then {
                Then::Stall => Done::Stalled { error: message, interval: None },
                Then::Wait(after) => Done::Wait { after, why: message },
                Then::Retry(after) => Done::Retry { error: message, interval: LONGEST_RETRY, after },
            }
        }
    };
    run.write_status(&key, &policy.metadata.uid, &status).await;
    if conditions::is_ready(&status.conditions) {
        wake_automations(run, policy, &status);
    }
    done
}

fn ready_message(status: &ImagePolicyStatus) -> String {
    let Some(latest) = &status.latest_ref else { return String::new() };
    let mut message = format!("Latest image tag for {} resolved to {}", latest.name, latest.tag);
    if let Some(digest) = &latest.digest {
        message.push_str(&format!(" with digest {digest}"));
    }
    if let Some(previous) = status.observed_previous_ref.as_ref().filter(|previous| *previous != latest) {
        message.push_str(&format!(" (previously {previous})"));
    }
    message
}

async fn choose(
    run: &mut Run<'_>,
    policy: &ImagePolicy,
    status: &mut ImagePolicyStatus,
) -> Result<(), Failure> {
    let inner = run.inner;
    if policy.spec.digest_reflection_policy() == ReflectionPolicy::Always && policy.spec.interval.is_none() {
        return Err(Failure::stall(
            reason::INTERVAL_NOT_CONFIGURED,
            "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'",
        ));
    }
    let repository = referred(inner, policy).map_err(|(reason, text)| {
        Failure::retry(reason, format!("failed to get the referred ImageRepository: {text}"))
    })?;
    let image = ImageName::parse(&repository.spec.image)
        .map_err(|error| Failure::stall(reason::IMAGE_URL_INVALID, error))?;
    let latest = latest_tag(run, policy, &repository, &image).await?;
    let mut latest = ImageRef { name: repository.spec.image.clone(), tag: latest, digest: None };
    let standing = status.latest_ref.as_ref();
    let is_same = standing.is_some_and(|it| it.name == latest.name && it.tag == latest.tag);
    let known = standing.and_then(|it| it.digest.clone()).filter(|_| is_same);
    latest.digest = match (policy.spec.digest_reflection_policy(), known) {
        (ReflectionPolicy::Never, _) => None,
        (ReflectionPolicy::IfNotPresent, Some(known)) => Some(known),
        (ReflectionPolicy::IfNotPresent, None) | (ReflectionPolicy::Always, _) => {
            Some(digest(run, &repository, image, &latest).await?)
        }
    };
    if standing != Some(&latest) {
        status.observed_previous_ref = status.latest_ref.replace(latest);
    }
    Ok(())
}

/// The latest of the tags that are known of the image as it is written now: those of another image do not count,
/// should the repository have been pointed elsewhere and not been scanned yet.
async fn latest_tag(
    run: &mut Run<'_>,
    policy: &ImagePolicy,
    repository: &ImageRepository,
    image: &ImageName,
) -> Result<String, Failure> {
    let inner = run.inner;
    let failed = |error: PolicyError| match &error {
        PolicyError::Invalid(_) => Failure::stall(reason::INVALID_POLICY, error.to_string()),
        PolicyError::NoAnswer(_) => Failure::retry(reason::FAILURE, error.to_string()),
    };
    let watch = run.stopwatch();
    let chooser = Policy::new(&policy.spec.policy).map_err(failed)?;
    let key =
        ObjectKey::new(Kind::ImageRepository, &repository.metadata.namespace, &repository.metadata.name);
    let tags = inner.known_tags(&key, &image.to_string()).await.map_err(|error| {
        Failure::retry(reason::FAILURE, format!("failed to read tags from database: {error}"))
    })?;
    if tags.is_empty() {
        let pause = inner.settings.requeue_dependency;
        let shown = GoDuration::from(Duration::from_secs(pause.as_secs()));
        return Err(Failure {
            reason: reason::DEPENDENCY_NOT_READY,
            message: format!("retrying in {shown} error: no tags in database"),
            then: Then::Wait(pause),
        });
    }
    let chosen = chooser.latest(policy.spec.filter_tags.as_ref(), &tags);
    let (outcome, detail) = match &chosen {
        Ok(tag) => (StepOutcome::Done, format!("`{tag}` of {} tags", tags.len())),
        Err(error) => (StepOutcome::Failed, error.to_string()),
    };
    let step = run.step("policy", watch.started, watch.elapsed(), outcome, detail);
    step.revision = chosen.as_ref().ok().and_then(|tag| at(tag));
    chosen.map_err(failed)
}

async fn digest(
    run: &mut Run<'_>,
    repository: &ImageRepository,
    image: ImageName,
    latest: &ImageRef,
) -> Result<String, Failure> {
    let failed = |text: &str| format!("failed fetching digest of {latest}: {text}");
    if repository.spec.provider() != CloudProvider::Generic {
        let text =
            format!("`spec.provider: {}` is not supported by this version", repository.spec.provider());
        return Err(Failure::stall(reason::INVALID_PROVIDER_CONFIGURATION, failed(&text)));
    }
    let request = run.inner.registry_request(image, repository).map_err(|problem| {
        let text = format!("failed to configure authentication options: {problem}");
        Failure::retry(reason::FAILED, failed(&text))
    })?;
    let watch = run.stopwatch();
    let looked_up = run.inner.sources.image_digest(&request, &latest.tag).await;
    let took = watch.elapsed();
    let (outcome, detail, result) = match looked_up {
        Ok(Some(digest)) => {
            (StepOutcome::Done, format!("`{}` is {digest}", latest.tag), Ok(digest.as_str().to_owned()))
        }
        Ok(None) => {
            let text = format!("`{}:{}` is not in the registry", request.image, latest.tag);
            (StepOutcome::Failed, text.clone(), Err(Failure::retry(reason::FAILED, failed(&text))))
        }
        Err(error) => {
            let text = error.to_string();
            let failure = Failure {
                reason: reason::FAILED,
                message: failed(&text),
                then: Then::Retry(error.retry_after().map(|after| after.min(LONGEST_RETRY))),
            };
            (StepOutcome::Failed, text, Err(failure))
        }
    };
    run.step("head", watch.started, took, outcome, detail);
    result
}

/// The ImageRepository a policy refers to, if it may.
fn referred(inner: &Inner, policy: &ImagePolicy) -> Result<ImageRepository, (&'static str, String)> {
    let own = &policy.metadata.namespace;
    let reference = &policy.spec.image_repository_ref;
    let (namespace, name) = (reference.namespace(own), &reference.name);
    if inner.settings.no_cross_namespace_refs && namespace != own {
        return Err((
            reason::ACCESS_DENIED,
            format!(
                "cannot access 'ImageRepository/{namespace}/{name}', cross-namespace references have been blocked"
            ),
        ));
    }
    let repository = inner.objects.get_as::<ImageRepository>(namespace, name).ok_or_else(|| {
        (
            reason::DEPENDENCY_NOT_READY,
            format!(
                "referenced ImageRepository does not exist: imagerepositories.image.toolkit.fluxcd.io \"{name}\" not found"
            ),
        )
    })?;
    if namespace != own
        && let Err(text) = may_access(
            repository.spec.access_from.as_ref(),
            (namespace, name),
            (own, &inner.objects.namespace_labels(own)),
        )
    {
        return Err((reason::ACCESS_DENIED, format!("access denied: {text}")));
    }
    Ok(repository)
}

/// Whether an object lets those of another namespace use it, which is told by that namespace's labels.
fn may_access(
    access: Option<&AccessFrom>,
    object: (&str, &str),
    from: (&str, &BTreeMap<String, String>),
) -> Result<(), String> {
    let ((namespace, name), (from, labels)) = (object, from);
    let Some(access) = access else {
        return Err(format!(
            "'{namespace}/{name}' can't be accessed due to missing ACL labels on 'accessFrom'"
        ));
    };
    let selected = access
        .namespace_selectors
        .iter()
        .any(|selector| selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value)));
    if selected {
        return Ok(());
    }
    Err(format!("'{namespace}/{name}' can't be accessed due to ACL labels mismatch on namespace '{from}'"))
}

/// Jobs for the automations that have not used the latest image yet.
fn wake_automations(run: &mut Run<'_>, policy: &ImagePolicy, status: &ImagePolicyStatus) {
    let Some(latest) = &status.latest_ref else { return };
    let cause = run.cause.then(CauseKind::Dependency);
    for automation in dependents::of_policy(&run.inner.objects, policy, latest) {
        run.wake(automation, cause.clone());
    }
}

#[cfg(test)]
mod tests {
    use flux_api::NamespaceSelector;

    use super::*;

    #[test]
    fn the_ready_message_is_fluxs() {
        let image = |tag: &str, digest: Option<&str>| ImageRef {
            name: "ghcr.io/a/b".into(),
            tag: tag.into(),
            digest: digest.map(str::to_owned),
        };
        let message = |latest, previous| {
            ready_message(&ImagePolicyStatus {
                latest_ref: Some(latest),
                observed_previous_ref: previous,
                ..ImagePolicyStatus::default()
            })
        };
        assert_eq!(message(image("1.0", None), None), "Latest image tag for ghcr.io/a/b resolved to 1.0");
        assert_eq!(
            message(image("1.1", Some("sha256:b")), Some(image("1.0", None))),
            "Latest image tag for ghcr.io/a/b resolved to 1.1 with digest sha256:b (previously ghcr.io/a/b:1.0)"
        );
        assert_eq!(
            message(image("1.0", Some("sha256:b")), Some(image("1.0", Some("sha256:a")))),
            "Latest image tag for ghcr.io/a/b resolved to 1.0 with digest sha256:b (previously ghcr.io/a/b:1.0@sha256:a)"
        );
        let same = image("1.0", None);
        assert_eq!(message(same.clone(), Some(same)), "Latest image tag for ghcr.io/a/b resolved to 1.0");
    }

    #[test]
    fn other_namespaces_are_let_in_by_their_labels() {
        let access = |selectors: &[&[(&str, &str)]]| AccessFrom {
            namespace_selectors: selectors
                .iter()
                .map(|labels| NamespaceSelector {
                    match_labels: labels
                        .iter()
                        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                        .collect::<BTreeMap<_, _>>(),
                })
                .collect(),
        };
        let labels = BTreeMap::from([
            ("kubernetes.io/metadata.name".to_owned(), "apps".to_owned()),
            ("team".to_owned(), "web".to_owned()),
        ]);
        let verdict =
            |access: Option<AccessFrom>| may_access(access.as_ref(), ("images", "app"), ("apps", &labels));
        assert_eq!(verdict(Some(access(&[&[("kubernetes.io/metadata.name", "apps")]]))), Ok(()));
        assert_eq!(verdict(Some(access(&[&[("team", "x")], &[("team", "web")]]))), Ok(()));
        assert_eq!(verdict(Some(access(&[&[]]))), Ok(()));
        assert_eq!(
            verdict(None).unwrap_err(),
            "'images/app' can't be accessed due to missing ACL labels on 'accessFrom'"
        );
        for denied in
            [&[][..], &[&[("kubernetes.io/metadata.name", "other")][..]], &[&[("team", "web"), ("env", "x")]]]
        {
            assert_eq!(
                verdict(Some(access(denied))).unwrap_err(),
                "'images/app' can't be accessed due to ACL labels mismatch on namespace 'apps'"
            );
        }
    }
}
