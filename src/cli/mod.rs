//! The command line: one file per command. Parses, asks a running agent (or reads a directory), prints.
//!
//! Takes no decision about any Kubernetes object. Results go to stdout, everything else to stderr; exit codes are 0 done,
//! 1 failed, 2 usage, and `diff`'s are those of `kubectl diff`.

mod attach;
mod chart_directory;
mod check;
mod client;
mod columns;
mod deliveries;
mod demo;
mod diff;
mod explain;
mod get;
mod helm_flags;
mod hook;
mod output;
mod reconcile;
mod serve;
mod sse;
mod store;
pub mod template;
mod usage;
mod wait;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser};
use serde::Serialize;

use crate::api::wire::VersionInfo;
use crate::config::{self, ClientFlags};
use output::{Mark, Terminal, print};

/// Push-based continuous delivery for Kubernetes that reads Flux's YAML.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    flags: ClientFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value, parsed once")]
enum Command {
    Serve(Box<serve::ServeArgs>),
    Demo(demo::DemoArgs),
    Get(get::GetArgs),
    Reconcile(reconcile::ReconcileArgs),
    Suspend(reconcile::SuspendArgs),
    Resume(reconcile::ResumeArgs),
    Diff(diff::DiffArgs),
    Explain(explain::ExplainArgs),
    Wait(wait::WaitArgs),
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    #[command(subcommand)]
    Hook(hook::Hook),
    #[command(subcommand)]
    Store(store::Store),
    Check(check::CheckArgs),
    #[command(override_usage = "sluice template [OPTIONS] [NAME] CHART")]
    Template(Box<template::TemplateArgs>),
    /// Show the versions of this program and of the running agent
    Version(VersionArgs),
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print reference pages, for `docs/`
    #[command(hide = true)]
    Reference {
        /// Which
        page: Page,
    },
}

#[derive(Debug, clap::Args)]
struct VersionArgs {
    /// This program's alone
    #[arg(long)]
    client: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Page {
    Settings,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Json,
    Yaml,
    Name,
    Wide,
}

/// How results are printed that are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Document {
    Json,
    Yaml,
}

impl From<Document> for Format {
    fn from(document: Document) -> Self {
        match document {
            Document::Json => Format::Json,
            Document::Yaml => Format::Yaml,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// As it should. For `diff`: nothing would change.
    Done,
    /// It did not. For `diff`: something would change.
    Failed,
    /// For `diff`: it could not be told.
    Trouble,
}

/// What every command is given.
struct Context {
    terminal: Terminal,
    flags: ClientFlags,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        ExitCode::from(match answer {
            Answer::Done => 0,
            Answer::Failed => 1,
            Answer::Trouble => 2,
        })
    }
}

/// A thread for blocking work that had none for this long ends. tokio's ten seconds keep as many as there ever were, since
/// what is done each second goes round them; and the allocator gives memory back to the system when a thread ends.
const IDLE_THREAD: Duration = Duration::from_millis(500);

/// Parses the command line and does what it says.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new();
    let context = Context { terminal, flags: cli.flags };
    // Waits for nothing and takes a few milliseconds: no threads are started for it.
    if let Command::Template(args) = &cli.command {
        return ended(terminal, template::run(args));
    }
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().enable_all().thread_keep_alive(IDLE_THREAD).build()
        {
            Ok(runtime) => runtime,
            Err(error) => {
                terminal.say(Mark::Failed, format!("failed to start threads: {error}"));
                return ExitCode::FAILURE;
            }
        };
    ended(terminal, runtime.block_on(Box::pin(perform(cli.command, &context))))
}

fn ended(terminal: Terminal, result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        // `sluice get all | head` has got what it wanted.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.fail(&error);
            ExitCode::from(if usage::is_usage(&error) { 2 } else { 1 })
        }
    }
}

