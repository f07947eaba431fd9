//! A GitRepository: fetch the wanted commit, archive it, tell its dependents.

use std::time::Duration;

use flux_api::{
    Condition, ConditionStatus, FluxObject, GitRepository, GitRepositoryStatus, condition_type as t,
    conditions, reason,
};

use super::context::{Done, Inner, Run, at};
use super::dependents;
use super::git_verify::{self, Unverified};
use super::secrets::{self, SecretProblem};
use crate::model::{CauseKind, Kind, ObjectKey, Severity};
use crate::queue::StepOutcome;
use crate::source::{
    ArtifactRequest, GitCheckout, GitCredentials, GitErrorKind, GitReference, GitRequest, Include, PushHint,
};

/// How much of a commit's subject an event shows.
const SUBJECT_CHARS: usize = 50;

/// Why there is no new artifact.
struct Failure {
    condition: &'static str,
    reason: String,
    message: String,
    retryable: bool,
    after: Option<Duration>,
}

impl From<Unverified> for Failure {
    fn from(unverified: Unverified) -> Self {
        Self {
            condition: t::SOURCE_VERIFIED,
            reason: unverified.reason,
            message: unverified.message,
            retryable: unverified.retryable,
            after: None,
        }
    }
}

impl From<SecretProblem> for Failure {
    fn from(problem: SecretProblem) -> Self {
        Self {
            condition: t::FETCH_FAILED,
            reason: reason::AUTHENTICATION_FAILED.to_owned(),
            message: problem.to_string(),
            retryable: true,
            after: None,
        }
    }
}

/// Brings the object to what its repository shows now.
pub(super) async fn reconcile(run: &mut Run<'_>, object: &FluxObject, git: &GitRepository) -> Done {
    let inner = run.inner;
    let key = run.job.object.clone();
    let interval = git.spec.interval.get();
    let mut status = git.status.clone();
    let outcome = fetch_and_store(run, object, git, &key, &mut status).await;
    let generation = git.metadata.generation;
    let now = run.time();
    status.last_handled_reconcile_at =
        object.requested_at().map(str::to_owned).or(status.last_handled_reconcile_at);
    let done = match outcome {
        Ok(news) => {
            for stale in [
                t::FETCH_FAILED,
                t::STORAGE_OPERATION_FAILED,
                t::INCLUDE_UNAVAILABLE,
                t::ARTIFACT_OUTDATED,
                t::STALLED,
                t::RECONCILING,
            ] {
                conditions::remove(&mut status.conditions, stale);
            }
            status.observed_generation = generation;
            let revision =
                status.artifact.as_ref().map(|artifact| artifact.revision.clone()).unwrap_or_default();
            let message = format!("stored artifact for revision '{revision}'");
            let was_ready = conditions::is_ready(&git.status.conditions);
            for kind in [t::ARTIFACT_IN_STORAGE, t::READY] {
                let condition =
                    Condition::new(kind, ConditionStatus::True, reason::SUCCEEDED, message.clone());
                conditions::set(&mut status.conditions, condition, generation, now);
            }
            let digest = status.artifact.as_ref().map(|artifact| artifact.digest.clone()).unwrap_or_default();
            let metadata = [("revision", revision.as_str()), ("digest", digest.as_str())];
            match news {
                News::Stored { subject } => {
                    let text = format!("stored artifact for commit '{}'", shortened(&subject));
                    run.event(object, Severity::Info, reason::NEW_ARTIFACT, text, &metadata);
                }
                News::Same if !was_ready && !git.status.conditions.is_empty() => {
                    run.event(object, Severity::Info, reason::SUCCEEDED, message, &metadata);
                }
                News::Same => {
                    let text = format!("artifact up-to-date with remote revision: '{revision}'");
                    run.event(object, Severity::Trace, reason::ARTIFACT_UP_TO_DATE, text, &metadata);
                }
            }
            Done::Interval(interval)
        }
        Err(failure) => {
            if !conditions::is_true(&status.conditions, t::SOURCE_VERIFIED)
                && failure.condition != t::SOURCE_VERIFIED
            {
                // what failed before may not any more; a good verification stands for the artifact at hand
                conditions::remove(&mut status.conditions, t::SOURCE_VERIFIED);
            }
            // the one condition here whose good side is True
            let side = match failure.condition {
                t::SOURCE_VERIFIED => ConditionStatus::False,
                _ => ConditionStatus::True,
            };
            let condition =
                Condition::new(failure.condition, side, failure.reason.clone(), failure.message.clone());
            conditions::set(&mut status.conditions, condition, generation, now);
            let ready = Condition::new(
                t::READY,
                ConditionStatus::False,
                failure.reason.clone(),
                failure.message.clone(),
            );
            conditions::set(&mut status.conditions, ready, generation, now);
            if failure.retryable {
                conditions::mark_reconciling(
                    &mut status.conditions,
                    reason::PROGRESSING_WITH_RETRY,
                    &failure.message,
                    generation,
                    now,
                );
            } else {
                status.observed_generation = generation;
                conditions::mark_stalled(
                    &mut status.conditions,
                    &failure.reason,
                    &failure.message,
                    generation,
                    now,
                );
            }
            run.event(object, Severity::Error, &failure.reason, failure.message.clone(), &[]);
            if failure.retryable {
                Done::Retry { error: failure.message, interval, after: failure.after }
            } else {
                Done::Stalled { error: failure.message, interval: Some(interval) }
            }
        }
    };
    run.write_status(&key, &git.metadata.uid, &status).await;
    if matches!(done, Done::Interval(_)) {
        wake_dependents(run, inner, &key, &git.status, &status);
    }
    done
}

