//! One member cluster as we call it: every call has a deadline, a slot and the breaker's leave.
//!
//! Knows HTTP, not objects. A call is sent again in two cases only: the server asked to slow down (all callers wait
//! together), or the connection broke and the call may run twice without harm (once).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, IF_NONE_MATCH, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use tokio::time::{Instant, timeout_at};

use super::ClusterSettings;
use super::answer::{self, Answer};
use super::breaker::{Breaker, random_fraction};
use super::connection::{AnswerBody, Connection};
use super::discovery::KindCache;
use super::error::{ApiError, Reason};
use super::gate::Gate;
use super::mask::SecretValues;
use super::seen::Seen;
use crate::model::{Clock, Timestamp};

/// Ordinary answers: etcd holds no object above 2 MiB, and a page of a list stays far below this.
pub(super) const LARGEST_ANSWER: usize = 64 << 20;
/// How long to leave a server alone that answered 429 without saying how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);

/// What all handles to one cluster share: its client, its health, what is known about its kinds.
pub(super) struct Member {
    pub(super) server: Arc<str>,
    pub(super) connection: Connection,
    pub(super) health: Arc<Health>,
    pub(super) settings: Arc<ClusterSettings>,
    pub(super) clock: Clock,
    pub(super) kinds: KindCache,
    pub(super) seen: Seen,
    pub(super) user_agent: HeaderValue,
    pub(super) certificate_expires: Option<Timestamp>,
}

/// What all kubeconfigs for the same server share.
pub(super) struct Health {
    pub(super) breaker: Breaker,
    pub(super) gate: Gate,
    /// Open watches: they do not count as calls in flight, but they are sockets all the same.
    pub(super) watches: tokio::sync::Semaphore,
}

/// One call to be made.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    pub(super) body: Option<(Bytes, &'static str)>,
    pub(super) accept: &'static str,
    /// What is attempted, for the error: ``apply Deployment `shop/web` ``.
    pub(super) attempt: &'a str,
    /// Values that must not appear in an error's text.
    pub(super) secrets: Option<&'a SecretValues>,
    /// Who is impersonated.
    pub(super) headers: &'a [(HeaderName, HeaderValue)],
    pub(super) if_none_match: Option<&'a str>,
    /// Whether running it twice does no harm.
    pub(super) repeatable: bool,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: String, attempt: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            accept: "application/json",
            attempt,
            secrets: None,
            headers: &[],
            if_none_match: None,
            repeatable: true,
        }
    }

    pub(super) fn with_body(
        method: Method,
        path: String,
        body: Bytes,
        content_type: &'static str,
        attempt: &'a str,
    ) -> Self {
        Self { method, body: Some((body, content_type)), repeatable: false, ..Self::get(path, attempt) }
    }

    fn request(&self, user_agent: &HeaderValue) -> Result<Request<Body>, Reason> {
        let malformed = |detail: String| Reason::Refused { code: 400, message: detail };
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(ACCEPT, self.accept)
            .header(USER_AGENT, user_agent.clone());
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(tag) = self.if_none_match {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let body = match &self.body {
            Some((bytes, content_type)) => {
                request = request.header(CONTENT_TYPE, *content_type);
                Body::from(bytes.clone())
            }
            None => Body::empty(),
        };
        request.body(body).map_err(|error| malformed(error.to_string()))
    }

    fn hide(&self, text: &str) -> String {
        self.secrets.map_or_else(|| text.to_owned(), |secrets| secrets.hide(text))
    }
}

/// What one try came to.
enum Tried {
    Done(Answer),
    Failed(Reason),
    SlowDown(Option<Duration>, Reason),
}

impl Member {
    pub(super) fn error(&self, attempt: &str, reason: Reason) -> ApiError {
        ApiError { server: self.server.clone(), attempt: attempt.to_string(), reason }
    }

