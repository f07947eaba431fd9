//! Sends what waits in the outbox. Nothing else waits for it: a dead chat delays no deploy.

use std::time::Duration;

use flux_api::{Alert, Provider};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::alert;
use super::context::{Inner, Reconciler};
use super::secrets::{SecretProblem, need_secret, proxy, tls_material};
use crate::notify::{Notification, ProviderKind, Target, send};
use crate::objects::Objects;
use crate::queue::{LeasedMessage, MessageOutcome, StoreError};
use crate::render::hidden::HiddenTexts;

/// Messages on their way at once.
const AT_ONCE: usize = 16;

/// How long a sender may hold a message before somebody else may try.
const LEASE: Duration = Duration::from_secs(120);

/// How long to leave a store alone that could not be used.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The longest address Flux takes from a Secret.
const ADDRESS_LIMIT: usize = 2048;

/// Sends messages until `shutdown`.
pub async fn send_messages(reconciler: Reconciler, shutdown: CancellationToken) -> anyhow::Result<()> {
    let inner = reconciler.inner;
    let mut sending: JoinSet<()> = JoinSet::new();
    loop {
        while sending.try_join_next().is_some() {}
        let room = u32::try_from(AT_ONCE.saturating_sub(sending.len())).unwrap_or(0);
        let claimed = if room == 0 {
            Vec::new()
        } else {
            match inner.queue.claim_messages(room, LEASE).await {
                Ok(claimed) => claimed,
                Err(error @ (StoreError::Closed | StoreError::Broken { .. })) => {
                    return Err(anyhow::Error::from(error).context("the message sender has no store"));
                }
                Err(error) => {
                    tracing::warn!("failed to claim messages: {error}");
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(STORE_PAUSE) => continue,
                    }
                }
            }
        };
        let idle = claimed.is_empty();
        for message in claimed {
            let inner = std::sync::Arc::clone(&inner);
            sending.spawn(async move { deliver(&inner, message).await });
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = inner.queue.wait_for_messages(), if idle && room > 0 => {}
            Some(_) = sending.join_next(), if !sending.is_empty() => {}
            () = std::future::ready(()), if !idle => {}
        }
    }
    // A message is sent within its provider's timeout; what is cut off is sent again after the lease.
    sending.shutdown().await;
    Ok(())
}

/// Why a Provider can send nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotSendable {
    /// A Secret that is missing or wrong may be put right.
    ForNow(String),
    /// This build has no sender for it.
    Ever(String),
}

impl NotSendable {
    pub(super) fn into_message(self) -> String {
        match self {
            Self::ForNow(message) | Self::Ever(message) => message,
        }
    }
}

impl From<SecretProblem> for NotSendable {
    fn from(problem: SecretProblem) -> Self {
        Self::ForNow(problem.to_string())
    }
}

async fn deliver(inner: &Inner, leased: LeasedMessage) {
    let message = &leased.message;
    let outcome = match prepare(inner, &leased) {
        Err(NotSendable::ForNow(error)) => MessageOutcome::Retry { after: None, error },
        Err(NotSendable::Ever(error)) => MessageOutcome::Refused { error },
        Ok(None) => MessageOutcome::Refused { error: format!("`{}` is gone", message.alert) },
        Ok(Some((target, notification))) => match send(&inner.notify, &target, &notification).await {
            Ok(()) => MessageOutcome::Sent,
            // Whoever answers may repeat what was sent.
            Err(error) if error.retryable => MessageOutcome::Retry {
                after: error.retry_after,
                error: secrets_of(&target).mask(&error.message),
            },
            Err(error) => MessageOutcome::Refused { error: secrets_of(&target).mask(&error.message) },
        },
    };
    let word = match &outcome {
        MessageOutcome::Sent => "sent",
        MessageOutcome::Retry { .. } => "retry",
        MessageOutcome::Refused { .. } => "refused",
    };
    inner.metrics.notification(&message.provider.name, word);
    match &outcome {
        MessageOutcome::Sent => {}
        MessageOutcome::Retry { error, .. } | MessageOutcome::Refused { error } => {
            tracing::warn!(alert = %message.alert, provider = %message.provider, "`{}` could not send its message: {error}", message.provider);
        }
    }
    if let Err(error) = inner.queue.finish_message(&leased.lease, outcome).await {
        tracing::warn!("failed to record that a message was sent: {error}");
    }
}