/// Whether the artifact is another one than before.
enum News {
    Stored { subject: String },
    Same,
}

async fn fetch_and_store(
    run: &mut Run<'_>,
    object: &FluxObject,
    git: &GitRepository,
    key: &ObjectKey,
    status: &mut GitRepositoryStatus,
) -> Result<News, Failure> {
    let inner = run.inner;
    if let Some(unsupported) = unsupported(git) {
        return Err(Failure {
            condition: t::FETCH_FAILED,
            reason: reason::INVALID_PROVIDER_CONFIGURATION.to_owned(),
            message: unsupported,
            retryable: false,
            after: None,
        });
    }
    let request = request(inner, git, pushed(&run.job.payload))?;
    let watch = run.stopwatch();
    let fetched = inner.sources.fetch(&request).await;
    let took = watch.elapsed();
    let checkout = match fetched {
        Ok(checkout) => checkout,
        Err(error) => {
            run.step("fetch", watch.started, took, StepOutcome::Failed, error.to_string());
            return Err(Failure {
                condition: t::FETCH_FAILED,
                reason: error.reason().to_owned(),
                message: error.to_string(),
                retryable: error.is_retryable(),
                after: error.retry_after(),
            });
        }
    };
    let outcome = if checkout.changed { StepOutcome::Done } else { StepOutcome::Unchanged };
    let detail = format!("{} ({})", checkout.revision, checkout.subject);
    run.step("fetch", watch.started, took, outcome, detail).revision = at(checkout.revision.as_str());

    let includes = includes(inner, git)?;
    conditions::remove(&mut status.conditions, t::FETCH_FAILED);
    git_verify::verify(run, object, git, &checkout, status).await?;
    let same_content =
        status.artifact.as_ref().is_some_and(|artifact| artifact.revision == checkout.revision.as_str())
            && status.observed_ignore == git.spec.ignore
            && status.observed_recurse_submodules == git.spec.recurse_submodules
            && status.observed_sparse_checkout == git.spec.sparse_checkout
            && status.observed_include == git.spec.include
            && status
                .included_artifacts
                .iter()
                .map(|artifact| artifact.digest.as_str())
                .eq(includes.iter().map(|include| include.artifact.digest.as_str()));
    let whole = if includes.is_empty() {
        checkout.clone()
    } else {
        inner.sources.with_includes(&checkout, &includes).await.map_err(storage_failure)?
    };
    inner.keep_checkout(key, whole);
    if same_content && run.job.attempts == 0 && !is_first_run(run) {
        return Ok(News::Same);
    }
    let watch = run.stopwatch();
    let artifact = inner
        .sources
        .artifact(ArtifactRequest {
            key,
            checkout: &checkout,
            ignore: git.spec.ignore.as_deref(),
            includes: &includes,
        })
        .await
        .map_err(storage_failure)?;
    run.step(
        "archive",
        watch.started,
        watch.elapsed(),
        StepOutcome::Done,
        format!("{} bytes", artifact.size),
    );
    let before = status.artifact.as_ref().map(|artifact| artifact.digest.clone());
    let url = format!("{}/{}", inner.settings.artifact_host, artifact.path);
    let changed = before.as_deref() != Some(artifact.digest.as_str())
        || status.artifact.as_ref().map(|artifact| artifact.revision.as_str())
            != Some(artifact.revision.as_str());
    if changed {
        status.artifact = Some(to_status(&artifact, url));
    }
    status.included_artifacts =
        includes.iter().map(|include| to_status(&include.artifact, String::new())).collect();
    status.observed_ignore = git.spec.ignore.clone();
    status.observed_recurse_submodules = git.spec.recurse_submodules;
    status.observed_sparse_checkout = git.spec.sparse_checkout.clone();
    status.observed_include = git.spec.include.clone();
    Ok(if changed { News::Stored { subject: checkout.subject } } else { News::Same })
}

