//! An ImageRepository: know the tags of its image, and tell the policies when they changed.
//!
//! A list is made when Flux would make one. A webhook that names a tag needs none: the tag is looked up, and added to
//! those that are known. What is the latest, policies decide.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flux_api::{
    CloudProvider, Condition, ConditionStatus, FluxObject, GoDuration, ImageRepository,
    ImageRepositoryStatus, condition_type as t, conditions, reason,
};

use super::context::{Done, Inner, Run, at};
use super::dependents;
use super::secrets::{self, SecretProblem};
use crate::image::scan::{self, Due, Exclusions, Facts, Named};
use crate::model::{CauseKind, ObjectKey, Severity};
use crate::queue::{NewJob, Priority, StepOutcome, StoreError};
use crate::source::{ImageName, RegistryError, RegistryRequest};

/// The shortest pause before a repository is looked at again, whatever its interval says.
const SHORTEST: Duration = Duration::from_secs(1);

/// Why the tags are not known.
pub(super) struct Failure {
    reason: &'static str,
    pub(super) message: String,
    /// Only a change helps.
    stalled: bool,
    after: Option<Duration>,
}

impl Failure {
    fn stalled(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stalled: true, after: None }
    }

    fn passing(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stalled: false, after: None }
    }
}

impl From<SecretProblem> for Failure {
    fn from(problem: SecretProblem) -> Self {
        let message = format!("failed to configure authentication options: {problem}");
        Self::passing(reason::AUTHENTICATION_FAILED, message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::passing(
            reason::READ_OPERATION_FAILED,
            format!("failed to determine if it's scan time: {error}"),
        )
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let prefix = match error.reason() {
            reason::AUTHENTICATION_FAILED => "failed to configure authentication options",
            _ => "scan failed",
        };
        Self {
            reason: error.reason(),
            message: format!("{prefix}: {error}"),
            stalled: false,
            after: error.retry_after(),
        }
    }
}

/// How a run went well.
struct Looked {
    /// When the next list is due.
    next_scan: Duration,
    /// Tags that a webhook named and the registry does not show yet.
    missing: Vec<Named>,
    /// A tag that a webhook named was seen: what it points to may have changed.
    confirmed: bool,
    /// What is said when nothing changed.
    trace: String,
}

/// Brings the object to what its registry shows now.
pub(super) async fn reconcile(run: &mut Run<'_>, object: &FluxObject, repository: &ImageRepository) -> Done {
    let key = run.job.object.clone();
    let interval = repository.spec.interval.get();
    let generation = repository.metadata.generation;
    let mut status = repository.status.clone();
    let mut progress = match status.observed_generation == generation {
        true => "reconciliation in progress".to_owned(),
        false => format!(
            "processing object: new generation {} -> {generation}",
            repository.status.observed_generation
        ),
    };
    let outcome = look(run, object, repository, &mut status, &mut progress).await;
    let now = run.time();
    // Handled whatever came of it, as Flux has it.
    status.last_handled_reconcile_at =
        object.requested_at().map(str::to_owned).or(status.last_handled_reconcile_at);
    let done = match outcome {
        Ok(looked) => {
            conditions::remove(&mut status.conditions, t::STALLED);
            conditions::remove(&mut status.conditions, t::RECONCILING);
            status.observed_generation = generation;
            let message = ready_message(&status);
            let ready = Condition::new(t::READY, ConditionStatus::True, reason::SUCCEEDED, message.clone());
            conditions::set(&mut status.conditions, ready, generation, now);
            let before = &repository.status.conditions;
            let told = conditions::is_ready(before)
                && conditions::get(before, t::READY).is_some_and(|ready| ready.message == message);
            match told {
                true => run.event(object, Severity::Trace, reason::SUCCEEDED, looked.trace.clone(), &[]),
                false => run.event(object, Severity::Info, reason::SUCCEEDED, message, &[]),
            }
            go_on_searching(run, &key, &looked.missing);
            wake_policies(run, &key, &repository.status, &status, looked.confirmed);
            // Exactly then: an interval is neither stretched by a webhook nor spread.
            match interval.is_zero() {
                true => Done::Nothing,
                false => Done::Wait { after: looked.next_scan.max(SHORTEST), why: looked.trace },
            }
        }
        Err(failure) => {
            let Failure { reason, message, stalled, after } = failure;
            let ready = Condition::new(t::READY, ConditionStatus::False, reason, message.clone());
            conditions::set(&mut status.conditions, ready, generation, now);
            if stalled {
                status.observed_generation = generation;
                conditions::mark_stalled(&mut status.conditions, reason, &message, generation, now);
            } else {
                conditions::mark_reconciling(
                    &mut status.conditions,
                    reason::PROGRESSING_WITH_RETRY,
                    &progress,
                    generation,
                    now,
                );
            }
            run.event(object, Severity::Error, reason, message.clone(), &[]);
            match stalled {
                true => Done::Stalled { error: message, interval: None },
                // A registry may ask for patience, and not for more than the object has itself.
                false => {
                    let after = after.map(|after| after.min(interval.max(Duration::from_secs(60))));
                    Done::Retry { error: message, interval, after }
                }
            }
        }
    };
    run.write_status(&key, &repository.metadata.uid, &status).await;
    done
}

fn ready_message(status: &ImageRepositoryStatus) -> String {
    let last = status.last_scan_result.as_ref();
    format!(
        "successful scan: found {} tags with checksum {}",
        last.and_then(|last| last.tag_count).unwrap_or(0),
        last.and_then(|last| last.revision.as_deref()).unwrap_or_default()
    )
}

async fn look(
    run: &mut Run<'_>,
    object: &FluxObject,
    repository: &ImageRepository,
    status: &mut ImageRepositoryStatus,
    progress: &mut String,
) -> Result<Looked, Failure> {
    let (inner, key) = (run.inner, &run.job.object);
    let request = request(inner, repository)?;
    let image = request.image.to_string();
    let exclusion_list = repository.spec.exclusion_list();
    let interval = repository.spec.interval.get();
    let known = inner.known_tags(key, &image).await?;
    let pushed = scan::pushed(&run.job.payload);
    let due = scan::due(&Facts {
        status,
        interval,
        requested_at: object.requested_at(),
        image: &image,
        exclusions: &exclusion_list,
        has_tags: !known.is_empty(),
        has_named: !pushed.named.is_empty(),
        // A change of the object may be its being resumed: whatever webhooks said meanwhile was passed over.
        has_unnamed: has_unnamed(run, &pushed, status)
            || status.observed_generation != repository.metadata.generation,
        now: inner.now(),
    });
    let shown = |after: Duration| GoDuration::from(Duration::from_secs(after.as_secs()));
    let looked = match due {
        Due::Scan { reason } => {
            *progress = format!("scanning: {reason}");
            let exclusions = exclusions(&exclusion_list)?;
            let tags = list(run, &request, &exclusions, reason).await?;
            inner.keep_tags(key, &image, Arc::clone(&tags)).await?;
            let before = status.last_scan_result.take();
            let result = scan::result(&tags, Some(run.time()));
            let trace = match before.is_some_and(|before| before.revision == result.revision) {
                true => format!("tags did not change, next scan in {}", shown(interval)),
                false => format!("successful scan, next scan in {}", shown(interval)),
            };
            status.last_scan_result = Some(result);
            // What was named and is in the list is found; a registry may show it a moment later.
            let (found, missing): (Vec<Named>, Vec<Named>) = pushed.named.into_iter().partition(|named| {
                exclusions.exclude(&named.tag)
                    || tags.binary_search_by(|tag| named.tag.as_str().cmp(tag.as_str())).is_ok()
            });
            let missing = missing.iter().filter_map(|named| named.again(inner.now())).collect();
            Looked { next_scan: interval, missing, confirmed: !found.is_empty(), trace }
        }
        Due::Look { next_scan } => {
            let exclusions = exclusions(&exclusion_list)?;
            let Search { seen, missing } = search(run, &request, &exclusions, pushed.named).await?;
            let mut tags: BTreeSet<&str> = known.iter().map(String::as_str).collect();
            let new: Vec<String> = seen.iter().filter(|tag| tags.insert(tag)).cloned().collect();
            let tags: Arc<Vec<String>> = Arc::new(tags.into_iter().rev().map(str::to_owned).collect());
            if !new.is_empty() {
                inner.add_tags(key, &image, new, &tags).await?;
            }
            // Also when nothing is new: a run before this one may have kept the tags and ended before it said so. The
            // time stays that of the last list: the next one is due when it would have been.
            let scanned_at = status.last_scan_result.as_ref().and_then(|last| last.scan_time);
            status.last_scan_result = Some(scan::result(&tags, scanned_at));
            let trace = format!("tags did not change, next scan in {}", shown(next_scan));
            Looked { next_scan, missing, confirmed: !seen.is_empty(), trace }
        }
        Due::Nothing { next_scan } => {
            let trace = format!(
                "no change in repository configuration since last scan, next scan in {}",
                shown(next_scan)
            );
            Looked { next_scan, missing: Vec::new(), confirmed: false, trace }
        }
    };
    status.canonical_image_name = Some(image);
    status.observed_exclusion_list = exclusion_list;
    Ok(looked)
}

/// Whether somebody behind this job wants a list: a webhook that named no tag, or who asked by hand and saw it fail.
fn has_unnamed(run: &Run<'_>, pushed: &scan::Pushed, status: &ImageRepositoryStatus) -> bool {
    let asked = run.job.causes.iter().any(|cause| cause.kind == CauseKind::Request);
    pushed.without_tag || asked && !conditions::is_ready(&status.conditions)
}

fn exclusions(patterns: &[String]) -> Result<Exclusions, Failure> {
    Exclusions::new(patterns)
        .map_err(|error| Failure::passing(reason::READ_OPERATION_FAILED, format!("scan failed: {error}")))
}

async fn list(
    run: &mut Run<'_>,
    request: &RegistryRequest,
    exclusions: &Exclusions,
    why: &str,
) -> Result<Arc<Vec<String>>, Failure> {
    let watch = run.stopwatch();
    let listed = run.inner.sources.image_tags(request).await;
    let took = watch.elapsed();
    let (outcome, detail) = match &listed {
        Ok(tags) => (StepOutcome::Done, format!("{} tags of {} ({why})", tags.len(), request.image)),
        Err(error) => (StepOutcome::Failed, error.to_string()),
    };
    run.step("scan", watch.started, took, outcome, detail);
    Ok(Arc::new(exclusions.keep(listed?)))
}

/// What the look at named tags found.
struct Search {
    /// Tags that are there and count.
    seen: Vec<String>,
    /// Tags to look for again.
    missing: Vec<Named>,
}

/// Looks up each tag that is due. One that the registry does not show yet, or shows with other content than the
/// webhook said, is looked for again; after the last time the registry is believed.
async fn search(
    run: &mut Run<'_>,
    request: &RegistryRequest,
    exclusions: &Exclusions,
    named: Vec<Named>,
) -> Result<Search, Failure> {
    let mut search = Search { seen: Vec::new(), missing: Vec::new() };
    for named in named {
        if !named.is_due(run.inner.now()) {
            search.missing.push(named);
            continue;
        }
        let watch = run.stopwatch();
        let tag = named.tag.clone();
        if exclusions.exclude(&tag) {
            run.step(
                "head",
                watch.started,
                watch.elapsed(),
                StepOutcome::Unchanged,
                format!("`{tag}` is excluded"),
            );
            continue;
        }
        let looked_up = run.inner.sources.image_digest(request, &tag).await;
        let took = watch.elapsed();
        let found = match looked_up {
            Ok(found) => found,
            Err(error) => {
                run.step("head", watch.started, took, StepOutcome::Failed, error.to_string());
                return Err(error.into());
            }
        };
        let again = named.again(run.inner.now());
        let fits = match (&found, &named.digest) {
            (Some(found), Some(wanted)) => found.as_str() == wanted,
            (found, _) => found.is_some(),
        };
        let (outcome, detail) = match (&found, fits, &again) {
            (Some(digest), true, _) => (StepOutcome::Done, format!("`{tag}` is {digest}")),
            (Some(digest), false, Some(_)) => {
                (StepOutcome::Unchanged, format!("`{tag}` is still {digest}; looking again"))
            }
            (Some(digest), false, None) => {
                (StepOutcome::Done, format!("`{tag}` is {digest}, which is not what was pushed"))
            }
            (None, _, Some(_)) => {
                (StepOutcome::Unchanged, format!("`{tag}` is not there yet; looking again"))
            }
            (None, _, None) => (
                StepOutcome::Failed,
                format!("`{tag}` did not appear; the next scan will find it if it is there"),
            ),
        };
        let step = run.step("head", watch.started, took, outcome, detail);
        step.revision = found.as_ref().and_then(|digest| at(&format!("{tag}@{digest}")));
        match again {
            Some(again) if !fits => search.missing.push(again),
            _ if found.is_some() => search.seen.push(tag),
            _ => {}
        }
    }
    Ok(search)
}

/// A job for the tags that are missing. It waits in the queue, where it holds no worker and survives a restart.
fn go_on_searching(run: &mut Run<'_>, key: &ObjectKey, missing: &[Named]) {
    let now = run.inner.now();
    let Some(due_at) = missing.iter().map(|named| named.not_before.unwrap_or(now)).min() else { return };
    run.spawn.push(NewJob {
        object: key.clone(),
        cause: run.cause.clone(),
        due_at,
        payload: scan::hint(missing),
        priority: Priority::Push,
    });
}

/// Jobs for the policies of this image, when there may be something new for them.
fn wake_policies(
    run: &mut Run<'_>,
    key: &ObjectKey,
    before: &ImageRepositoryStatus,
    after: &ImageRepositoryStatus,
    confirmed: bool,
) {
    let revision = |status: &ImageRepositoryStatus| {
        let last = status.last_scan_result.as_ref();
        (status.canonical_image_name.clone(), last.and_then(|last| last.revision.clone()))
    };
    let news = revision(before) != revision(after) || !conditions::is_ready(&before.conditions);
    // Who may use it may have changed with the object; and what was asked for by hand is passed on.
    let asked =
        run.job.causes.iter().any(|cause| matches!(cause.kind, CauseKind::Request | CauseKind::Change));
    if news || asked || confirmed {
        let cause = run.cause.then(CauseKind::Dependency);
        for policy in dependents::of_image(&run.inner.objects, key) {
            run.wake(policy, cause.clone());
        }
    }
}

/// What this version cannot do; said plainly rather than ignored.
pub(super) fn unsupported(repository: &ImageRepository) -> Option<Failure> {
    let spec = &repository.spec;
    if spec.provider() != CloudProvider::Generic {
        return Some(Failure::stalled(
            reason::INVALID_PROVIDER_CONFIGURATION,
            format!(
                "`spec.provider: {}` is not supported by this version\nhint: use a token in `spec.secretRef`",
                spec.provider()
            ),
        ));
    }
    (spec.service_account_name.is_some() && spec.secret_ref.is_none()).then(|| {
        Failure::stalled(
            reason::AUTHENTICATION_FAILED,
            "`spec.serviceAccountName` is not supported by this version: there are no ServiceAccounts whose pull secrets could be used\nhint: name the Secret itself in `spec.secretRef`",
        )
    })
}

/// The registry, the credentials and the certificates the object names.
fn request(inner: &Inner, repository: &ImageRepository) -> Result<RegistryRequest, Failure> {
    let image = ImageName::parse(&repository.spec.image)
        .map_err(|error| Failure::stalled(reason::IMAGE_URL_INVALID, error))?;
    if let Some(unsupported) = unsupported(repository) {
        return Err(unsupported);
    }
    Ok(inner.registry_request(image, repository)?)
}

impl Inner {
    /// How an ImageRepository asks its registry.
    pub(super) fn registry_request(
        &self,
        image: ImageName,
        repository: &ImageRepository,
    ) -> Result<RegistryRequest, SecretProblem> {
        let (namespace, spec) = (&repository.metadata.namespace, &repository.spec);
        let mut request = RegistryRequest::new(image);
        request.insecure = spec.insecure;
        request.timeout = spec.timeout();
        if let Some(reference) = &spec.secret_ref {
            let secret = self.need_secret(namespace, &reference.name).map_err(in_the_clusters_words)?;
            request.credentials = secrets::registry_credentials(&secret, &request.image)?;
        }
        if let Some(reference) = &spec.cert_secret_ref {
            let secret = self.need_secret(namespace, &reference.name).map_err(in_the_clusters_words)?;
            request.tls = secrets::tls_material(&secret)?;
        }
        if let Some(reference) = &spec.proxy_secret_ref {
            let secret = self.need_secret(namespace, &reference.name)?;
            request.proxy = Some(secrets::proxy(&secret)?);
        }
        Ok(request)
    }
}

/// Flux passes on what the API server says of a Secret that is not there.
fn in_the_clusters_words(problem: SecretProblem) -> SecretProblem {
    match problem {
        SecretProblem::Missing { name, .. } => {
            SecretProblem::Unusable(format!("secrets \"{name}\" not found"))
        }
        other => other,
    }
}
