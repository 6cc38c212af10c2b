//! What every side of the benchmark can do.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::place::{Location, Place};

/// The one password of all repositories here.
pub const PASSWORD: &str = "a benchmark keeps no secrets";

/// A program that keeps copies of directories.
pub trait Program {
    /// Its name in results.
    fn name(&self) -> &'static str;

    /// Its version and, in words, how it is set up.
    fn version(&self) -> Result<String>;

    /// Makes an empty repository; not measured.
    fn create(&self, place: &Place) -> Result<()>;

    /// The job that backs up `source`.
    fn backup(&self, place: &Place, source: &Path) -> Result<Job>;

    /// The job that restores the newest copy of `source` to the place's directory for that.
    fn restore(&self, place: &Place, source: &Path) -> Result<Job>;

    /// Hears what a job wrote to its standard output.
    fn said(&self, _place: &Place, _output: &str) -> Result<()> {
        Ok(())
    }
}

/// What is measured.
pub struct Job {
    /// The command.
    pub command: Command,
    /// What is done beside it, for as long as it runs.
    pub meanwhile: Option<Box<dyn FnOnce() + Send>>,
}

impl From<Command> for Job {
    fn from(command: Command) -> Self {
        Self { command, meanwhile: None }
    }
}

/// Runs a command that is not measured and gives its output.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("cannot start {name}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{name}: {}: {}", done.status, said.trim());
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The credentials of an S3 server in the usual variables.
pub fn credentials(command: &mut Command, location: &Location) {
    if let Location::Bucket { keys: (access, secret), region, .. } = location {
        command
            .env("AWS_ACCESS_KEY_ID", access)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_REGION", region);
    }
}

/// Address and port of an endpoint without encryption.
pub fn without_scheme(endpoint: &str) -> Result<&str> {
    match endpoint.strip_prefix("http://") {
        Some(address) => Ok(address),
        None => bail!("{endpoint} is not a plain http endpoint"),
    }
}
