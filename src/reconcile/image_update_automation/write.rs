//! From policies to a pushed commit: check out, edit, commit, push, and again if the branch has moved.
//!
//! The first try after a policy changed builds on the commit the GitRepository stands at, without asking the server: the
//! push itself finds out whether the branch is still there. So a new image costs two requests to git.

use std::sync::Arc;
use std::time::Duration;

use flux_api::{GitRepository, ImageUpdateAutomation, reason};

use super::super::context::{Run, at};
use super::Failure;
use super::plan::{Onto, Plan, Problem};
use super::signing::SigningKey;
use crate::image::{self, Changes, MessageData, Pinned};
use crate::model::Timestamp;
use crate::queue::StepOutcome;
use crate::source::{
    CommitSigner, Expected, FileLimits, GitCheckout, GitError, GitErrorKind, GitIdentity, GitPush,
    GitReference, GitRequest, NewCommit, PushError, PushHint, RefUpdate, RegularFile, elements,
};

/// How often a push is made again on what somebody else has pushed meanwhile, at once each time.
const TRIES: usize = 5;
/// Manifests are written by people; what is larger is something else that has a marker in it.
const FILE_BYTES: u64 = 8 << 20;

/// Everything a run works with.
pub(super) struct Work<'a> {
    pub(super) automation: &'a ImageUpdateAutomation,
    pub(super) git: &'a GitRepository,
    pub(super) plan: &'a Plan,
    pub(super) request: &'a GitRequest,
    pub(super) signing: Option<SigningKey>,
    pub(super) policies: Vec<Pinned>,
    /// Whether they are others than at the last run.
    pub(super) policies_changed: bool,
    /// Whether a pull request is wanted for what the push branch holds.
    pub(super) always_pull_request: bool,
}

/// What came of it.
pub(super) enum Outcome {
    /// Neither policies nor repository changed since the last run: nothing was looked at.
    NothingNew {
        /// Where the push branch stands, if that is known.
        head: Option<String>,
    },
    /// Everything stands as it should.
    UpToDate {
        /// What was checked out.
        revision: String,
        /// Where the push branch stands, if it is there.
        head: Option<String>,
    },
    /// A commit was pushed.
    Pushed(Pushed),
}

/// A pushed commit.
pub(super) struct Pushed {
    pub(super) commit: String,
    pub(super) branch: String,
    pub(super) refspec: Option<String>,
    pub(super) message: String,
    /// What the status keeps as the source's revision: the new one, or with another push branch what was checked out.
    pub(super) observed_revision: String,
    /// The references that stand at it now.
    pub(super) references: Vec<String>,
}

/// What stands on a push branch and wants a pull request.
pub(super) struct Proposal {
    pub(super) commit: String,
    pub(super) message: String,
    pub(super) changes: Arc<Changes>,
}

