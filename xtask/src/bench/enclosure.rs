//! Where measuring happens: in an optimised program, in a mount namespace that ends with its last process.
//!
//! Loop devices detach themselves with the mounts they are for, and their files have no name, so that the
//! kernel takes everything away however the benchmark ends: by Ctrl-C and by SIGKILL, too.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use holdfast_testbed::{HOST_ADDRESS, host};
use rustix::mount::{MountFlags, mount};

use crate::stage;
use crate::workspace::{self, build_testbed, cargo};

/// Set for the program inside.
const INSIDE: &str = "HOLDFAST_BENCH_INSIDE";

/// Whether this program is the one that measures.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Builds this program for release and becomes it, with mounts of its own.
pub fn enter() -> Result<()> {
    host::prepare(&stage::reporter())?;
    let testbed = build_testbed()?;
    workspace::run(&mut cargo(&["build", "--release", "--package", "xtask"]))?;
    let program = workspace::target().join("release/xtask");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "slave", "--"])
        .arg(&program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .env("HOLDFAST_TESTBED_BIN", testbed)
        .env("NO_PROXY", without_proxy());
    Err(command.exec()).with_context(|| format!("cannot become {} in a mount namespace", program.display()))
}

/// `NO_PROXY` with the addresses of the testbed, which no proxy knows a way to.
fn without_proxy() -> String {
    let own = format!("{HOST_ADDRESS}/15");
    match std::env::var("NO_PROXY") {
        Ok(others) if !others.is_empty() => format!("{others},{own}"),
        _ => own,
    }
}

/// The empty directory below which all file systems of a benchmark are mounted.
pub fn ground() -> Result<PathBuf> {
    let path = workspace::target().join("bench");
    std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    mount("bench", &path, "tmpfs", MountFlags::empty(), None)
        .with_context(|| format!("cannot mount a tmpfs at {}", path.display()))?;
    Ok(path)
}
