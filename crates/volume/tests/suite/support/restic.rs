//! Stock restic, the oracle.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Stock restic working on one repository.
pub struct Restic {
    repository: PathBuf,
    cache: tempfile::TempDir,
}

impl Restic {
    pub fn on(repository: &Path) -> Self {
        Self { repository: repository.to_owned(), cache: tempfile::tempdir().unwrap() }
    }

    /// Runs a command that must succeed, in `directory`, and returns what it prints.
    pub fn run_in<S: AsRef<OsStr>>(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> String {
        let output = Command::new(program())
            .current_dir(directory)
            .arg("--repo")
            .arg(&self.repository)
            .arg("--cache-dir")
            .arg(self.cache.path())
            .args(arguments)
            .env("RESTIC_PASSWORD", super::PASSWORD)
            .env("GOMAXPROCS", "2")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "restic failed: {error}\n{printed}");
        printed
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.run_in(Path::new("/"), arguments)
    }

    /// Reads and verifies everything.
    pub fn check(&self) {
        let report = self.run(["check", "--read-data"]);
        assert!(report.contains("no errors were found"), "{report}");
    }
}

/// The program: `HOLDFAST_RESTIC`, the parts that the test command builds, or the search path.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        let built = cache.map(|cache| cache.join("holdfast/parts/restic-0.19.1/bin/restic"));
        let named = std::env::var_os("HOLDFAST_RESTIC").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let searched = std::env::split_paths(&path).map(|dir| dir.join("restic"));
        named.into_iter().chain(built).chain(searched.collect::<Vec<_>>()).find(|path| path.is_file()).expect(
            "these tests compare with stock restic 0.19: run them by `cargo xtask test`, which builds it, \
             or name it in HOLDFAST_RESTIC",
        )
    })
}