/// What a target has from Secrets, and its address, which is one by itself.
fn secrets_of(target: &Target) -> HiddenTexts {
    let mut hidden = HiddenTexts::default();
    let address = target.address.expose_secret();
    hidden.add(address);
    if let Ok(url) = url::Url::parse(address) {
        hidden.add(&url[url::Position::BeforePath..]);
        hidden.add(url.password().unwrap_or_default());
    }
    for secret in [&target.token, &target.proxy].into_iter().flatten() {
        hidden.add(secret.expose_secret());
    }
    if let Some((_, password)) = &target.basic {
        hidden.add(password.expose_secret());
    }
    for (_, value) in &target.headers {
        let value = value.expose_secret();
        hidden.add(value);
        // `Bearer …`: the word before it is none.
        hidden.add(value.rsplit(' ').next().unwrap_or_default());
    }
    hidden
}

/// Resolves the provider and its secrets. `None` when Alert or Provider is gone.
fn prepare(inner: &Inner, leased: &LeasedMessage) -> Result<Option<(Target, Notification)>, NotSendable> {
    let message = &leased.message;
    let alert_key = &message.alert;
    let Some(alert) = inner.objects.get_as::<Alert>(&alert_key.namespace, &alert_key.name) else {
        return Ok(None);
    };
    let provider_key = &message.provider;
    let Some(provider) = inner.objects.get_as::<Provider>(&provider_key.namespace, &provider_key.name) else {
        return Err(NotSendable::ForNow(format!("`{provider_key}` does not exist")));
    };
    let target = target(&inner.objects, &provider)?;
    let metadata = alert::metadata(&alert, &message.event);
    Ok(Some((target, Notification { event: message.event.clone(), metadata })))
}

/// Where and how a Provider sends, with its secrets.
pub(super) fn target(objects: &Objects, provider: &Provider) -> Result<Target, NotSendable> {
    let spec = &provider.spec;
    let namespace = &provider.metadata.namespace;
    let kind = spec.r#type.map_or("", flux_api::ProviderType::as_str);
    let Some(kind) = ProviderKind::parse(kind) else {
        return Err(NotSendable::Ever(format!(
            "providers of type `{kind}` are not supported by this version"
        )));
    };
    let mut address = spec.address.clone().unwrap_or_default();
    let mut target = Target {
        kind,
        address: SecretString::from(String::new()),
        channel: spec.channel.clone().unwrap_or_default(),
        username: spec.username.clone().unwrap_or_default(),
        token: None,
        basic: None,
        headers: Vec::new(),
        proxy: spec.proxy.clone().filter(|proxy| !proxy.is_empty()).map(SecretString::from),
        authority: None,
        identity: None,
        // Within the lease, or a second sender would tell the same twice.
        timeout: spec.timeout().min(LEASE - Duration::from_secs(15)),
    };
    if let Some(reference) = &spec.secret_ref {
        let secret = need_secret(objects, namespace, &reference.name)?;
        let text = |key: &str| secret.get_str(key).map(str::to_owned);
        if let Some(found) = text("address") {
            if found.len() > ADDRESS_LIMIT {
                return Err(NotSendable::ForNow(format!(
                    "the address in secret `{namespace}/{}` is longer than {ADDRESS_LIMIT} bytes",
                    reference.name
                )));
            }
            address = found.trim_end_matches('\n').to_owned();
        }
        target.token = text("token").map(|token| SecretString::from(token.trim_end_matches('\n').to_owned()));
        if let (Some(user), Some(password)) = (text("username"), text("password")) {
            target.basic = Some((user, SecretString::from(password)));
        }
        if let Some(proxy) = text("proxy") {
            target.proxy = Some(SecretString::from(proxy));
        }
        if let Some(headers) = text("headers") {
            let parsed = goyaml::yaml_to_json(&headers).map_err(|_| {
                NotSendable::ForNow(format!(
                    "failed to read headers from secret `{namespace}/{}`",
                    reference.name
                ))
            })?;
            for (name, value) in parsed.as_object().into_iter().flatten() {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                target.headers.push((name.clone(), SecretString::from(value)));
            }
        }
    }
    if let Some(reference) = &spec.cert_secret_ref {
        let secret = need_secret(objects, namespace, &reference.name)?;
        let tls = tls_material(&secret)?;
        target.authority = tls.ca;
        target.identity = tls.client.map(|client| (client.certificate, client.key));
    }
    if let Some(reference) = &spec.proxy_secret_ref {
        let secret = need_secret(objects, namespace, &reference.name)?;
        let proxy = proxy(&secret)?;
        target.proxy = Some(SecretString::from(proxy.address));
    }
    if address.is_empty() {
        return Err(NotSendable::ForNow(format!(
            "`{}` has no address\nhint: set `spec.address`, or the key `address` of its secret",
            provider.metadata.name
        )));
    }
    target.address = SecretString::from(address);
    Ok(target)
}