/// At the first look after a start the archive is checked to be there and whole.
fn is_first_run(run: &Run<'_>) -> bool {
    run.job.causes.iter().any(|cause| cause.kind == CauseKind::Start)
}

fn storage_failure(error: crate::source::ArtifactError) -> Failure {
    Failure {
        condition: t::STORAGE_OPERATION_FAILED,
        reason: error.reason().to_owned(),
        message: error.to_string(),
        retryable: true,
        after: None,
    }
}

fn to_status(artifact: &crate::source::Artifact, url: String) -> flux_api::Artifact {
    flux_api::Artifact {
        path: artifact.path.clone(),
        url,
        revision: artifact.revision.as_str().to_owned(),
        digest: artifact.digest.as_str().to_owned(),
        last_update_time: Some(flux_api::Time::new(artifact.last_update_time)),
        size: i64::try_from(artifact.size).ok(),
        metadata: artifact.metadata.clone(),
    }
}

/// What this version cannot do with a GitRepository; said plainly rather than ignored.
pub(super) fn unsupported(git: &GitRepository) -> Option<String> {
    (git.spec.provider() != flux_api::CloudProvider::Generic).then(|| {
        format!(
            "`spec.provider: {}` is not supported by this version\nhint: use a token in `spec.secretRef`",
            git.spec.provider()
        )
    })
}

/// What the webhook said was pushed, if this job came from one.
fn pushed(payload: &serde_json::Value) -> Option<PushHint> {
    let push = payload.get("push")?;
    Some(PushHint {
        reference: push["ref"].as_str()?.to_owned(),
        commit: push["commit"].as_str()?.to_owned(),
    })
}

fn request(inner: &Inner, git: &GitRepository, pushed: Option<PushHint>) -> Result<GitRequest, Failure> {
    let namespace = &git.metadata.namespace;
    let mut request = GitRequest::new(git.spec.url.clone());
    request.timeout = git.spec.timeout();
    request.recurse_submodules = git.spec.recurse_submodules;
    request.sparse_checkout = git.spec.sparse_checkout.clone();
    if let Some(reference) = &git.spec.reference {
        request.reference = GitReference {
            branch: reference.branch.clone(),
            tag: reference.tag.clone(),
            semver: reference.semver.clone(),
            name: reference.name.clone(),
            commit: reference.commit.clone(),
        };
    }
    request.pushed = pushed;
    request.last_observed =
        git.status.artifact.as_ref().map(|artifact| crate::model::Revision::new(artifact.revision.clone()));
    if let Some(reference) = &git.spec.secret_ref {
        let secret = inner.need_secret(namespace, &reference.name)?;
        let (credentials, tls) = secrets::git_credentials(&secret, &git.spec.url)?;
        request.credentials = credentials;
        request.tls = tls;
    }
    if let Some(reference) = &git.spec.proxy_secret_ref {
        let secret = inner.need_secret(namespace, &reference.name)?;
        request.proxy = Some(secrets::proxy(&secret)?);
    }
    if matches!(request.credentials, GitCredentials::None) && git.spec.url.starts_with("ssh://") {
        return Err(Failure {
            condition: t::FETCH_FAILED,
            reason: reason::AUTHENTICATION_FAILED.to_owned(),
            message: format!(
                "`{}` needs a key and known hosts\nhint: name a Secret with `identity` and `known_hosts` in `spec.secretRef`",
                git.spec.url
            ),
            retryable: false,
            after: None,
        });
    }
    Ok(request)
}

fn includes(inner: &Inner, git: &GitRepository) -> Result<Vec<Include>, Failure> {
    let unavailable = |reason: &str, message: String| Failure {
        condition: t::INCLUDE_UNAVAILABLE,
        reason: reason.to_owned(),
        message,
        retryable: true,
        after: Some(inner.settings.requeue_dependency),
    };
    git.spec
        .include
        .iter()
        .map(|include| {
            let name = &include.repository.name;
            let other =
                inner.objects.get_as::<GitRepository>(&git.metadata.namespace, name).ok_or_else(|| {
                    unavailable(
                        reason::NOT_FOUND,
                        format!("could not get resource for include '{name}': not found"),
                    )
                })?;
            let artifact = other.status.artifact.ok_or_else(|| {
                unavailable(reason::NO_ARTIFACT, format!("no artifact available for include '{name}'"))
            })?;
            Ok(Include {
                artifact: crate::source::Artifact {
                    path: artifact.path,
                    revision: crate::model::Revision::new(artifact.revision),
                    digest: crate::model::Digest::new(artifact.digest),
                    size: u64::try_from(artifact.size.unwrap_or(0)).unwrap_or(0),
                    last_update_time: artifact.last_update_time.map(flux_api::Time::get).unwrap_or_default(),
                    metadata: artifact.metadata,
                },
                from_path: include.from_path.clone().unwrap_or_default(),
                to_path: include.to_path().to_owned(),
            })
        })
        .collect()
}