/// Does it; what is on the push branch and wants a pull request comes back beside.
pub(super) async fn bring_up_to_date(
    run: &mut Run<'_>,
    work: &Work<'_>,
) -> Result<(Outcome, Option<Proposal>), Failure> {
    let plan = work.plan;
    let status = &work.automation.status;
    let must_look = work.policies_changed
        || plan.onto != Onto::Checkout
        || plan.refspec.is_some()
        || status.observed_generation != work.automation.metadata.generation;
    let mut known = known_commit(run, work);
    let mut moved: Option<PushHint> = None;
    let mut tries = 0;
    let mut signer: Option<CommitSigner> = None;
    loop {
        let fresh = known.is_none();
        let source = check_out(run, work, known.take(), moved.take()).await?;
        let revision = source.revision.as_str().to_owned();
        if fresh && !must_look && tries == 0 && status.observed_source_revision.as_ref() == Some(&revision) {
            let head = (!plan.switches_branch()).then_some(source.commit);
            return Ok((Outcome::NothingNew { head }, None));
        }
        let before = match plan.switches_branch() {
            true => push_branch(run, work).await?,
            false => Some(source.clone()),
        };
        let base = match (plan.onto, &before) {
            (Onto::PushBranch, Some(before)) => before.clone(),
            (Onto::PushBranch | Onto::Checkout | Onto::Anew, _) => source,
        };
        let head = before.as_ref().map(|before| before.commit.clone());
        let edited = edit(run, work, &base).await?;
        if edited.files.is_empty() {
            if !fresh {
                // What is known may be old: the newest decides whether there is nothing to do.
                continue;
            }
            return Ok((Outcome::UpToDate { revision, head }, None));
        }
        let changes = Arc::new(edited.changes);
        if let (true, Some(before)) = (plan.switches_branch(), &before)
            && same_files(run, &base, &edited.files, before).await?
        {
            let proposal = match work.always_pull_request {
                true => {
                    let message = message(run, work, &changes).await?;
                    Some(Proposal { commit: before.commit.clone(), message, changes })
                }
                false => None,
            };
            return Ok((Outcome::UpToDate { revision, head }, proposal));
        }
        let message = message(run, work, &changes).await?;
        if let (Some(key), None) = (&work.signing, &signer) {
            signer = Some(key.open(run.inner).await?);
        }
        let commit = commit(run, work, &base, edited.files, &message, signer.clone()).await?;
        let updates = updates(plan, before.as_ref());
        let references: Vec<String> = updates.iter().map(|update| update.reference.clone()).collect();
        match push(run, work, &commit, updates).await {
            Ok(()) => {
                let pushed = Pushed {
                    commit: commit.commit.clone(),
                    branch: plan.push_branch.clone(),
                    refspec: plan.refspec.as_ref().map(|refspec| refspec.text.clone()),
                    message: message.clone(),
                    observed_revision: match plan.switches_branch() {
                        true => revision,
                        false => format!("{}@sha1:{}", plan.push_branch, commit.commit),
                    },
                    references,
                };
                let proposal =
                    work.always_pull_request.then_some(Proposal { commit: commit.commit, message, changes });
                return Ok((Outcome::Pushed(pushed), proposal));
            }
            Err(PushError::Moved { reference, now }) if tries < TRIES => {
                tries += 1;
                let ours = format!("refs/heads/{}", plan.push_branch);
                moved = now
                    .filter(|_| reference == ours && !plan.switches_branch())
                    .map(|commit| PushHint { reference, commit });
            }
            Err(error) => return Err(push_failure(error)),
        }
    }
}

/// The commit to build on without asking: where the GitRepository stands, if it follows the branch that is pushed to, and if
/// a policy changed. Should it be old, the push finds out; should nothing differ there, the newest is fetched after all.
fn known_commit(run: &Run<'_>, work: &Work<'_>) -> Option<String> {
    let plan = work.plan;
    if !work.policies_changed || run.job.attempts > 0 || plan.switches_branch() {
        return None;
    }
    let followed = super::followed(work.git)?;
    if followed != format!("refs/heads/{}", plan.push_branch) {
        return None;
    }
    let revision = &work.git.status.artifact.as_ref()?.revision;
    let (_, commit) = revision.rsplit_once("sha1:")?;
    Some(commit.to_owned())
}

async fn check_out(
    run: &mut Run<'_>,
    work: &Work<'_>,
    known: Option<String>,
    moved: Option<PushHint>,
) -> Result<GitCheckout, Failure> {
    let mut request = work.request.clone();
    request.reference = match known {
        Some(commit) => GitReference {
            branch: Some(work.plan.push_branch.clone()),
            commit: Some(commit),
            ..GitReference::default()
        },
        None => work.plan.checkout.clone(),
    };
    request.pushed = moved;
    fetch(run, &request, "fetch").await.map_err(|error| git_failure("failed to checkout source", &error))
}

/// Where the branch to push to stands; none if there is none yet.
async fn push_branch(run: &mut Run<'_>, work: &Work<'_>) -> Result<Option<GitCheckout>, Failure> {
    let mut request = work.request.clone();
    request.reference =
        GitReference { branch: Some(work.plan.push_branch.clone()), ..GitReference::default() };
    match fetch(run, &request, "fetch").await {
        Ok(checkout) => Ok(Some(checkout)),
        Err(error) if matches!(error.kind, GitErrorKind::ReferenceNotFound(_)) => {
            if let Some(step) = run.steps.last_mut() {
                step.outcome = StepOutcome::Unchanged;
            }
            Ok(None)
        }
        Err(error) => Err(git_failure("failed to checkout source", &error)),
    }
}

