//! Settings: what was written on the command line, in the environment and in a file, validated into one [`Settings`].
//!
//! A flag beats a `SLUICE_*` variable, a variable beats the TOML file, the file beats the default; `config/table.rs`
//! lists them all. Nothing else in sluice reads the environment. No room sees [`Settings`]: `app` hands each its part.

mod raw;
mod table;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::model::{Network, ParseNetworkError};
use crate::telemetry::{LogFormat, LogSettings};
use raw::Raw;
pub use raw::{AgentFlags, ClientFlags, Environment, Flags, ProcessEnvironment};

/// Shortest token accepted for the API: anything shorter can be guessed.
const SHORTEST_TOKEN: usize = 16;
/// Retention is never shorter: forges redeliver for up to three days.
const SHORTEST_RETENTION: Duration = Duration::from_secs(72 * 60 * 60);

/// Everything `sluice serve` is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where webhooks arrive.
    pub listen: SocketAddr,
    /// Where the API answers over TCP, besides its socket.
    pub api_listen: Option<SocketAddr>,
    /// What API clients must send over TCP.
    pub api_token: Option<SecretString>,
    /// Where metrics and health answer.
    pub metrics_listen: Option<SocketAddr>,
    /// The address under which forges reach us.
    pub public_url: Option<Url>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Accept webhooks that are signed with SHA-1 alone.
    pub accept_sha1: bool,
    /// The state directory.
    pub state: PathBuf,
    /// Logs.
    pub log: LogSettings,
    /// How many objects are reconciled at once.
    pub concurrent: usize,
    /// Calls in flight per member cluster.
    pub kube_in_flight: usize,
    /// Refuse references to objects of other namespaces.
    pub no_cross_namespace_refs: bool,
    /// Refuse loopback and link-local addresses of sources and chats.
    pub no_local_addresses: bool,
    /// The service account to act as where an object names none.
    pub default_service_account: Option<String>,
    /// Let kubeconfigs run programs.
    pub insecure_kubeconfig_exec: bool,
    /// Let kubeconfigs switch off TLS checks.
    pub insecure_kubeconfig_tls: bool,
    /// What is kept for how long.
    pub retention: Retention,
}

/// What is kept for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How old deliveries may grow.
    pub keep_deliveries: Duration,
    /// How many are kept at most.
    pub max_deliveries: u64,
    /// How many bodies are kept at most.
    pub max_bodies: u64,
    /// How old finished jobs may grow.
    pub keep_jobs: Duration,
    /// How many are kept at most.
    pub max_jobs: u64,
    /// How old finished messages may grow.
    pub keep_messages: Duration,
}

/// What a command needs to find a running agent.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The agent's API over TCP; without it the socket.
    pub server: Option<Url>,
    /// The token to send.
    pub token: Option<SecretString>,
    /// The state directory with the socket.
    pub state: PathBuf,
    /// The namespace meant.
    pub namespace: Option<String>,
}

/// A setting is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Its value is none.
    #[error("{setting} cannot be `{value}`: {reason}")]
    Invalid {
        /// As its user wrote it, in backticks: flag, variable, or key and file.
        setting: String,
        /// The value.
        value: String,
        /// Why not, with a hint.
        reason: String,
    },
    /// The file cannot be read.
    #[error("failed to read the settings in `{}`: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file has a key that is none of ours.
    #[error(
        "`{key}` in `{}` is not a setting\nhint: `sluice serve --help` lists them; keys are the flags without dashes in front",
        path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// Nothing says where state should go.
    #[error(
        "there is no place for the state directory: neither XDG_STATE_HOME nor HOME is set\nhint: give one with `--state DIR`"
    )]
    NoState,
}

impl Settings {
    /// The settings of `sluice serve`.
    pub fn load(flags: &Flags, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let raw = Raw::merge(flags, environment)?;
        let settings = Self {
            listen: raw.required("listen", address)?,
            api_listen: raw.parsed("api-listen", address_or_off)?.flatten(),
            api_token: raw.parsed("api-token-file", token)?,
            metrics_listen: raw.parsed("metrics-listen", address_or_off)?.flatten(),
            public_url: raw.parsed("public-url", web_address)?,
            trusted_proxies: raw.parsed("trusted-proxies", networks)?.unwrap_or_default(),
            accept_sha1: raw.required("accept-sha1", switch)?,
            state: state(&raw, environment)?,
            log: LogSettings {
                level: raw
                    .required("log-level", |text| LogSettings::check_level(text).map(|()| text.to_owned()))?,
                format: raw.required("log-format", |text| match text {
                    "text" => Ok(LogFormat::Text),
                    "json" => Ok(LogFormat::Json),
                    _ => Err("it is `text` or `json`".to_owned()),
                })?,
            },
            concurrent: raw.required("concurrent", |text| count(text, 10_000))?,
            kube_in_flight: raw.required("kube-in-flight", |text| count(text, 1_000))?,
            no_cross_namespace_refs: raw.required("no-cross-namespace-refs", switch)?,
            no_local_addresses: raw.required("no-local-addresses", switch)?,
            default_service_account: raw.text("default-service-account").map(str::to_owned),
            insecure_kubeconfig_exec: raw.required("insecure-kubeconfig-exec", switch)?,
            insecure_kubeconfig_tls: raw.required("insecure-kubeconfig-tls", switch)?,
            retention: Retention {
                keep_deliveries: raw.required("keep-deliveries", retention)?,
                max_deliveries: raw.required("max-deliveries", number)?,
                max_bodies: raw.required("max-bodies", number)?,
                keep_jobs: raw.required("keep-jobs", retention)?,
                max_jobs: raw.required("max-jobs", number)?,
                keep_messages: raw.required("keep-messages", duration)?,
            },
        };
        if let Some(address) = settings.api_listen
            && !address.ip().is_loopback()
            && settings.api_token.is_none()
        {
            return Err(raw.refuse(
                "api-listen",
                "others can reach this address, and the API would answer anybody\nhint: give a token with `--api-token-file FILE`, or listen on 127.0.0.1".to_owned(),
            ));
        }
        Ok(settings)
    }

