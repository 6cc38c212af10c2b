//! The guard: a process that outlives its owner by the moment it takes to tidy up after it.
//!
//! It holds the reading end of a pipe whose writing end only the owner has. Nothing is ever written: the pipe ends
//! when the owner does, however that happens, and then everything the owner started and did not keep is removed.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::dirs::Cache;
use crate::error::{At, Error, Result};
use crate::kernel::processes::Identity;
use crate::{sweep, tool};

/// The one guard of this process.
static GUARD: Mutex<Option<Child>> = Mutex::new(None);

/// Starts the guard of this process if it has none yet.
pub(crate) fn ensure(cache: &Cache) -> Result<()> {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_some() {
        return Ok(());
    }
    let owner = Identity::own();
    let runs = cache.runs();
    std::fs::create_dir_all(&runs).at("create", &runs)?;
    let log = runs.join("guard.log");
    let output = std::fs::File::options().create(true).append(true).open(&log).at("open", &log)?;
    let errors = output.try_clone().at("open", &log)?;
    let program = program()?;
    let child = Command::new(&program)
        .args(["guard", &owner.pid.to_string(), &owner.start.to_string()])
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .at("start", program)?;
    *guard = Some(child);
    Ok(())
}

/// What the guard does: waits for the owner's end, then tidies up.
pub fn watch(pid: i32, start: u64) -> Result<()> {
    // A session of its own: signals for the owner's terminal are not for the guard. It fails only for a leader of
    // a process group, which is separate already.
    let _ = rustix::process::setsid();
    let mut nothing = [0; 1];
    while matches!(std::io::stdin().read(&mut nothing), Ok(1..)) {}
    sweep::of_owner(pid, start)
}

/// The `holdfast-testbed` program, built if this process was built without it.
pub(crate) fn program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("HOLDFAST_TESTBED_BIN") {
        return Ok(named.into());
    }
    let this = std::env::current_exe().at("find", "this program")?;
    if this.file_stem().is_some_and(|name| name == "holdfast-testbed")
        && this.parent().is_some_and(|dir| !dir.ends_with("deps"))
    {
        return Ok(this);
    }
    let profile = profile_dir(&this);
    let beside = profile.join("holdfast-testbed");
    if beside.is_file() && !is_older_than_source(&beside) {
        return Ok(beside);
    }
    build(&profile)?;
    Ok(beside)
}

/// `target/debug` or its like: where cargo puts programs, from the place of a program or a test.
fn profile_dir(program: &Path) -> PathBuf {
    let dir = program.parent().unwrap_or(Path::new("."));
    let inner = ["deps", "examples"].iter().any(|name| dir.ends_with(name));
    if inner { dir.parent().unwrap_or(dir).to_owned() } else { dir.to_owned() }
}

/// Whether a source file of this crate changed since `program` was made.
fn is_older_than_source(program: &Path) -> bool {
    let made = program.metadata().and_then(|meta| meta.modified());
    let Ok(made) = made else { return true };
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(path) = waiting.pop() {
        if let Ok(items) = std::fs::read_dir(&path) {
            waiting.extend(items.flatten().map(|item| item.path()));
        } else if path.metadata().and_then(|meta| meta.modified()).is_ok_and(|changed| changed > made) {
            return true;
        }
    }
    false
}

fn build(profile: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").map(PathBuf::from).or_else(|| tool::find("cargo"));
    let cargo = cargo.ok_or_else(|| Error::MissingTool {
        tool: "holdfast-testbed".into(),
        hint: "run `cargo build -p holdfast-testbed`, or name it in HOLDFAST_TESTBED_BIN".into(),
    })?;
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "build",
        "--quiet",
        "--package",
        "holdfast-testbed",
        "--bin",
        "holdfast-testbed",
    ]);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    tool::output(&mut command).map(drop)
}
