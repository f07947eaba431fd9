//! The members: two real control planes with workloads, started once for all tests.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use crate::client::Api;

/// One member.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) api: Api,
}

impl Member {
    pub(crate) fn kubeconfig_text(&self) -> String {
        std::fs::read_to_string(&self.kubeconfig).unwrap()
    }
}

/// The running control planes. They end when this process does.
pub(crate) struct Planes {
    pub(crate) members: [Member; 2],
    control: Mutex<Control>,
    _child: Child,
}

struct Control {
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Control {
    fn answer(&mut self) -> Value {
        let line = self.answers.next().expect("the control planes ended").unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

/// A member that is down until this is dropped.
pub(crate) struct Outage<'p> {
    planes: &'p Planes,
    member: &'static str,
    end: &'static str,
}

impl Outage<'_> {
    /// Ends the outage; the member answers when this returns.
    pub(crate) fn end(self) {}
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        self.planes.command(self.end, self.member);
    }
}

impl Planes {
    pub(crate) fn shared() -> &'static Self {
        static PLANES: OnceLock<Planes> = OnceLock::new();
        PLANES.get_or_init(Self::start)
    }

    fn start() -> Self {
        let binary = std::env::var_os("TESTCLUSTER").expect("TESTCLUSTER names the testcluster binary");
        let dir = directory();
        let mut child = Command::new(binary)
            .args(["up", "--exit-with-parent", "--clusters", "member1,member2"])
            .args(["--with-workloads", "member1,member2", "--timeout", "3m", "--dir"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("TESTCLUSTER can be run");
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut control = Control { commands, answers };
        let ready = control.answer();
        eprintln!("two control planes are ready after {} s", ready["seconds"]);
        let member = |name: &'static str| {
            let kubeconfig = PathBuf::from(ready["clusters"][name]["kubeconfig"].as_str().unwrap());
            let api = Api::new(&std::fs::read_to_string(&kubeconfig).unwrap());
            Member { name, kubeconfig, api }
        };
        Self { members: [member("member1"), member("member2")], control: Mutex::new(control), _child: child }
    }

    pub(crate) fn member(&self, number: usize) -> &Member {
        &self.members[number - 1]
    }

    fn command(&self, verb: &str, member: &str) {
        // A test that failed while it held this must not fail the others.
        let mut control = self.control.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        writeln!(control.commands, "{verb} {member}").unwrap();
        let answer = control.answer();
        assert_eq!(answer["ok"], true, "{answer}");
    }

    /// Kills a member: its port refuses.
    pub(crate) fn kill(&self, number: usize) -> Outage<'_> {
        let member = self.member(number).name;
        self.command("kill", member);
        Outage { planes: self, member, end: "start" }
    }

    /// Stops a member in its tracks: its port accepts, and nothing answers.
    pub(crate) fn hang(&self, number: usize) -> Outage<'_> {
        let member = self.member(number).name;
        self.command("stop", member);
        Outage { planes: self, member, end: "cont" }
    }
}

/// A directory of this process; those of processes that are gone are removed.
fn directory() -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if let Some(process) = name.strip_prefix("planes-")
            && !Path::new("/proc").join(process).exists()
        {
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
    parent.join(format!("planes-{}", std::process::id()))
}
