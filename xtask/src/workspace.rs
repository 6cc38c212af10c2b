//! The checkout that this program was built from, and cargo run in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Root of the checkout.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Directory of cargo's results.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A cargo command in the checkout.
///
/// What cargo told this program about itself is taken out of the environment: build scripts that
/// look at it would run again, and all that depends on them, whenever a person has built by hand.
pub fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root()).args(arguments);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end; a failure names it.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(status.success(), "`{shown}` ended with {status}");
    Ok(())
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    if let Some(name) = words[0].rsplit('/').next() {
        words[0] = name.to_owned();
    }
    words.join(" ")
}

/// How a build is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build, with checks; what tests run.
    Dev,
    /// What users run.
    Release,
}

impl Profile {
    fn directory(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            Profile::Release => "release",
        }
    }
}

/// Builds every test and the programs that they run, and gives the directory of the programs.
///
/// One build of the whole workspace: each package on its own would build its dependencies again
/// with other features.
pub fn build_tests() -> Result<PathBuf> {
    run(&mut cargo(&["test", "--workspace", "--no-run", "--quiet"]))?;
    Ok(target().join(Profile::Dev.directory()))
}

/// Builds `holdfast` and gives the directory it is in.
pub fn build_program(profile: Profile) -> Result<PathBuf> {
    let mut arguments = vec!["build", "--package", "holdfast", "--bin", "holdfast"];
    if profile == Profile::Release {
        arguments.push("--release");
    }
    run(&mut cargo(&arguments))?;
    Ok(target().join(profile.directory()))
}

/// Builds the testbed's own processes; they are the same for every profile of `holdfast`.
pub fn build_testbed() -> Result<PathBuf> {
    run(&mut cargo(&["build", "--package", "holdfast-testbed", "--bin", "holdfast-testbed"]))?;
    Ok(target().join(Profile::Dev.directory()).join("holdfast-testbed"))
}
