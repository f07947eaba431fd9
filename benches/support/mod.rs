//! What both benches need: the agent as a process of its own, figures, the machine's load.

// Started from threads and before any runtime, so timers of tokio are not at hand.
#![allow(dead_code, clippy::disallowed_methods)]

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An agent under test.
pub(crate) struct AgentProcess {
    child: Arc<Mutex<Child>>,
    launch: Launch,
    pub(crate) listen: SocketAddr,
}

/// How an agent is started.
#[derive(Clone)]
pub(crate) struct Launch {
    pub(crate) manifests: PathBuf,
    pub(crate) state: PathBuf,
    /// Flags beside those that every run has.
    pub(crate) flags: Vec<String>,
    /// Where its log goes; to ours without one.
    pub(crate) log: Option<PathBuf>,
}

impl Launch {
    pub(crate) fn new(manifests: &Path, state: &Path) -> Self {
        let flags = ["--api-listen", "off", "--metrics-listen", "off", "--log-level", "warn"];
        Self {
            manifests: manifests.to_owned(),
            state: state.to_owned(),
            flags: flags.map(str::to_owned).into(),
            log: None,
        }
    }
}

impl AgentProcess {
    /// Starts the agent and returns once its port answers.
    pub(crate) fn start(manifests: &Path, state: &Path) -> Self {
        Self::launch(Launch::new(manifests, state))
    }

    /// The same with more of a say.
    pub(crate) fn launch(launch: Launch) -> Self {
        let listen = free_address();
        let child = Arc::new(Mutex::new(spawn(&launch, listen)));
        Self { child, launch, listen }
    }

    pub(crate) fn id(&self) -> u32 {
        lock(&self.child).id()
    }

    /// Sends it SIGKILL, from wherever this is called.
    pub(crate) fn killer(&self) -> impl Fn() + Send + Sync + 'static {
        let child = Arc::clone(&self.child);
        move || lock(&child).kill().unwrap()
    }

    /// A new process on the same state and port, after the last one has ended.
    pub(crate) fn restart(&mut self) {
        self.ended();
        *lock(&self.child) = spawn(&self.launch, self.listen);
    }

    /// SIGKILL, and a new process on the same state and port.
    pub(crate) fn kill_and_restart(&mut self) {
        self.killer()();
        self.restart();
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&self) -> Option<ExitStatus> {
        lock(&self.child).try_wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) fn ended(&self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.has_ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "the agent does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The most memory it ever had, in MB.
    pub(crate) fn peak_memory(&self) -> f64 {
        self.memory("VmHWM:")
    }

    /// The memory it has now, in MB.
    pub(crate) fn memory_now(&self) -> f64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|found| found.starts_with(line)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
    }

    /// SIGKILL: whatever was acknowledged must be on disk anyway.
    pub(crate) fn kill(self) {
        self.killer()();
        self.ended();
    }
}

impl Drop for AgentProcess {
    /// A test that failed leaves no agent behind.
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        if child.try_wait().is_ok_and(|ended| ended.is_none()) {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An address that nobody listens at.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

/// The program under test. Another build can be measured by naming it.
pub(crate) fn binary() -> OsString {
    std::env::var_os("SLUICE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_sluice").into())
}

fn spawn(launch: &Launch, listen: SocketAddr) -> Child {
    let mut command = Command::new(binary());
    command
        .arg("serve")
        .arg(&launch.manifests)
        .arg("--state")
        .arg(&launch.state)
        .args(["--listen", &listen.to_string()])
        .args(&launch.flags)
        .stdin(Stdio::null());
    if let Some(log) = &launch.log {
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        command.stderr(log);
    }
    let mut child = command.spawn().unwrap();
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

    /// Those of several runs together.
    pub(crate) fn merge(runs: Vec<Self>) -> Self {
        Self::of(runs.into_iter().flat_map(|run| run.0).collect())
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
