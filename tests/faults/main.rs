//! The agent as a process of its own, treated badly: killed at every step of a push, its disk failing, its credentials
//! looked for in everything it leaves behind. Members, forge and chat are simulated, so that each can do something at the
//! very moment a request arrives or is about to be answered.
//!
//! No fail points are built into the agent: what is tested is the program that is shipped. Disk faults and system calls
//! come from `strace`, which has to be installed.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod canaries;
mod disk;
mod killed;
mod kubeconfigs;
#[path = "../../benches/support/mod.rs"]
mod process;
mod stopped;
mod strace;
mod world;
