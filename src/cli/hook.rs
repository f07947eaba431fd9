//! `sluice hook`: the address of a receiver, and a signed delivery to it, as CI sends one.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use flux_api::ReceiverType;
use secrecy::{ExposeSecret as _, SecretString};

use super::client::Client;
use super::output::{Mark, clean, print, table};
use super::usage::usage;
use super::words::name_line;
use super::{Answer, Context, Format, formatted, seconds};
use crate::api::wire::HookLine;
use crate::config::{Environment, ProcessEnvironment};
use crate::model::{Clock, DeliveryId};
use crate::receiver::{Provider, sign};

/// Largest body sent; receivers take no more.
const MAX_BODY: u64 = 25 << 20;
/// Largest answer shown.
const MAX_ANSWER: usize = 64 << 10;

/// Addresses of receivers, and deliveries to them
#[derive(Debug, clap::Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value, parsed once")]
pub(super) enum Hook {
    /// Where receivers listen
    Url(UrlArgs),
    /// Sign a body as a forge would, and send it
    Send(SendArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct UrlArgs {
    /// The Receiver; without it all of them
    receiver: Option<String>,
    /// How to print
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SendArgs {
    /// The Receiver, asked for at a running agent; not needed with `--url`
    receiver: Option<String>,
    /// The whole address of the hook (`https://…/hook/…`)
    #[arg(long)]
    url: Option<url::Url>,
    /// Where `--listen` answers, when the agent does not know its public address
    #[arg(long, value_name = "URL")]
    base: Option<url::Url>,
    /// The type of the Receiver, when it is not asked for at an agent
    #[arg(long = "type", value_name = "TYPE", help = type_help())]
    kind: Option<String>,
    /// A file with the receiver's token; else SLUICE_HOOK_TOKEN. Where the path is the only proof none is needed
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The event, for senders that name it in a header
    #[arg(long)]
    event: Option<String>,
    /// The body; `-` is stdin
    #[arg(long, value_name = "FILE", default_value = "-")]
    body: PathBuf,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = seconds)]
    timeout: Duration,
}

pub(super) async fn run(command: Hook, cx: &Context) -> anyhow::Result<Answer> {
    match command {
        Hook::Url(args) => url(args, cx).await,
        Hook::Send(args) => send(args, cx).await,
    }
}

async fn url(args: UrlArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let client = Client::new(cx)?;
    let mut hooks: Vec<HookLine> = client.get("/hooks").await?;
    hooks.retain(|hook| client.namespace().is_none_or(|namespace| hook.receiver.namespace == namespace));
    if let Some(name) = &args.receiver {
        hooks.retain(|hook| is_named(hook, name));
        if hooks.is_empty() {
            bail!("there is no Receiver `{name}`\nhint: `sluice hook url` lists them");
        }
    }
    match args.output {
        Some(format @ (Format::Json | Format::Yaml)) => {
            print(&formatted(&hooks, format)?)?;
            return Ok(Answer::Done);
        }
        Some(Format::Name) => {
            print(&hooks.iter().map(|hook| name_line(&hook.receiver)).collect::<String>())?;
            return Ok(Answer::Done);
        }
        None | Some(Format::Wide) => {}
    }
    let wide = args.output == Some(Format::Wide);
    // One that was asked for by name is for a script: the address alone.
    if let ([hook], true, false) = (&hooks[..], args.receiver.is_some(), wide) {
        let Some(address) = hook.url.as_ref().or(hook.path.as_ref()) else {
            bail!(
                "`{}` is not served: its token cannot be read\nhint: `sluice get receivers` says why",
                hook.receiver
            );
        };
        print(&format!("{address}\n"))?;
        if hook.url.is_none() {
            terminal.say(
                Mark::Skipped,
                "this is the path alone: start the agent with `--public-url` to get the whole address",
            );
        }
        return Ok(Answer::Done);
    }
    print(&hook_table(&hooks, wide))?;
    Ok(Answer::Done)
}

/// With `wide`, the path by itself, for senders that reach the agent by another address.
fn hook_table(hooks: &[HookLine], wide: bool) -> String {
    let rows: Vec<Vec<String>> = hooks
        .iter()
        .map(|hook| {
            let address = hook.url.as_ref().or(hook.path.as_ref());
            let mut row = vec![
                hook.receiver.namespace.clone(),
                hook.receiver.name.clone(),
                hook.provider.clone(),
                if hook.suspended { "True" } else { "False" }.to_owned(),
                address.cloned().unwrap_or_else(|| "not served: its token cannot be read".to_owned()),
            ];
            if wide {
                row.push(hook.path.clone().unwrap_or_default());
            }
            row
        })
        .collect();
    let mut header = vec!["NAMESPACE", "NAME", "TYPE", "SUSPENDED", "URL"];
    if wide {
        header.push("PATH");
    }
    table(Some(&header), &rows)
}

fn is_named(hook: &HookLine, name: &str) -> bool {
    match name.split_once('/') {
        Some((namespace, name)) => hook.receiver.namespace == namespace && hook.receiver.name == name,
        None => hook.receiver.name == name,
    }
}

async fn send(args: SendArgs, cx: &Context) -> anyhow::Result<Answer> {
    let terminal = cx.terminal;
    let (address, kind) = match (&args.url, &args.kind) {
        (Some(url), Some(kind)) => (url.to_string(), kind.clone()),
        (Some(_), None) => {
            return Err(usage(
                "with `--url` the way to sign must be given\nhint: for example `--type generic-hmac`",
            ));
        }
        (None, kind) => {
            let hook = find(&args, cx).await?;
            let address = address(&hook, args.base.as_ref())?;
            (address, kind.clone().unwrap_or(hook.provider))
        }
    };
    let provider = provider(&kind)?;
    let token = match proves_by_path(provider) {
        true => SecretString::from(String::new()),
        false => token(args.token_file.as_deref())?,
    };
    let body = read_body(&args.body)?;
    let id = DeliveryId::generate();
    let headers = sign(provider, token.expose_secret().as_bytes(), &body, id.as_str(), Clock::system().now());
    let http =
        reqwest::Client::builder().timeout(args.timeout).build().context("failed to prepare the request")?;
    let mut request = http.post(&address).header("content-type", "application/json");
    let event = args.event.as_deref();
    for (name, value) in headers {
        let is_event =
            name.to_ascii_lowercase().ends_with("-event") || name.eq_ignore_ascii_case("x-event-key");
        request = request.header(name, event.filter(|_| is_event).unwrap_or(&value));
    }
    // The path is a secret of its own: it is not repeated.
    let response = request
        .body(body)
        .send()
        .await
        .map_err(|error| error.without_url())
        .context("failed to send the delivery")?;
    let status = response.status();
    let answer = answer(response).await;
    let text = format!("{status} {}", answer.trim());
    let mark = if status.is_success() { Mark::Done } else { Mark::Failed };
    terminal.say(mark, text.trim_end());
    Ok(if status.is_success() { Answer::Done } else { Answer::Failed })
}

async fn answer(mut response: reqwest::Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            break;
        }
    }
    clean(&String::from_utf8_lossy(&body))
}

