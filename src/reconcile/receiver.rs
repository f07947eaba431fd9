//! A Receiver: is its token there and its path its own? What arrives at the path is the receiver room's business.

use flux_api::{Condition, ConditionStatus, FluxObject, Receiver, condition_type as t, conditions, reason};

use super::context::{Done, Run};
use crate::model::Severity;

/// Checks the Receiver and writes where its hook is.
pub(super) async fn reconcile(run: &mut Run<'_>, object: &FluxObject, receiver: &Receiver) -> Done {
    let key = run.job.object.clone();
    let interval = receiver.spec.interval();
    let generation = receiver.metadata.generation;
    let now = run.time();
    let mut status = receiver.status.clone();
    status.last_handled_reconcile_at =
        object.requested_at().map(str::to_owned).or(status.last_handled_reconcile_at);
    status.observed_generation = generation;
    let done = match check(run, receiver) {
        Ok(path) => {
            let message = format!("Receiver initialized for path: {path}");
            status.webhook_path = Some(path);
            conditions::remove(&mut status.conditions, t::STALLED);
            conditions::remove(&mut status.conditions, t::RECONCILING);
            let ready = Condition::new(t::READY, ConditionStatus::True, reason::SUCCEEDED, message);
            conditions::set(&mut status.conditions, ready, generation, now);
            Done::Interval(interval)
        }
        Err((reason, message, stalled)) => {
            status.webhook_path = None;
            let ready = Condition::new(t::READY, ConditionStatus::False, reason, message.clone());
            let told = conditions::get(&receiver.status.conditions, t::READY)
                .is_some_and(|before| before.message == message);
            conditions::set(&mut status.conditions, ready, generation, now);
            if stalled {
                conditions::mark_stalled(&mut status.conditions, reason, &message, generation, now);
            }
            if !told {
                run.event(object, Severity::Error, reason, message.clone(), &[]);
            }
            if stalled {
                Done::Stalled { error: message, interval: Some(interval) }
            } else {
                Done::Retry { error: message, interval, after: None }
            }
        }
    };
    if status != receiver.status {
        run.write_status(&key, &receiver.metadata.uid, &status).await;
    }
    done
}

/// What Flux says before a mistake in the spec.
const TERMINALLY: &str = "Reconciliation failed terminally due to configuration error";

type Refusal = (&'static str, String, bool);

fn check(run: &Run<'_>, receiver: &Receiver) -> Result<String, Refusal> {
    (run.inner.hook_paths)(&run.job.object).map_err(|(word, message)| {
        // A path that cannot be served stays so until somebody changes something; a token may still arrive.
        let stalled = word != "TokenNotFound";
        let is_fluxs = word == reason::INVALID_CEL_EXPRESSION || !receiver.spec.oidc_providers.is_empty();
        let message = if is_fluxs { format!("{TERMINALLY}: {message}") } else { message };
        (word, message, stalled)
    })
}