async fn perform(command: Command, cx: &Context) -> anyhow::Result<ExitCode> {
    let answer = match command {
        Command::Serve(args) => serve::run(*args, cx).await?,
        Command::Demo(args) => return demo::run(args, cx).await,
        Command::Get(args) => get::run(args, cx).await?,
        Command::Reconcile(args) => reconcile::reconcile(args, cx).await?,
        Command::Suspend(args) => reconcile::suspend(args, cx).await?,
        Command::Resume(args) => reconcile::resume(args, cx).await?,
        Command::Diff(args) => diff::run(args, cx).await?,
        Command::Explain(args) => explain::run(args, cx).await?,
        Command::Wait(args) => wait::run(args, cx).await?,
        Command::Deliveries(command) => deliveries::run(command, cx).await?,
        Command::Hook(command) => hook::run(command, cx).await?,
        Command::Store(command) => store::run(command, cx).await?,
        Command::Check(args) => check::run(args, cx).await?,
        Command::Template(args) => return template::run(&args),
        Command::Version(args) => version(&args, cx).await?,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sluice", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Answer::Done
        }
        Command::Reference { page: Page::Settings } => {
            print(&config::reference())?;
            Answer::Done
        }
    };
    Ok(answer.into())
}

async fn version(args: &VersionArgs, cx: &Context) -> anyhow::Result<Answer> {
    print(&format!("sluice: v{}\n", env!("CARGO_PKG_VERSION")))?;
    if !args.client
        && let Ok(agent) = client::Client::new(cx)?.get::<VersionInfo>("/version").await
    {
        print(&format!("agent: v{}\n", agent.version))?;
    }
    Ok(Answer::Done)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A value as JSON or YAML.
fn formatted(value: &impl Serialize, format: Format) -> anyhow::Result<String> {
    let json = serde_json::to_value(value).context("failed to write the result as JSON")?;
    if format == Format::Yaml {
        return goyaml::to_yaml(&json).context("failed to write the result as YAML");
    }
    let mut text = serde_json::to_string_pretty(&json).context("failed to write the result as JSON")?;
    text.push('\n');
    Ok(text)
}

/// A duration of the command line: `90s`, `5m`, `1h30m`.
fn seconds(text: &str) -> Result<Duration, String> {
    let parsed: Result<flux_api::GoDuration, _> = text.parse();
    parsed.map(flux_api::GoDuration::get).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[tokio::test]
    async fn mistakes_of_usage_are_told_from_failures() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bad.toml");
        std::fs::write(&file, "lissten = 5\n").unwrap();
        let unknown_key = format!("get hr --config {}", file.display());
        let nobody = format!("get hr --state {}", dir.path().display());
        for (line, is_usage) in [
            ("get foo", true),
            ("get hr -l (", true),
            ("get all --watch", true),
            ("get hr --status-selector ready", true),
            ("reconcile hr", true),
            ("reconcile hr a b", true),
            ("suspend hr", true),
            ("resume hr a --all", true),
            ("wait hr", true),
            ("explain foo/bar", true),
            ("get hr --server foo", true),
            ("serve --listen foo", true),
            ("serve --concurrent 0", true),
            ("hook send", true),
            ("hook send --url http://127.0.0.1:1/hook/x", true),
            ("hook send --url http://127.0.0.1:1/hook/x --type smoke", true),
            (&unknown_key, true),
            (&nobody, false),
        ] {
            let cli = Cli::try_parse_from(["sluice"].into_iter().chain(line.split(' '))).unwrap();
            let terminal = Terminal { unicode: true, color: false };
            let context = Context { terminal, flags: cli.flags };
            let error = perform(cli.command, &context).await.unwrap_err();
            assert_eq!(usage::is_usage(&error), is_usage, "{line}: {error:#}");
        }
    }

    #[test]
    fn settings_stand_before_or_after_the_command() {
        for line in [
            "sluice --state /s get hr",
            "sluice get hr --state /s",
            "sluice serve . --state /s --concurrent 3",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let settings =
                config::ClientSettings::load(&cli.flags, &std::collections::BTreeMap::<&str, &str>::new());
            assert_eq!(settings.unwrap().state, std::path::Path::new("/s"), "{line}");
        }
        let template = Cli::try_parse_from(["sluice", "template", "web", "./chart", "-n", "apps"]).unwrap();
        assert!(matches!(template.command, Command::Template(args) if args.namespace == "apps"));
    }
}