    /// Makes the call and reads the whole answer; anything but 2xx and 304 is an error.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        self.attempts(call).await.map_err(|reason| self.error(call.attempt, reason))
    }

    async fn attempts(&self, call: &Call<'_>) -> Result<Answer, Reason> {
        let gate = &self.health.gate;
        let mut give_up: Option<Instant> = None;
        let mut resent = false;
        loop {
            if let Some(until) = gate.paused_until() {
                let limit = *give_up.get_or_insert_with(|| self.deadline());
                if until >= limit {
                    return Err(Reason::Throttled { retry_after: Some(until - Instant::now()) });
                }
                tokio::time::sleep_until(until).await;
                continue;
            }
            let slot = gate.slot().await;
            if gate.paused_until().is_some() {
                continue;
            }
            let limit = *give_up.get_or_insert_with(|| self.deadline());
            if limit <= Instant::now() {
                return Err(Reason::Throttled { retry_after: None });
            }
            let tried = self.try_once(call, limit).await?;
            drop(slot);
            match tried {
                Tried::Done(answer) => return Ok(answer),
                Tried::SlowDown(wait, reason) => {
                    // A little more than asked, differently for each member, so that they do not come back together.
                    let pause = wait.unwrap_or(DEFAULT_PAUSE).mul_f64(1.0 + 0.1 * random_fraction());
                    gate.throttled(pause);
                    if Instant::now() + pause >= limit {
                        return Err(reason);
                    }
                }
                Tried::Failed(Reason::ConnectionLost { .. }) if call.repeatable && !resent => resent = true,
                Tried::Failed(reason) => return Err(reason),
            }
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.call_deadline
    }

    async fn try_once(&self, call: &Call<'_>, limit: Instant) -> Result<Tried, Reason> {
        let ticket = self.health.breaker.admit()?;
        let request = call.request(&self.user_agent)?;
        let exchange = Box::pin(self.exchange(request));
        let answer = match timeout_at(limit, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason @ Reason::TooLarge { .. })) => {
                ticket.alive();
                return Ok(Tried::Failed(reason));
            }
            Ok(Err(reason)) => {
                ticket.failed(&reason.to_string());
                return Ok(Tried::Failed(reason));
            }
            Err(_) => {
                let reason = Reason::TimedOut { after: self.settings.call_deadline };
                ticket.failed(&reason.to_string());
                return Ok(Tried::Failed(reason));
            }
        };
        if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED {
            ticket.alive();
            self.health.gate.went_well();
            return Ok(Tried::Done(answer));
        }
        let refusal = answer::refusal(&answer, |text| call.hide(text));
        if refusal.alive {
            ticket.alive();
        } else {
            ticket.failed(&refusal.reason.to_string());
        }
        Ok(match refusal.slow_down {
            Some(wait) => Tried::SlowDown(wait, refusal.reason),
            None => {
                self.health.gate.went_well();
                Tried::Failed(refusal.reason)
            }
        })
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer, Reason> {
        let began = Instant::now();
        let response = self.connection.send(request).await?;
        let (parts, body) = response.into_parts();
        let body = match Limited::new(body, LARGEST_ANSWER).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(Reason::TooLarge { limit: LARGEST_ANSWER });
            }
            Err(error) => return Err(lost(answer::transport_failure(&*error))),
        };
        Ok(Answer { status: parts.status, headers: parts.headers, body, took: began.elapsed() })
    }

    /// Opens an answer that does not end by itself (a watch). The deadline covers only its beginning; the gate's slot
    /// is given back at once. The caller holds a permit of `health.watches`.
    pub(super) async fn open(&self, call: &Call<'_>) -> Result<AnswerBody, ApiError> {
        let result = async {
            if let Some(until) = self.health.gate.paused_until() {
                let wait = until - Instant::now();
                if wait >= self.settings.call_deadline {
                    return Err(Reason::Throttled { retry_after: Some(wait) });
                }
                tokio::time::sleep_until(until).await;
            }
            let _slot = self.health.gate.slot().await;
            let ticket = self.health.breaker.admit()?;
            let request = call.request(&self.user_agent)?;
            let limit = self.deadline();
            let response = match timeout_at(limit, self.connection.send(request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(reason)) => {
                    ticket.failed(&reason.to_string());
                    return Err(reason);
                }
                Err(_) => {
                    let reason = Reason::TimedOut { after: self.settings.call_deadline };
                    ticket.failed(&reason.to_string());
                    return Err(reason);
                }
            };
            if response.status().is_success() {
                ticket.alive();
                return Ok(response.into_body());
            }
            let (parts, body) = response.into_parts();
            let body = match timeout_at(limit, Limited::new(body, 1 << 20).collect()).await {
                Ok(Ok(collected)) => collected.to_bytes(),
                _ => Bytes::new(),
            };
            let answer = Answer { status: parts.status, headers: parts.headers, body, took: Duration::ZERO };
            let refusal = answer::refusal(&answer, |text| call.hide(text));
            if refusal.alive {
                ticket.alive();
            } else {
                ticket.failed(&refusal.reason.to_string());
            }
            if let Some(wait) = refusal.slow_down {
                self.health.gate.throttled(wait.unwrap_or(DEFAULT_PAUSE));
            }
            Err(refusal.reason)
        };
        Box::pin(result).await.map_err(|reason| self.error(call.attempt, reason))
    }
}

/// Once an answer has begun, the connection was there: whatever ends it early is a loss.
fn lost(reason: Reason) -> Reason {
    match reason {
        Reason::Unreachable { detail } => Reason::ConnectionLost { detail },
        other => other,
    }
}
