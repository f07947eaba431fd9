//! Reads what an API server, or the network in between, answered: from bytes and errors to a [`Reason`].
//!
//! Pure: the request has been made elsewhere.

use std::error::Error;
use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use regex::Regex;
use serde::Deserialize;

use super::error::{FieldCause, FieldOwner, Reason};

/// A long message helps nobody; conditions and chats cut it anyway.
const LONGEST_MESSAGE: usize = 4096;

/// A complete answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: bytes::Bytes,
    /// From the request's first byte to the answer's last.
    pub(super) took: Duration,
}

impl Answer {
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Reason> {
        serde_json::from_slice(&self.body).map_err(|error| Reason::Malformed { detail: shape_of(&error) })
    }

    /// The texts of `Warning: 299 - "…"` headers: deprecations and admission warnings.
    pub(super) fn warnings(&self) -> Vec<String> {
        let values = self.headers.get_all(http::header::WARNING).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(warning_texts).collect()
    }
}

/// serde's texts may quote the document, so only the place is told.
pub(super) fn shape_of(error: &serde_json::Error) -> String {
    format!("not the expected JSON at line {} column {}", error.line(), error.column())
}

fn warning_texts(header: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = header;
    while let Some(start) = rest.find("299 ") {
        rest = &rest[start + 4..];
        let Some(open) = rest.find('"') else { break };
        let mut text = String::new();
        let mut escaped = false;
        let mut end = rest.len();
        for (at, c) in rest[open + 1..].char_indices() {
            match c {
                _ if escaped => {
                    text.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    end = open + 1 + at + 1;
                    break;
                }
                _ => text.push(c),
            }
        }
        texts.push(text);
        rest = &rest[end..];
    }
    texts
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    causes: Vec<Cause>,
    retry_after_seconds: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
    field: String,
}

/// How a server's refusal bears on the cluster as a whole.
pub(super) struct Refusal {
    pub(super) reason: Reason,
    /// Whether the answer proves that the server itself works.
    pub(super) alive: bool,
    /// Set when the server asks to slow down.
    pub(super) slow_down: Option<Option<Duration>>,
}

/// Reads an answer with a status of 400 or above. `hide` keeps secret values out of what is quoted.
pub(super) fn refusal(answer: &Answer, hide: impl Fn(&str) -> String) -> Refusal {
    let code = answer.status.as_u16();
    let status: Status = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = match status.message.as_str() {
        "" => plain_text(answer),
        message => message.to_owned(),
    };
    let message = cut(&hide(&message));
    let details = status.details.unwrap_or_default();
    let has_cause = |reason: &str| details.causes.iter().any(|cause| cause.reason == reason);
    let retry_after = retry_after(&answer.headers).or_else(|| {
        (details.retry_after_seconds > 0).then(|| Duration::from_secs(details.retry_after_seconds))
    });
    let slow_down = match code {
        429 => Some(retry_after),
        503 if retry_after.is_some() => Some(retry_after),
        _ => None,
    };
    let mut alive = true;
    let reason = match code {
        401 => Reason::Unauthorized { message },
        403 if has_cause("NamespaceTerminating") => Reason::NamespaceTerminating { message },
        403 => Reason::Forbidden { user: user_of(&message), message },
        404 => Reason::NotFound { message },
        409 if status.reason == "AlreadyExists" => Reason::AlreadyExists { message },
        409 => Reason::Conflict { managers: owners(&details.causes), message },
        410 => Reason::Gone { message },
        422 => Reason::Invalid { causes: causes(&details.causes, &hide), message },
        429 => Reason::Throttled { retry_after },
        503 if slow_down.is_some() => Reason::Throttled { retry_after },
        // A webhook that is down refuses one object; the cluster is well.
        500.. if message.contains("failed calling webhook") => Reason::Server { code, message },
        500.. => {
            alive = false;
            Reason::Server { code, message }
        }
        _ => Reason::Refused { code, message },
    };
    Refusal { reason, alive, slow_down }
}

fn plain_text(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]).into_owned();
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.trim() {
        "" => answer.status.canonical_reason().unwrap_or("no reason given").to_lowercase(),
        text => text.to_owned(),
    }
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message.to_owned(),
    }
}

/// `Retry-After` in seconds; API servers never send the date form.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}