async fn find(args: &SendArgs, cx: &Context) -> anyhow::Result<HookLine> {
    let Some(name) = &args.receiver else {
        return Err(usage("where to send is missing\nhint: name a Receiver, or give `--url` and `--type`"));
    };
    let client = Client::new(cx)?;
    let mut hooks: Vec<HookLine> = client.get("/hooks").await?;
    hooks.retain(|hook| {
        is_named(hook, name)
            && client.namespace().is_none_or(|namespace| hook.receiver.namespace == namespace)
    });
    match hooks.len() {
        0 => bail!("there is no Receiver `{name}`\nhint: `sluice hook url` lists them"),
        1 => Ok(hooks.remove(0)),
        many => bail!("{many} Receivers are called `{name}`\nhint: name its namespace with `-n`"),
    }
}

fn address(hook: &HookLine, base: Option<&url::Url>) -> anyhow::Result<String> {
    let Some(path) = &hook.path else {
        bail!(
            "`{}` is not served: its token cannot be read\nhint: `sluice get receivers` says why",
            hook.receiver
        );
    };
    match (base, &hook.url) {
        (Some(base), _) => Ok(format!("{}{path}", base.as_str().trim_end_matches('/'))),
        (None, Some(url)) => Ok(url.clone()),
        (None, None) => {
            bail!(
                "the agent does not know the address under which it is reached\nhint: give it with `--base http://127.0.0.1:9292`"
            )
        }
    }
}

