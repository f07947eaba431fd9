//! Plain HTTP calls to an API server, without any Kubernetes library: what is asserted is what was on the wire.

use std::time::Duration;

use base64::Engine as _;
use reqwest::Method;
use serde_json::{Value, json};

/// How long anything may take before a test says what it waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Fails the test when `work` takes longer than anything here should.
pub(crate) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// An answer, whatever it says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of an answer that must have this code.
    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.body);
        self.body
    }
}

/// One API server and a user of it.
#[derive(Clone)]
pub(crate) struct Api {
    server: String,
    token: String,
    http: reqwest::Client,
}

impl Api {
    /// From a kubeconfig with everything inside.
    pub(crate) fn new(kubeconfig: &str) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let config = goyaml::yaml_to_json(kubeconfig).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let cluster = &config["clusters"][0]["cluster"];
        let authority = base64::engine::general_purpose::STANDARD
            .decode(text(&cluster["certificate-authority-data"]))
            .unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .no_gzip()
            // Tests run in runtimes of their own; a connection must not outlive the one it was made in.
            .pool_max_idle_per_host(0)
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .build()
            .unwrap();
        Self { server: text(&cluster["server"]), token: text(&config["users"][0]["user"]["token"]), http }
    }

    /// The same server, and a token that it does not know.
    #[allow(dead_code)]
    pub(crate) fn stranger(&self) -> Self {
        Self { token: "nobody".to_owned(), ..self.clone() }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Response {
        patiently("an answer", request.bearer_auth(&self.token).send()).await.unwrap()
    }

    async fn call(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>, accept: &str) -> Answer {
        let mut request =
            self.http.request(method, format!("{}{path}", self.server)).header("Accept", accept);
        if let Some((kind, body)) = body {
            request = request.header("Content-Type", kind).body(body);
        }
        let answer = self.send(request).await;
        let code = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { code, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, "application/json").await
    }

    #[allow(dead_code)]
    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.call(Method::GET, path, None, accept).await
    }

    fn json(body: &Value) -> Option<(&'static str, Vec<u8>)> {
        Some(("application/json", body.to_string().into_bytes()))
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Self::json(body), "application/json").await
    }

    #[allow(dead_code)]
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, Self::json(body), "application/json").await
    }

    /// A patch of any kind; `kind` is its media type without `application/`.
    #[allow(dead_code)]
    pub(crate) async fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        let body = Some((format!("application/{kind}"), body.to_string().into_bytes()));
        let body = body.as_ref().map(|(kind, body)| (kind.as_str(), body.clone()));
        self.call(Method::PATCH, path, body, "application/json").await
    }

    /// Server-side apply as `manager`.
    #[allow(dead_code)]
    pub(crate) async fn apply(&self, path: &str, manager: &str, force: bool, body: &Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}&force={force}");
        self.patch(&path, "apply-patch+yaml", body).await
    }

    #[allow(dead_code)]
    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Answer {
        self.call(Method::DELETE, path, Self::json(options), "application/json").await
    }

    /// A body of any kind, as it stands.
    #[allow(dead_code)]
    pub(crate) async fn raw(&self, method: Method, path: &str, kind: &str, body: &str) -> Answer {
        self.call(method, path, Some((kind, body.as_bytes().to_vec())), "application/json").await
    }

    /// Opens a watch; `path` holds its parameters.
    pub(crate) async fn watch(&self, path: &str) -> Watch {
        let answer = self.send(self.http.get(format!("{}{path}", self.server))).await;
        assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap_or_default());
        Watch { answer, rest: Vec::new() }
    }

    /// Waits until the object fits, hearing of each of its changes; null while there is none.
    #[allow(dead_code)]
    pub(crate) async fn until(
        &self,
        collection: &str,
        name: &str,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        let wait = async {
            loop {
                let path = format!("{collection}?fieldSelector=metadata.name%3D{name}");
                let list = self.get(&path).await.expect(200);
                last = list["items"][0].clone();
                if fits(&last) {
                    return last.clone();
                }
                let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
                let mut watch = self.watch(&format!("{path}&watch=true&resourceVersion={version}")).await;
                while let Some(event) = watch.next().await {
                    match event["type"].as_str() {
                        Some("ADDED" | "MODIFIED") => last = event["object"].clone(),
                        Some("DELETED") => last = Value::Null,
                        // Too old: list again.
                        _ => break,
                    }
                    if fits(&last) {
                        return last.clone();
                    }
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(object) => object,
            Err(_) => panic!("`{collection}/{name}`: waited {PATIENCE:?} in vain until {what}"),
        }
    }
}

/// An open watch.
pub(crate) struct Watch {
    answer: reqwest::Response,
    rest: Vec<u8>,
}

impl Watch {
    /// The next event; `None` once the server has ended the watch.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.rest.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

/// A namespace of a test's own.
#[allow(dead_code)]
pub(crate) async fn fresh_namespace(api: &Api, prefix: &str) -> String {
    let name = format!("{prefix}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    api.post("/api/v1/namespaces", &namespace).await.expect(201);
    name
}
