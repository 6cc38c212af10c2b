//! The program under test with a home and a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A way to run the program; its directory goes away with it.
pub struct Program {
    directory: tempfile::TempDir,
}

/// What a run printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// The standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

impl Program {
    /// A program with an empty home.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A program with a vault `v` in a directory, whose recovery key is in `v.recovery`.
    pub fn with_vault() -> Self {
        let program = Self::new();
        program.ok(&[
            "vault",
            "init",
            "v",
            "--url",
            &program.url("v"),
            "--recovery-key",
            &program.path("v.recovery"),
        ]);
        program
    }

    /// A path in the program's directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same as text.
    pub fn path(&self, name: &str) -> String {
        self.file(name).into_os_string().into_string().unwrap()
    }

    /// Address of a vault in the program's directory.
    pub fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name))
    }

    /// The command with these arguments, and nothing of this process's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.env_clear().env("HOLDFAST_HOME", self.file("home")).env("COLUMNS", "100");
        command.args(arguments).stdin(Stdio::null()).current_dir(self.directory.path());
        command
    }

    /// Runs it to its end, whatever that is.
    pub fn run(&self, arguments: &[&str]) -> Said {
        finish(self.command(arguments))
    }

    /// Runs it and expects exit code 0.
    pub fn ok(&self, arguments: &[&str]) -> Said {
        self.expect(0, arguments)
    }

    /// Runs it and expects this exit code.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, code, "holdfast {}: {said:#?}", arguments.join(" "));
        said
    }

    /// `text` with the program's directory replaced, so that it is the same in every run.
    pub fn stable(&self, text: &str) -> String {
        text.replace(&self.path("").trim_end_matches('/').to_owned(), "DIR")
    }
}

/// Runs a command to its end.
pub fn finish(mut command: Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Every file below a directory.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
