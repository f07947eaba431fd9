//! The distribution API over the store.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::json;

use super::Tagged;
use super::store::{
    BLOB_BYTES, DIGEST_INVALID, MANIFEST_BYTES, NAME_INVALID, Refusal, Store, TOO_LARGE, UNSUPPORTED,
    is_repository,
};

/// Tags and repositories in one answer, if nobody asks for fewer.
const PAGE: usize = 1000;

type OnTag = Arc<dyn Fn(Tagged) + Send + Sync>;

#[derive(Clone)]
struct Shared {
    store: Arc<Store>,
    on_tag: OnTag,
}

/// The routes. `on_tag` is called after a manifest got a tag and before the client is answered; it must not block.
pub(super) fn router(store: Arc<Store>, on_tag: impl Fn(Tagged) + Send + Sync + 'static) -> axum::Router {
    axum::Router::new().fallback(serve).with_state(Shared { store, on_tag: Arc::new(on_tag) })
}

/// What a path means.
enum Target<'a> {
    Base,
    Catalog,
    Tags(&'a str),
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Begin(&'a str),
    Upload(&'a str, &'a str),
}

impl<'a> Target<'a> {
    fn read(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?.strip_prefix('/').unwrap_or_default();
        if rest.is_empty() {
            return Some(Target::Base);
        }
        if rest == "_catalog" {
            return Some(Target::Catalog);
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some(Target::Tags(name));
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads/").or(rest.strip_suffix("/blobs/uploads")) {
            return Some(Target::Begin(name));
        }
        let (parent, last) = rest.rsplit_once('/')?;
        if let Some(name) = parent.strip_suffix("/blobs/uploads") {
            return Some(Target::Upload(name, last));
        }
        if let Some(name) = parent.strip_suffix("/manifests") {
            return Some(Target::Manifest(name, last));
        }
        parent.strip_suffix("/blobs").map(|name| Target::Blob(name, last))
    }

    fn repository(&self) -> Option<&'a str> {
        match self {
            Target::Base | Target::Catalog => None,
            Target::Tags(name)
            | Target::Begin(name)
            | Target::Manifest(name, _)
            | Target::Blob(name, _)
            | Target::Upload(name, _) => Some(name),
        }
    }
}

async fn serve(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let answer = answer(&shared, &head.method, head.uri.path(), head.uri.query(), &head.headers, body).await;
    let mut response = answer.unwrap_or_else(|Refusal(status, code, message)| {
        let body = json!({ "errors": [{ "code": code, "message": message }] }).to_string();
        with(status, &[("content-type", "application/json")], if is_head { String::new() } else { body })
    });
    response
        .headers_mut()
        .insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    response
}

