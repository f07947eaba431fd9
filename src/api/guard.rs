//! Who may come in, and for how long.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::{ApiError, ApiState, Door};

/// Deadline of what only reads memory and the store.
const DEADLINE: Duration = Duration::from_secs(30);
/// Deadline of what asks member clusters.
const LONG_DEADLINE: Duration = Duration::from_secs(300);

pub(super) async fn deadline(request: Request, next: Next) -> Response {
    within(DEADLINE, request, next).await
}

pub(super) async fn long_deadline(request: Request, next: Next) -> Response {
    within(LONG_DEADLINE, request, next).await
}

async fn within(limit: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let text = format!("no answer within {limit:?}");
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, text).into_response()
        }
    }
}

pub(super) async fn admit(
    State((state, door)): State<(ApiState, Door)>,
    request: Request,
    next: Next,
) -> Response {
    let refused = match (door, &state.token) {
        (Door::Socket, _) => Ok(()),
        (Door::Network, Some(token)) => bearer(request.headers(), token.expose_secret()),
        (Door::Network, None) => local(request.method(), request.headers()),
    };
    match refused {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn bearer(headers: &HeaderMap, token: &str) -> Result<(), ApiError> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, token)| token.trim());
    if bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNAUTHORIZED,
        "the API needs the agent's token\nhint: give its file with `--api-token-file`, or send `Authorization: Bearer …`",
    ))
}

/// Without a token only this machine can connect, but so can a web page in its browser: a name that resolves to
/// 127.0.0.1 (DNS rebinding) and a form of another site are turned away.
fn local(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !is_local(host) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "the API answers to `localhost` and addresses only\nhint: to reach it by another name, give it a token with `--api-token-file`",
        ));
    }
    let origin = text(header::ORIGIN);
    let own = origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, at)| at == host));
    if method != Method::GET && !own {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "the API takes no changes from other sites' pages"));
    }
    Ok(())
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}
