//! `spec.verify` of a GitRepository: whether the commit, or its tag, carries the signature of a trusted key.
//!
//! Checks no signature itself. Says what to check, when once is enough, and which condition it leads to.

use flux_api::{
    Condition, ConditionStatus, FluxObject, GitRepository, GitRepositoryStatus, GitVerification,
    GitVerificationMode, condition_type as t, conditions, reason,
};

use super::context::Run;
use crate::model::Severity;
use crate::queue::StepOutcome;
use crate::source::{GitCheckout, TrustedKeys, VerifyError, VerifyMode};

/// Why a checkout is not served.
pub(super) struct Unverified {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) retryable: bool,
}

/// Verifies the checkout as the object asks and records it in `status`; nothing asked is nothing recorded.
pub(super) async fn verify(
    run: &mut Run<'_>,
    object: &FluxObject,
    git: &GitRepository,
    checkout: &GitCheckout,
    status: &mut GitRepositoryStatus,
) -> Result<(), Unverified> {
    let Some(verification) = &git.spec.verify else {
        status.source_verification_mode = None;
        conditions::remove(&mut status.conditions, t::SOURCE_VERIFIED);
        return Ok(());
    };
    if is_verified(git, verification, checkout.revision.as_str()) {
        return Ok(());
    }
    let watch = run.stopwatch();
    let outcome = check(run, git, verification, checkout).await;
    let (step, detail) = match &outcome {
        Ok(message) => (StepOutcome::Done, message.clone()),
        Err(unverified) => (StepOutcome::Failed, unverified.message.clone()),
    };
    run.step("verify", watch.started, watch.elapsed(), step, detail);
    let message = outcome?;
    status.source_verification_mode = Some(verification.mode());
    let condition =
        Condition::new(t::SOURCE_VERIFIED, ConditionStatus::True, reason::SUCCEEDED, message.clone());
    conditions::set(&mut status.conditions, condition, git.metadata.generation, run.time());
    run.event(object, Severity::Trace, reason::SUCCEEDED, message, &[]);
    Ok(())
}

/// As in Flux, a revision that was verified and stored is not verified again until the object changes or asks for
/// more: a key that ends later does not take back what was good when it came.
fn is_verified(git: &GitRepository, verification: &GitVerification, revision: &str) -> bool {
    let status = &git.status;
    let stored = status.artifact.as_ref().is_some_and(|artifact| artifact.revision == revision);
    let enough = match (status.source_verification_mode, verification.mode()) {
        (None, _) => false,
        (Some(GitVerificationMode::TagAndHead), _) => true,
        (Some(observed), asked) => observed == asked,
    };
    let verified = conditions::is_true(&status.conditions, t::SOURCE_VERIFIED);
    stored && enough && verified && status.observed_generation == git.metadata.generation
}

async fn check(
    run: &Run<'_>,
    git: &GitRepository,
    verification: &GitVerification,
    checkout: &GitCheckout,
) -> Result<String, Unverified> {
    let secret =
        run.inner.need_secret(&git.metadata.namespace, &verification.secret_ref.name).map_err(|problem| {
            Unverified {
                reason: reason::VERIFICATION_ERROR.to_owned(),
                message: format!("public keys secret error: {problem}"),
                retryable: true,
            }
        })?;
    let entries = secret.keys().map(|key| (key.to_owned(), secret.get(key).unwrap_or_default().to_vec()));
    let keys = TrustedKeys::new(entries);
    let mode = match verification.mode() {
        GitVerificationMode::Legacy | GitVerificationMode::Head => VerifyMode::Head,
        GitVerificationMode::Tag => VerifyMode::Tag,
        GitVerificationMode::TagAndHead => VerifyMode::TagAndHead,
    };
    let verified = checkout.verify(mode, keys, run.inner.clock.now()).await;
    verified.map_err(|error: VerifyError| Unverified {
        reason: error.reason().to_owned(),
        message: error.to_string(),
        retryable: error.is_retryable(),
    })
}