async fn fetch(run: &mut Run<'_>, request: &GitRequest, step: &str) -> Result<GitCheckout, GitError> {
    let watch = run.stopwatch();
    let fetched = run.inner.sources.fetch(request).await;
    match &fetched {
        Ok(checkout) => {
            let detail = format!("{} ({})", checkout.revision, checkout.subject);
            run.step(step, watch.started, watch.elapsed(), StepOutcome::Done, detail).revision =
                at(checkout.revision.as_str());
        }
        Err(error) => {
            run.step(step, watch.started, watch.elapsed(), StepOutcome::Failed, error.to_string());
        }
    }
    fetched
}

/// What the setters made of the files; paths are from the repository's root.
struct Edited {
    files: std::collections::BTreeMap<String, Vec<u8>>,
    changes: Changes,
}

async fn edit(run: &mut Run<'_>, work: &Work<'_>, base: &GitCheckout) -> Result<Edited, Failure> {
    let failed = |error: String| {
        Failure::from(Problem::failed(reason::UPDATE_FAILED, format!("failed to apply policies: {error}")))
    };
    let watch = run.stopwatch();
    let path = work.plan.path.trim_matches('/');
    let files = files_below(base, path).await.map_err(failed)?;
    let policies = work.policies.clone();
    let count = files.len();
    let prefix = match elements(path).map_err(|error| failed(format!("walking path for files: {error}")))? {
        names if names.is_empty() => String::new(),
        names => names.join("/") + "/",
    };
    let updated = run
        .inner
        .pool
        .run(move || {
            let shown =
                |file: &'_ RegularFile| file.path.strip_prefix(&prefix).unwrap_or(&file.path).to_owned();
            let paths: Vec<String> = files.iter().map(shown).collect();
            let given =
                paths.iter().zip(&files).map(|(path, file)| image::File { path, content: &file.content });
            let updated = image::update(given, &policies)?;
            let roots = paths
                .iter()
                .zip(&files)
                .filter_map(|(path, file)| Some((file.path.clone(), updated.files.get(path)?.clone())));
            Ok::<_, String>((roots.collect(), updated.changes, updated.skipped))
        })
        .await
        .map_err(|error| failed(error.to_string()))?;
    let (files, changes, skipped): (std::collections::BTreeMap<_, _>, Changes, Vec<_>) =
        updated.map_err(failed)?;
    let set = changes.files.values().flat_map(|objects| objects.values()).map(Vec::len).sum::<usize>();
    let mut detail = format!("{set} values in {} of {count} YAML files", files.len());
    for (path, why) in skipped.iter().take(10) {
        detail.push_str(&format!("; `{path}` was left alone: {why}"));
    }
    let outcome = if files.is_empty() { StepOutcome::Unchanged } else { StepOutcome::Done };
    run.step("update", watch.started, watch.elapsed(), outcome, detail);
    Ok(Edited { files, changes })
}

async fn files_below(base: &GitCheckout, path: &str) -> Result<Vec<RegularFile>, String> {
    let repository = &base.repository;
    let limits = FileLimits { file_bytes: FILE_BYTES, ..repository.file_limits() };
    let text = |error: GitError| format!("walking path for files: {error}");
    let files = repository.regular_files(path, image::is_wanted, limits).await.map_err(text)?;
    if files.is_empty() && repository.tree_id(path).await.map_err(text)?.is_none() {
        return Err(format!("walking path for files: lstat {path}: no such file or directory"));
    }
    Ok(files)
}

async fn message(run: &Run<'_>, work: &Work<'_>, changes: &Arc<Changes>) -> Result<String, Failure> {
    let settings = work.automation.spec.git.as_ref().map(|git| git.commit.clone()).unwrap_or_default();
    let data = MessageData {
        namespace: work.automation.metadata.namespace.clone(),
        name: work.automation.metadata.name.clone(),
        changes: Arc::clone(changes),
        values: settings.message_template_values.clone(),
    };
    let now = run.inner.now();
    let template = settings.message_template().to_owned();
    let failed = |error: String| {
        Failure::from(Problem::failed(
            reason::GIT_OPERATION_FAILED,
            format!("failed to update source: {error}"),
        ))
    };
    run.inner
        .pool
        .run(move || image::message(&template, &data, now))
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(failed)
}