    /// The defaults with another state directory: the demo's and the tests' starting point.
    pub fn with_state(state: &Path) -> Result<Self, ConfigError> {
        let mut flags = Flags::default();
        flags.set("state", state.display().to_string());
        Self::load(&flags, &std::collections::BTreeMap::<&str, &str>::new())
    }

    /// Where the API's socket is.
    pub fn socket(&self) -> PathBuf {
        socket(&self.state)
    }
}

impl ClientSettings {
    /// The settings of a command that talks to a running agent.
    pub fn load(flags: &ClientFlags, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let raw = Raw::merge(&flags.0, environment)?;
        Ok(Self {
            server: raw.parsed("server", web_address)?,
            token: raw.parsed("api-token-file", token)?,
            state: state(&raw, environment)?,
            namespace: raw.text("namespace").map(str::to_owned),
        })
    }

    /// Where the API's socket is.
    pub fn socket(&self) -> PathBuf {
        socket(&self.state)
    }
}

/// The reference page of all settings, as it stands in `docs/reference/settings.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Settings\n\n<!-- written by `sluice reference settings`; change src/config/table.rs instead -->\n\n\
         A flag beats a variable, a variable beats the file given with `--config` (or `SLUICE_CONFIG`), the file\n\
         beats the default. The file is TOML; its keys are the flags without the dashes in front.\n\n\
         | flag | variable | default | meaning |\n|---|---|---|---|\n",
    );
    for row in table::TABLE {
        let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
        let whose = match row.scope {
            table::Scope::Client => " (commands that talk to an agent)",
            table::Scope::Agent | table::Scope::Both => "",
        };
        page.push_str(&format!(
            "| `--{}` | `{}` | {default} | {}{whose} |\n",
            row.name,
            row.variable(),
            row.help
        ));
    }
    page
}

fn socket(state: &Path) -> PathBuf {
    state.join("api.sock")
}

fn state(raw: &Raw, environment: &dyn Environment) -> Result<PathBuf, ConfigError> {
    if let Some(given) = raw.text("state") {
        return Ok(PathBuf::from(given));
    }
    // systemd gives several, separated by colons, when a unit asks for several; the first is the unit's own.
    if let Some(given) = environment.variable("STATE_DIRECTORY") {
        return Ok(PathBuf::from(given.split(':').next().unwrap_or(&given)));
    }
    if let Some(given) = environment.variable("XDG_STATE_HOME") {
        return Ok(Path::new(&given).join("sluice"));
    }
    let home = environment.variable("HOME").ok_or(ConfigError::NoState)?;
    Ok(Path::new(&home).join(".local/state/sluice"))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let text = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    text.parse().map_err(|_| "it is an address and a port, such as `127.0.0.1:9280`".to_owned())
}

fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" { Ok(None) } else { address(text).map(Some) }
}

fn web_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err("it is an address that begins with `http://` or `https://`".to_owned()),
    }
}

fn token(file: &str) -> Result<SecretString, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let token = text.trim();
    if token.len() < SHORTEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "the token in it must have at least {SHORTEST_TOKEN} printable ASCII characters\nhint: `openssl rand -hex 32 > FILE` makes a good one"
        ));
    }
    Ok(SecretString::from(token.to_owned()))
}

fn networks(text: &str) -> Result<Vec<Network>, String> {
    text.split(',')
        .map(|one| one.trim().parse().map_err(|error: ParseNetworkError| error.to_string()))
        .collect()
}

fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "it is `true` or `false`".to_owned())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it is a whole number".to_owned())
}

fn count(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(format!("it is a whole number from 1 to {most}")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: flux_api::GoDuration =
        text.parse().map_err(|error: flux_api::DurationError| error.to_string())?;
    Ok(parsed.get())
}

fn retention(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration < SHORTEST_RETENTION {
        return Err("it must be at least 72h: forges redeliver for three days".to_owned());
    }
    Ok(duration)
}