/// Jobs for everything that reads this source, when it has something new for them.
fn wake_dependents(
    run: &mut Run<'_>,
    inner: &Inner,
    key: &ObjectKey,
    before: &GitRepositoryStatus,
    after: &GitRepositoryStatus,
) {
    let revision = |status: &GitRepositoryStatus| {
        status.artifact.as_ref().map(|artifact| (artifact.revision.clone(), artifact.digest.clone()))
    };
    let news = revision(before) != revision(after) || !conditions::is_ready(&before.conditions);
    // Asked for by hand or by a webhook: dependents look as well, even when nothing is new (as `flux reconcile
    // --with-source` expects); they find out by themselves that there is nothing to do.
    let asked = run.job.causes.iter().any(|cause| cause.kind == CauseKind::Request);
    // A run before this one may have written the status and ended before it could wake anybody.
    let again = run.job.attempts > 0 || run.job.lease.claim > 1;
    if !news && !asked && !again {
        return;
    }
    let cause = run.cause.then(CauseKind::Dependency);
    for dependent in dependents::of_source(&inner.objects, key) {
        run.wake(dependent, cause.clone());
    }
}

/// Flux cuts a commit's subject after 50 characters.
fn shortened(subject: &str) -> String {
    let mut text: String = subject.chars().take(SUBJECT_CHARS).collect();
    if subject.chars().count() > SUBJECT_CHARS {
        text.push_str("...");
    }
    text
}

impl Inner {
    /// How to reach a GitRepository's repository, to write to it: without what it reads only of it.
    pub(super) fn git_request(&self, git: &GitRepository) -> Result<GitRequest, String> {
        let mut request = request(self, git, None).map_err(|failure| failure.message)?;
        request.recurse_submodules = false;
        request.sparse_checkout = Vec::new();
        request.last_observed = None;
        Ok(request)
    }

    /// Another commit of a GitRepository, opened for reading; what the object stands at is not touched. `None` when the
    /// repository has no such reference.
    pub(super) async fn checkout_at(
        &self,
        git: &GitRepository,
        reference: GitReference,
    ) -> Result<Option<GitCheckout>, String> {
        let mut request = request(self, git, None).map_err(|failure| failure.message)?;
        request.reference = reference;
        match self.sources.fetch(&request).await {
            Ok(checkout) => Ok(Some(checkout)),
            Err(error) if matches!(error.kind, GitErrorKind::ReferenceNotFound(_)) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The commit a GitRepository stands at, open for reading: kept from its last run, or opened again.
    pub(super) async fn source_checkout(&self, git: &GitRepository) -> Result<GitCheckout, String> {
        let key = ObjectKey::new(Kind::GitRepository, &git.metadata.namespace, &git.metadata.name);
        let revision = git.status.artifact.as_ref().map(|artifact| artifact.revision.clone());
        if let Some(checkout) = self.checkout(&key)
            && revision.as_deref() == Some(checkout.revision.as_str())
        {
            return Ok(checkout);
        }
        let mut request = request(self, git, None).map_err(|failure| failure.message)?;
        // The commit of the artifact, not whatever the branch shows by now.
        if let Some(commit) = revision.as_deref().and_then(|revision| revision.rsplit_once("sha1:")) {
            request.reference.commit = Some(commit.1.to_owned());
        }
        let mut checkout = self.sources.fetch(&request).await.map_err(|error| error.to_string())?;
        let includes = includes(self, git).map_err(|failure| failure.message)?;
        if !includes.is_empty() {
            checkout =
                self.sources.with_includes(&checkout, &includes).await.map_err(|error| error.to_string())?;
        }
        if let Some(revision) = revision {
            checkout.revision = crate::model::Revision::new(revision);
        }
        self.keep_checkout(&key, checkout.clone());
        Ok(checkout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_subjects_are_cut_as_flux_cuts_them() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"x".repeat(50)), "x".repeat(50));
        assert_eq!(shortened(&"x".repeat(51)), format!("{}...", "x".repeat(50)));
    }

    #[test]
    fn a_push_hint_is_read_from_the_payload() {
        let payload = serde_json::json!({"push": {"ref": "refs/heads/master", "commit": "abc"}});
        assert_eq!(
            pushed(&payload),
            Some(PushHint { reference: "refs/heads/master".into(), commit: "abc".into() })
        );
        assert_eq!(pushed(&serde_json::Value::Null), None);
    }
}
