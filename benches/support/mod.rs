//! What both benches need: the agent as a process of its own, figures, the machine's load.

// Started from threads and before any runtime, so timers of tokio are not at hand.
#![allow(dead_code, clippy::disallowed_methods)]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An agent under test.
pub(crate) struct AgentProcess {
    child: Child,
    manifests: PathBuf,
    state: PathBuf,
    pub(crate) listen: SocketAddr,
}

impl AgentProcess {
    /// Starts the agent and returns once its port answers.
    pub(crate) fn start(manifests: &Path, state: &Path) -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let listen = free.local_addr().unwrap();
        drop(free);
        let child = spawn(manifests, state, listen);
        Self { child, manifests: manifests.to_owned(), state: state.to_owned(), listen }
    }

    /// SIGKILL, and a new process on the same state and port.
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.manifests, &self.state, self.listen);
    }

    /// The most memory it ever had, in MB.
    pub(crate) fn peak_memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
    }

    /// SIGKILL: whatever was acknowledged must be on disk anyway.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn spawn(manifests: &Path, state: &Path, listen: SocketAddr) -> Child {
    // Another build can be measured by naming it.
    let binary = std::env::var_os("SLUICE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_sluice").into());
    let mut child = Command::new(binary)
        .arg("serve")
        .arg(manifests)
        .arg("--state")
        .arg(state)
        .args([
            "--listen",
            &listen.to_string(),
            "--api-listen",
            "off",
            "--metrics-listen",
            "off",
            "--log-level",
            "warn",
        ])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(listen).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "the agent ended");
        assert!(Instant::now() < deadline, "the agent does not answer");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Durations, sorted.
pub(crate) struct Figures(Vec<Duration>);

impl Figures {
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort();
        Self(all)
    }

    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let place = ((self.0.len() as f64 * part).ceil() as usize).clamp(1, self.0.len());
        self.0[place - 1]
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return write!(f, "nothing measured");
        }
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        write!(
            f,
            "p50 {:.1} ms, p99 {:.1} ms ({:.1} to {:.1}, n={})",
            ms(self.quantile(0.5)),
            ms(self.quantile(0.99)),
            ms(self.quantile(0.0)),
            ms(self.quantile(1.0)),
            self.0.len()
        )
    }
}

/// The load average, to be shown beside every figure.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// A number from the command line, as `--name 5`.
pub(crate) fn argument(name: &str, default: usize) -> usize {
    let all: Vec<String> = std::env::args().collect();
    let place = all.iter().position(|argument| argument == &format!("--{name}"));
    place.map_or(default, |place| all[place + 1].parse().unwrap())
}
