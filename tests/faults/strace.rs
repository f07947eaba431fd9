//! `strace` beside a running agent: it counts, fails or kills system calls, and lists them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// A tracer; the agent goes on without it when it is dropped.
pub(crate) struct Strace(Child);

impl Strace {
    /// Follows every thread of a process from now on.
    pub(crate) fn attach(process: u32, arguments: &[&str]) -> Self {
        let child = Command::new("strace")
            .args(["-f", "-p", &process.to_string()])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("failed to run `strace`: {error}\nhint: install it (Debian: apt-get install strace)")
            });
        // From here on it is ended and waited for, whatever happens.
        let mut tracer = Self(child);
        let mut lines = BufReader::new(tracer.0.stderr.take().unwrap()).lines();
        let mut said = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            if line.contains("attached") {
                // Whatever else it says is read, or it would stop at a full pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return tracer;
            }
            said.push_str(&line);
        }
        panic!("strace did not attach: {said}\nhint: this machine may not allow tracing (ptrace)");
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
