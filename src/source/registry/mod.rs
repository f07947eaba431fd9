//! Container registries: the tags of an image, and what a tag points to.
//!
//! A thin client of the distribution API: it pulls nothing and pushes nothing. Credentials come in as values and are
//! sent to the registry, and to those who give out its tokens, alone (`challenge.rs`). Whatever the other end sends is
//! bounded (`limits.rs`), and every question has one deadline.

mod challenge;
mod client;
mod credentials;
mod digest;
mod error;
mod limits;
mod reference;
mod session;
mod tags;
mod token;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use url::Url;

pub use self::credentials::{DockerConfig, RegistryCredentials};
pub use self::error::{RegistryError, RegistryErrorKind};
pub use self::reference::ImageName;

use self::challenge::Challenge;
use self::client::Clients;
use self::session::Session;
use self::token::Token;
use crate::model::{Clock, Digest, is_digest, is_tag};
use crate::source::limits::AddressPolicy;
use crate::source::transport::identify;
use crate::source::{Proxy, TlsMaterial};

/// Whom to ask about which image, and how.
#[derive(Clone, Debug)]
pub struct RegistryRequest {
    /// The image.
    pub image: ImageName,
    /// How to prove who we are.
    pub credentials: RegistryCredentials,
    /// Certificates for https.
    pub tls: TlsMaterial,
    /// A proxy.
    pub proxy: Option<Proxy>,
    /// Plain http may do.
    pub insecure: bool,
    /// Time for the whole question.
    pub timeout: Duration,
}

impl RegistryRequest {
    /// A request without credentials, with a minute's time.
    pub fn new(image: ImageName) -> Self {
        Self {
            image,
            credentials: RegistryCredentials::Anonymous,
            tls: TlsMaterial::default(),
            proxy: None,
            insecure: false,
            timeout: Duration::from_secs(60),
        }
    }

    /// Names registry, transport and credentials, and holds none of them.
    fn identity(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(self.image.endpoint().as_bytes());
        part(&[u8::from(self.insecure)]);
        match &self.credentials {
            RegistryCredentials::Anonymous => part(b"anonymous"),
            RegistryCredentials::Basic { username, password } => {
                part(b"basic");
                part(username.as_bytes());
                part(password.expose_secret().as_bytes());
            }
            RegistryCredentials::Identity(token) => {
                part(b"identity");
                part(token.expose_secret().as_bytes());
            }
            RegistryCredentials::Bearer(token) => {
                part(b"bearer");
                part(token.expose_secret().as_bytes());
            }
        }
        identify(&mut hash, &self.tls, self.proxy.as_ref());
        hash.finalize().into()
    }
}

/// What a greeting told about a registry.
#[derive(Clone)]
struct Known {
    base: Url,
    challenge: Option<Challenge>,
}

/// The client: connections, greetings and tokens that are kept between questions.
pub(crate) struct Registries {
    clients: Clients,
    known: Mutex<HashMap<[u8; 32], Known>>,
    tokens: Mutex<HashMap<[u8; 32], Token>>,
    addresses: AddressPolicy,
    clock: Clock,
}

impl Registries {
    pub(crate) fn new(addresses: AddressPolicy, clock: Clock) -> Self {
        Self {
            clients: Clients::default(),
            known: Mutex::default(),
            tokens: Mutex::default(),
            addresses,
            clock,
        }
    }

    /// All tags of an image, in no order; what is no tag is left out.
    pub(crate) async fn tags(&self, request: &RegistryRequest) -> Result<Vec<String>, RegistryError> {
        let work = async { tags::list(&mut Session::open(self, request).await?).await };
        self.within(request, "list the tags of", work).await
    }

    /// The digest of the manifest a tag or digest points to; `None` if there is none.
    pub(crate) async fn digest(
        &self,
        request: &RegistryRequest,
        reference: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        if !is_tag(reference) && !is_digest(reference) {
            return Ok(None);
        }
        let work = async { digest::of(&mut Session::open(self, request).await?, reference).await };
        self.within(request, &format!("look up `{reference}` of"), work).await
    }

    async fn within<T>(
        &self,
        request: &RegistryRequest,
        attempted: &str,
        work: impl Future<Output = Result<T, RegistryErrorKind>>,
    ) -> Result<T, RegistryError> {
        let time = request.timeout.min(limits::LONGEST);
        let done = tokio::time::timeout(time, Box::pin(work)).await;
        done.unwrap_or(Err(RegistryErrorKind::Timeout(time))).map_err(|kind| {
            if kind.is_passing() || matches!(kind, RegistryErrorKind::Timeout(_)) {
                Session::forget(self, request);
            }
            RegistryError { attempted: attempted.to_owned(), image: request.image.to_string(), kind }
        })
    }
}