fn user_of(message: &str) -> Option<String> {
    static USER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"[Uu]ser "([^"]*)" cannot"#).expect("the pattern is constant"));
    USER.captures(message).map(|found| found[1].to_owned())
}

fn owners(causes: &[Cause]) -> Vec<FieldOwner> {
    static MANAGER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"conflict with "([^"]*)""#).expect("the pattern is constant"));
    let conflicts = causes.iter().filter(|cause| cause.reason == "FieldManagerConflict");
    conflicts
        .map(|cause| FieldOwner {
            manager: MANAGER.captures(&cause.message).map_or_else(String::new, |found| found[1].to_owned()),
            field: cause.field.clone(),
        })
        .collect()
}

fn causes(causes: &[Cause], hide: impl Fn(&str) -> String) -> Vec<FieldCause> {
    causes.iter().map(|c| FieldCause { field: c.field.clone(), message: cut(&hide(&c.message)) }).collect()
}

/// Reads why there was no answer at all.
pub(super) fn transport_failure(error: &(dyn Error + 'static)) -> Reason {
    let mut connecting = false;
    let mut deepest = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Reason::Tls { detail: tls_detail(tls) };
        }
        if let Some(client) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            connecting |= client.is_connect();
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if let Some(tls) = tls_within(io) {
                return Reason::Tls { detail: tls_detail(tls) };
            }
            deepest = match io.kind() {
                std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                std::io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
                std::io::ErrorKind::TimedOut => "timed out".to_owned(),
                std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
                std::io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
                // rustls's own words end in the address of its manual.
                std::io::ErrorKind::UnexpectedEof => "closed by the other end".to_owned(),
                _ => io.to_string(),
            };
        } else {
            deepest = error.to_string();
        }
        next = error.source();
    }
    if connecting {
        Reason::Unreachable { detail: deepest }
    } else {
        Reason::ConnectionLost { detail: deepest }
    }
}

/// I/O errors wrap I/O errors, and their `source` skips what they wrap.
fn tls_within(io: &std::io::Error) -> Option<&rustls::Error> {
    let inner = io.get_ref()?;
    inner
        .downcast_ref::<rustls::Error>()
        .or_else(|| inner.downcast_ref::<std::io::Error>().and_then(tls_within))
}

fn tls_detail(error: &rustls::Error) -> String {
    let text = error.to_string();
    if text.contains("expired") || text.contains("Expired") || text.contains("not valid yet") {
        format!("{text} (or this machine's clock is wrong)")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(code: u16, body: serde_json::Value) -> Answer {
        Answer {
            status: StatusCode::from_u16(code).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_string().into(),
            took: Duration::ZERO,
        }
    }

    fn read(code: u16, body: serde_json::Value) -> Refusal {
        refusal(&answer(code, body), str::to_owned)
    }

    #[test]
    fn f8_a_conflict_lists_managers_and_fields() {
        let refusal = read(
            409,
            json!({"reason": "Conflict", "message": "Apply failed with 1 conflict", "details": {"causes": [
                {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" using apps/v1", "field": ".spec.replicas"},
            ]}}),
        );
        assert_eq!(refusal.reason.to_string(), "conflict with `kubectl` over .spec.replicas");
        assert!(refusal.alive);
    }

    #[test]
    fn f10_a_403_names_the_user() {
        let message = r#"deployments.apps "web" is forbidden: User "restricted" cannot patch resource "deployments" in API group "apps" in the namespace "shop""#;
        let Reason::Forbidden { user, message: told } =
            read(403, json!({"reason": "Forbidden", "message": message})).reason
        else {
            panic!("not forbidden")
        };
        assert_eq!((user.as_deref(), told.as_str()), (Some("restricted"), message));
    }

    #[test]
    fn what_speaks_for_the_server_and_what_against_it() {
        let table = [
            (401, json!({}), true, false),
            (403, json!({}), true, false),
            (404, json!({}), true, false),
            (422, json!({}), true, false),
            (429, json!({}), true, true),
            (500, json!({"message": "etcdserver: mvcc: database space exceeded"}), false, false),
            (
                500,
                json!({"message": "Internal error occurred: failed calling webhook \"x\": refused"}),
                true,
                false,
            ),
            (503, json!({"message": "apiserver is shutting down"}), false, false),
            (503, json!({"details": {"retryAfterSeconds": 3}}), true, true),
            (504, json!({}), false, false),
        ];
        for (code, body, alive, slow_down) in table {
            let refusal = read(code, body.clone());
            assert_eq!(refusal.alive, alive, "{code} {body}");
            assert_eq!(refusal.slow_down.is_some(), slow_down, "{code} {body}");
        }
    }

    #[test]
    fn answers_that_are_no_status_are_quoted_briefly() {
        let mut answer = answer(502, json!(null));
        answer.body = "<html>\u{1b}[31mBad Gateway</html>".into();
        assert_eq!(refusal(&answer, str::to_owned).reason.to_string(), "<html> [31mBad Gateway</html> (502)");
        answer.body = "".into();
        assert_eq!(refusal(&answer, str::to_owned).reason.to_string(), "bad gateway (502)");
    }

    #[test]
    fn warnings_are_unpacked_from_their_headers() {
        let mut answer = answer(200, json!({}));
        for text in [r#"299 - "a \"b\" c""#, r#"299 - "d", 299 - "e""#, "199 - x"] {
            answer.headers.append(http::header::WARNING, text.parse().unwrap());
        }
        assert_eq!(answer.warnings(), ["a \"b\" c", "d", "e"]);
    }
}
