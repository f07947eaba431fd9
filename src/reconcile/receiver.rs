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

type Refusal = (&'static str, String, bool);

fn check(run: &Run<'_>, receiver: &Receiver) -> Result<String, Refusal> {
    let namespace = &receiver.metadata.namespace;
    if receiver.spec.resource_filter.as_deref().is_some_and(|filter| !filter.is_empty())
        || receiver.spec.resources.iter().any(|resource| resource.filter.is_some())
    {
        return Err((
            "ValidationFailed",
            "Reconciliation failed terminally due to configuration error: CEL filters are not supported by this version\nhint: remove `resourceFilter` and `filter`; pushes are matched by repository and branch anyway".to_owned(),
            true,
        ));
    }
    let Some(reference) = &receiver.spec.secret_ref else {
        return Err((
            "TokenNotFound",
            "the receiver has no `spec.secretRef`\nhint: create a Secret with the key `token` and name it there".to_owned(),
            true,
        ));
    };
    let secret = run
        .inner
        .need_secret(namespace, &reference.name)
        .map_err(|problem| ("TokenNotFound", problem.to_string(), false))?;
    let token = secret.get_str("token").unwrap_or_default();
    if token.is_empty() {
        return Err((
            "TokenNotFound",
            format!(
                "invalid 'token' secret data: required fields: the secret `{namespace}/{}` has no key `token` with data",
                reference.name
            ),
            false,
        ));
    }
    Ok(path(token, &receiver.metadata.name, namespace))
}

/// `/hook/` and the SHA-256 of token, name and namespace: Flux's formula, so that registered hooks keep working.
fn path(token: &str, name: &str, namespace: &str) -> String {
    use sha2::{Digest as _, Sha256};
    format!("/hook/{}", hex::encode(Sha256::digest(format!("{token}{name}{namespace}").as_bytes())))
}