async fn commit(
    run: &mut Run<'_>,
    work: &Work<'_>,
    base: &GitCheckout,
    changes: std::collections::BTreeMap<String, Vec<u8>>,
    message: &str,
    signing: Option<CommitSigner>,
) -> Result<GitCheckout, Failure> {
    let author = work.automation.spec.git.as_ref().map(|git| git.commit.author.clone()).unwrap_or_default();
    let watch = run.stopwatch();
    let new = NewCommit {
        changes,
        author: GitIdentity { name: author.name.unwrap_or_default(), email: author.email },
        time: Timestamp::from_second(run.inner.now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH),
        message: message.to_owned(),
        signing,
    };
    match run.inner.sources.commit(base, new).await {
        Ok(commit) => {
            let detail = format!("{} on {}", commit.subject, base.revision);
            run.step("commit", watch.started, watch.elapsed(), StepOutcome::Done, detail).revision =
                at(commit.revision.as_str());
            Ok(commit)
        }
        Err(error) => {
            run.step("commit", watch.started, watch.elapsed(), StepOutcome::Failed, error.to_string());
            Err(git_failure("failed to update source", &error))
        }
    }
}

/// Whether a commit of these files on top of `base` would be nothing new on a branch that stands at `there`.
async fn same_files(
    run: &Run<'_>,
    base: &GitCheckout,
    files: &std::collections::BTreeMap<String, Vec<u8>>,
    there: &GitCheckout,
) -> Result<bool, Failure> {
    let same = run.inner.sources.would_equal(base, files.clone(), there).await;
    same.map_err(|error| git_failure("failed to update source", &error))
}

/// The references to move.
fn updates(plan: &Plan, before: Option<&GitCheckout>) -> Vec<RefUpdate> {
    let branch = RefUpdate {
        reference: format!("refs/heads/{}", plan.push_branch),
        expected: before.map_or(Expected::Absent, |before| Expected::At(before.commit.clone())),
        force: plan.onto == Onto::Anew && before.is_some(),
    };
    let besides =
        plan.refspec.as_ref().filter(|refspec| refspec.destination != branch.reference).map(|refspec| {
            RefUpdate {
                reference: refspec.destination.clone(),
                expected: Expected::Anywhere,
                force: refspec.force,
            }
        });
    std::iter::once(branch).chain(besides).collect()
}

async fn push(
    run: &mut Run<'_>,
    work: &Work<'_>,
    commit: &GitCheckout,
    updates: Vec<RefUpdate>,
) -> Result<(), PushError> {
    let to: Vec<&str> = updates.iter().map(|update| update.reference.as_str()).collect();
    let detail = format!("to {}", to.join(", "));
    let push = GitPush { commit: commit.commit.clone(), updates, options: work.plan.options.clone() };
    let watch = run.stopwatch();
    let pushed = run.inner.sources.push(work.request, &push).await;
    let (outcome, detail) = match &pushed {
        Ok(()) => (StepOutcome::Done, detail),
        Err(error) => (StepOutcome::Failed, format!("{detail}: {error}")),
    };
    let revision = format!("{}@sha1:{}", work.plan.push_branch, commit.commit);
    run.step("push", watch.started, watch.elapsed(), outcome, detail).revision = at(&revision);
    pushed
}

fn push_failure(error: PushError) -> Failure {
    let after = error.retry_after();
    let message = match &error {
        PushError::Moved { .. } => format!(
            "failed to update source: {error}, {TRIES} times in a row\nhint: several writers push to this branch; give automation one of its own with `spec.git.push.branch`"
        ),
        PushError::Refused { .. } | PushError::Git(_) => format!("failed to update source: {error}"),
    };
    Failure { problem: Problem::failed(reason::GIT_OPERATION_FAILED, message), after }
}

fn git_failure(what: &str, error: &GitError) -> Failure {
    let after: Option<Duration> = error.retry_after();
    Failure { problem: Problem::failed(reason::GIT_OPERATION_FAILED, format!("{what}: {error}")), after }
}
