//! `sluice demo`: a whole small world in one process.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Context;
use super::attach::attach;
use crate::config::{Environment, Flags, ProcessEnvironment, Settings};
use crate::demo::tour::{self, DemoOptions, Whereabouts};
use crate::telemetry;

/// Run a whole small world in one process: git repository, image registry, two member clusters, a chat
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Play the steps, check each, and exit
    #[arg(long)]
    tour: bool,
    /// Two kubeconfigs of real clusters instead of simulated ones
    #[arg(long = "kubeconfig", value_name = "FILE")]
    kubeconfigs: Vec<PathBuf>,
    /// The port of webhooks; 0: any
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    hook_port: u16,
    /// The port of the git repository; 0: any
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    git_port: u16,
    /// The port of the image registry; 0: any
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    registry_port: u16,
    /// Where everything is kept; without it in a directory that goes with the demo
    #[arg(long)]
    dir: Option<PathBuf>,
    /// trace, debug, info, warn, error, or a filter per module
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    log_level: String,
}

pub(super) async fn run(args: DemoArgs, cx: &Context) -> anyhow::Result<ExitCode> {
    let mut flags = Flags::default();
    flags.set("log-level", args.log_level);
    // The demo's own ports are free ones: a real agent may run beside it.
    flags.set("api-listen", "127.0.0.1:0");
    flags.set("metrics-listen", "off");
    let settings = Settings::load(&flags.over(&cx.flags.0), &ProcessEnvironment)?;
    telemetry::init(&settings.log).map_err(anyhow::Error::msg)?;
    let options = DemoOptions {
        tour: args.tour,
        kubeconfigs: args.kubeconfigs,
        hook_port: args.hook_port,
        git_port: args.git_port,
        registry_port: args.registry_port,
        dir: args.dir,
        program: program(&ProcessEnvironment),
    };
    tour::run(options, async |agent, Whereabouts { state, hooks }| {
        // What is printed for people to try has to be what `sluice hook url` says.
        let public_url = settings.public_url.clone().or_else(|| format!("http://{hooks}").parse().ok());
        let settings = Settings { state, public_url, ..settings };
        attach(agent, &settings).await
    })
    .await
}

/// How this program can be called from another terminal: by name if it is found so, else by its whole path.
fn program(environment: &dyn Environment) -> String {
    const NAME: &str = "sluice";
    let path = environment.variable("PATH").unwrap_or_default();
    let is_found = std::env::split_paths(&path).any(|dir| dir.join(NAME).is_file());
    match std::env::current_exe() {
        Ok(program) if !is_found => program.display().to_string(),
        _ => NAME.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn commands_to_try_can_be_typed() {
        let dir = tempfile::tempdir().unwrap();
        let path = format!("/nonexistent:{}", dir.path().display());
        let environment = BTreeMap::from([("PATH", path.as_str())]);
        assert_eq!(program(&environment), std::env::current_exe().unwrap().display().to_string());
        std::fs::write(dir.path().join("sluice"), "").unwrap();
        assert_eq!(program(&environment), "sluice");
    }
}