fn provider(kind: &str) -> anyhow::Result<Provider> {
    let parsed = serde_json::from_value::<ReceiverType>(kind.into()).ok().map(Provider::of);
    let provider = parsed.ok_or_else(|| {
        usage(format!(
            "`{kind}` is no type of a Receiver\nhint: types are {}",
            ReceiverType::WORDS.join(", ")
        ))
    })?;
    if !provider.signs() {
        bail!(
            "cannot sign for receivers of type `{kind}`: their senders prove themselves by a token that only its issuer can make\nhint: send it with `curl -H \"Authorization: Bearer $TOKEN\"`"
        );
    }
    Ok(provider)
}

/// Senders of these show no token: knowing the path is all the proof there is.
fn proves_by_path(provider: Provider) -> bool {
    matches!(
        provider,
        Provider::Generic | Provider::DockerHub | Provider::Quay | Provider::Acr | Provider::CdEvents
    )
}

fn type_help() -> String {
    format!(
        "The type of the Receiver, when it is not asked for at an agent: {}",
        ReceiverType::WORDS.join(", ")
    )
}

fn token(file: Option<&Path>) -> anyhow::Result<SecretString> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file)
            .with_context(|| format!("failed to read the token in `{}`", file.display()))?,
        None => ProcessEnvironment.variable("SLUICE_HOOK_TOKEN").context(
            "the receiver's token is missing\nhint: give its file with `--token-file`, or set SLUICE_HOOK_TOKEN",
        )?,
    };
    // A file written by an editor ends in a newline that is not part of the token.
    Ok(SecretString::from(text.strip_suffix('\n').unwrap_or(&text).to_owned()))
}

fn read_body(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    let what = || format!("failed to read the body from `{}`", file.display());
    if file == Path::new("-") {
        std::io::stdin().take(MAX_BODY + 1).read_to_end(&mut body).with_context(what)?;
    } else {
        let opened = std::fs::File::open(file).with_context(what)?;
        opened.take(MAX_BODY + 1).read_to_end(&mut body).with_context(what)?;
    }
    if body.len() as u64 > MAX_BODY {
        bail!("the body has more than {MAX_BODY} bytes, which no receiver takes");
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wide_table_has_the_path_by_itself() {
        let hook = HookLine {
            receiver: crate::model::ObjectKey::new(crate::model::Kind::Receiver, "apps", "push"),
            provider: "github".to_owned(),
            path: Some("/hook/ab".to_owned()),
            url: Some("https://hooks.example/hook/ab".to_owned()),
            suspended: false,
        };
        let line = |wide| hook_table(std::slice::from_ref(&hook), wide).lines().last().unwrap().to_owned();
        assert!(line(false).ends_with("https://hooks.example/hook/ab"));
        assert!(line(true).ends_with("https://hooks.example/hook/ab\t/hook/ab"));
    }

    #[test]
    fn a_token_is_asked_for_only_where_it_proves_something() {
        for kind in ReceiverType::WORDS {
            let Ok(provider) = provider(kind) else {
                assert!(matches!(*kind, "gcr" | "generic-oidc"), "{kind}");
                continue;
            };
            let at = "2026-11-24T10:00:00Z".parse().unwrap();
            let signed = |token: &str| sign(provider, token.as_bytes(), b"{}", "1", at);
            assert_eq!(proves_by_path(provider), signed("one") == signed("two"), "{kind}");
            assert!(type_help().contains(kind));
        }
    }
}