async fn answer(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    const JSON: (&str, &str) = ("content-type", "application/json");
    let store = &shared.store;
    let parameter = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let target = Target::read(path).ok_or(UNSUPPORTED)?;
    if target.repository().is_some_and(|name| !is_repository(name)) {
        return Err(NAME_INVALID);
    }
    let page = || -> (usize, Option<String>) {
        let count = parameter("n").and_then(|n| n.parse().ok()).unwrap_or(PAGE).min(PAGE);
        (count, parameter("last"))
    };
    match (target, method.as_str()) {
        (Target::Base, "GET" | "HEAD") => Ok(with(200, &[JSON], "{}".to_owned())),
        (Target::Catalog, "GET") => {
            let (count, last) = page();
            let (names, more) = store.catalog(last.as_deref(), count);
            let link = next("/v2/_catalog", &names, count, more);
            Ok(with(200, &with_link(JSON, &link), json!({ "repositories": names }).to_string()))
        }
        (Target::Tags(name), "GET") => {
            let (count, last) = page();
            let (tags, more) = store.tags(name, last.as_deref(), count)?;
            let link = next(path, &tags, count, more);
            Ok(with(200, &with_link(JSON, &link), json!({ "name": name, "tags": tags }).to_string()))
        }
        (Target::Manifest(name, reference), "GET" | "HEAD") => {
            let manifest = store.manifest(name, reference)?;
            let headers = [
                ("content-type", manifest.media_type.as_str()),
                ("docker-content-digest", manifest.digest.as_str()),
                ("etag", &format!("\"{}\"", manifest.digest)),
            ];
            Ok(content(method, &headers, manifest.bytes))
        }
        (Target::Manifest(name, reference), "PUT") => {
            let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.unwrap_or("application/vnd.oci.image.manifest.v1+json");
            let bytes = read(body, MANIFEST_BYTES).await?;
            let digest = store.put_manifest(name, reference, media_type, bytes)?;
            if reference != digest {
                (shared.on_tag)(Tagged {
                    repository: name.to_owned(),
                    tag: reference.to_owned(),
                    digest: digest.clone(),
                });
            }
            Ok(stored(&format!("/v2/{name}/manifests/{digest}"), &digest))
        }
        (Target::Manifest(name, reference), "DELETE") => {
            store.delete_manifest(name, reference)?;
            Ok(with(202, &[], String::new()))
        }
        (Target::Blob(_, digest), "GET" | "HEAD") => {
            let bytes = store.blob(digest)?;
            let headers = [("content-type", "application/octet-stream"), ("docker-content-digest", digest)];
            Ok(content(method, &headers, bytes))
        }
        (Target::Begin(name), "POST") => {
            // A mount from another repository: blobs are shared, so it is there or it is not.
            if let Some(digest) = parameter("mount")
                && store.blob(&digest).is_ok()
            {
                return Ok(stored(&format!("/v2/{name}/blobs/{digest}"), &digest));
            }
            let id = store.begin(name)?;
            let Some(digest) = parameter("digest") else {
                return Ok(progress(202, name, &id, 0));
            };
            let finished = async {
                let bytes = read(body, BLOB_BYTES).await?;
                store.append(name, &id, None, &bytes)?;
                store.finish(name, &id, &digest)
            };
            if let Err(refusal) = finished.await {
                store.cancel(name, &id).ok();
                return Err(refusal);
            }
            Ok(stored(&format!("/v2/{name}/blobs/{digest}"), &digest))
        }
        (Target::Upload(name, id), "PATCH") => {
            store.uploaded(name, id)?;
            let bytes = read(body, BLOB_BYTES).await?;
            let length = store.append(name, id, start(headers), &bytes)?;
            Ok(progress(202, name, id, length))
        }
        (Target::Upload(name, id), "PUT") => {
            let digest = parameter("digest").ok_or(DIGEST_INVALID)?;
            store.uploaded(name, id)?;
            let bytes = read(body, BLOB_BYTES).await?;
            if !bytes.is_empty() {
                store.append(name, id, start(headers), &bytes)?;
            }
            store.finish(name, id, &digest)?;
            Ok(stored(&format!("/v2/{name}/blobs/{digest}"), &digest))
        }
        (Target::Upload(name, id), "GET") => {
            let length = store.uploaded(name, id)?;
            Ok(progress(204, name, id, length))
        }
        (Target::Upload(name, id), "DELETE") => {
            store.cancel(name, id)?;
            Ok(with(204, &[], String::new()))
        }
        _ => Err(UNSUPPORTED),
    }
}

/// The body, within a limit.
async fn read(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let limited = http_body_util::Limited::new(body, limit);
    limited.collect().await.map(http_body_util::Collected::to_bytes).map_err(|_| TOO_LARGE)
}

/// Where a chunk begins: `Content-Range: 0-99`.
fn start(headers: &HeaderMap) -> Option<usize> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.trim_start_matches("bytes ").split('-').next()?.trim().parse().ok()
}

/// Where the next page is.
fn next(path: &str, page: &[String], count: usize, more: bool) -> Option<String> {
    let last = page.last().filter(|_| more)?;
    Some(format!("<{path}?last={last}&n={count}>; rel=\"next\""))
}

fn with_link<'a>(first: (&'a str, &'a str), link: &'a Option<String>) -> Vec<(&'a str, &'a str)> {
    std::iter::once(first).chain(link.as_deref().map(|link| ("link", link))).collect()
}

fn with(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

fn content(method: &Method, headers: &[(&str, &str)], bytes: Bytes) -> Response<Body> {
    let length = bytes.len().to_string();
    let headers: Vec<_> = headers.iter().copied().chain([("content-length", length.as_str())]).collect();
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
    with(200, &headers, body)
}

fn stored(location: &str, digest: &str) -> Response<Body> {
    with(201, &[("location", location), ("docker-content-digest", digest)], String::new())
}

fn progress(status: u16, name: &str, id: &str, length: usize) -> Response<Body> {
    let range = format!("0-{}", length.saturating_sub(1));
    let location = format!("/v2/{name}/blobs/uploads/{id}");
    with(status, &[("location", &location), ("docker-upload-uuid", id), ("range", &range)], String::new())
}
