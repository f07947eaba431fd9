//! How the program is linked.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if is_understood() {
        // Three megabytes of the program say which of its constants hold addresses; packed they are a hundred kilobytes.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether what starts the program knows packed relocations: musl as Rust brings it along does, glibc from 2.36 on. An
/// older one refuses to start what was linked here, and names what it lacks.
fn is_understood() -> bool {
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") != "linux" {
        return false;
    }
    match target("ENV").as_str() {
        "musl" => true,
        "gnu" => {
            std::env::var("HOST") == std::env::var("TARGET")
                && glibc().is_some_and(|version| version >= (2, 36))
        }
        _ => false,
    }
}

/// The version of this machine's glibc: `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let said = String::from_utf8(said).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
