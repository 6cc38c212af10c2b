//! The program itself, run as a user runs it, with a home of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::ground::output;
use super::telling::Telling;

/// `holdfast` with a home, credentials and a kubeconfig.
pub struct Program {
    binary: PathBuf,
    home: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Program {
    /// The built program with an empty home.
    pub fn new(binary: &Path, home: &Path) -> Self {
        Self { binary: binary.to_owned(), home: home.to_owned(), environment: Vec::new() }
    }

    /// Adds a variable to the program's environment.
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The command with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--home").arg(&self.home).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it silently and gives its standard output.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.command(arguments)).with_context(|| format!("holdfast {}", arguments.join(" ")))
    }

    /// Runs it as part of the story: the command line, then what it prints.
    pub fn tell(&self, telling: &Telling, arguments: &[&str]) -> Result<String> {
        telling.command(&format!("holdfast {}", arguments.join(" ")));
        let said = self.run(arguments)?;
        telling.output(&said);
        Ok(said)
    }

    /// How the program is called with its home, for a person to repeat.
    pub fn shown(&self) -> String {
        format!("{} --home {}", self.binary.display(), self.home.display())
    }
}
