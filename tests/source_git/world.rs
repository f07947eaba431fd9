//! A forge with one repository, a room that fetches from it, and a real `git` client.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use sluice::demo::git_server::GitServer;
use sluice::demo::repository::DemoRepository;
use sluice::model::{Clock, Revision, Timestamp};
use sluice::source::{GitCheckout, GitReference, GitRequest, IgnoreRules, SourceLimits, Sources};

/// A forge with one repository, and a room that fetches from it.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) repository: DemoRepository,
    pub(crate) forge: Forge,
    pub(crate) sources: Sources,
    pub(crate) clock: Clock,
}

/// A listening server and what was asked of it.
pub(crate) struct Forge {
    pub(crate) url: String,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Forge {
    pub(crate) async fn start(router: axum::Router) -> Self {
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&requests);
        let router = router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let log = Arc::clone(&log);
            async move {
                let authorized =
                    if request.headers().contains_key(header::AUTHORIZATION) { " auth" } else { "" };
                let line = format!("{} {}{authorized}", request.method(), request.uri().path());
                log.lock().unwrap().push(line);
                next.run(request).await
            }
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, requests, task }
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

pub(crate) async fn world() -> World {
    world_with(|server| server, |router| router, SourceLimits::default()).await
}

pub(crate) async fn world_with(
    server: impl FnOnce(GitServer) -> GitServer,
    layers: impl FnOnce(axum::Router) -> axum::Router,
    limits: SourceLimits,
) -> World {
    // another test of this process may have installed it already
    drop(rustls::crypto::ring::default_provider().install_default());
    let directory = tempfile::tempdir().unwrap();
    let repository = DemoRepository::create(directory.path().join("git/app.git"), "main").unwrap();
    let router = layers(server(GitServer::new(directory.path().join("git"))).router());
    let forge = Forge::start(router).await;
    let clock = Clock::manual(Timestamp::from_second(1_760_000_000).unwrap());
    let sources = Sources::new(&directory.path().join("state"), limits, clock.clone()).unwrap();
    World { directory, repository, forge, sources, clock }
}

/// Answers as a server that knows only protocol 0.
pub(crate) fn protocol_0(router: axum::Router) -> axum::Router {
    router.layer(axum::middleware::from_fn(|mut request: Request, next: Next| {
        request.headers_mut().remove("git-protocol");
        next.run(request)
    }))
}

impl World {
    pub(crate) fn request(&self) -> GitRequest {
        let mut request = GitRequest::new(format!("{}/app.git", self.forge.url)).branch("main");
        request.timeout = Duration::from_secs(30);
        request
    }

    pub(crate) fn with(&self, reference: GitReference) -> GitRequest {
        GitRequest { reference, ..self.request() }
    }

    pub(crate) async fn fetch(&self, request: &GitRequest) -> GitCheckout {
        self.sources.fetch(request).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn failure(&self, request: &GitRequest) -> sluice::source::GitError {
        self.sources.fetch(request).await.err().unwrap_or_else(|| panic!("the fetch succeeded"))
    }

    pub(crate) fn kept(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.directory.path().join("state/git"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect()
    }
}

pub(crate) async fn read(checkout: &GitCheckout, path: &str) -> Option<String> {
    checkout.repository.read_file(path).await.unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

pub(crate) async fn names(checkout: &GitCheckout, path: &str) -> Vec<String> {
    let limits = checkout.repository.file_limits();
    let files = checkout.repository.files(path, &IgnoreRules::none(), limits).await.unwrap();
    files.unwrap().into_keys().collect()
}

pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Dev", "-c", "user.email=dev@example.com", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn observed(checkout: &GitCheckout) -> Option<Revision> {
    Some(checkout.revision.clone())
}
