//! kopia with its defaults and its fastest zstd.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::place::{Location, Place};
use super::program::{Job, PASSWORD, Program, output, without_scheme};

/// The stock program.
pub struct Kopia {
    binary: PathBuf,
}

#[derive(Deserialize)]
struct Snapshot {
    id: String,
}

impl Kopia {
    /// The built program.
    pub fn new(binary: PathBuf) -> Self {
        Self { binary }
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env("KOPIA_PASSWORD", PASSWORD)
            .env("KOPIA_CONFIG_PATH", place.state().join("kopia.config"))
            .env("KOPIA_CACHE_DIRECTORY", place.state().join("cache"))
            .env("KOPIA_LOG_DIR", place.state().join("log"))
            .env("KOPIA_CHECK_FOR_UPDATES", "false")
            .env("HOME", place.state())
            .arg("--no-progress");
        command
    }
}

impl Program for Kopia {
    fn name(&self) -> &'static str {
        "kopia"
    }

    fn version(&self) -> Result<String> {
        let said =
            output(Command::new(&self.binary).arg("--version").env("KOPIA_CHECK_FOR_UPDATES", "false"))?;
        let version = said.split_whitespace().next().unwrap_or("?").to_owned();
        Ok(format!("kopia {version}, compression zstd-fastest"))
    }

    fn create(&self, place: &Place) -> Result<()> {
        let mut create = self.command(place);
        create.args(["repository", "create"]);
        match &place.location {
            Location::Directory(path) => {
                std::fs::create_dir_all(path)?;
                create.arg("filesystem").arg("--path").arg(path);
            }
            Location::Bucket { endpoint, bucket, region, keys: (access, secret), .. } => {
                create.args(["s3", "--disable-tls", "--endpoint", without_scheme(endpoint)?]);
                create.args(["--bucket", bucket, "--prefix", "kopia/", "--region", region]);
                create.args(["--access-key", access, "--secret-access-key", secret]);
            }
        }
        output(&mut create)?;
        output(self.command(place).args(["policy", "set", "--global", "--compression", "zstd-fastest"]))
            .map(drop)
    }

    fn backup(&self, place: &Place, source: &Path) -> Result<Job> {
        let mut command = self.command(place);
        command.args(["snapshot", "create"]).arg(source);
        Ok(command.into())
    }

    fn restore(&self, place: &Place, source: &Path) -> Result<Job> {
        let list = output(self.command(place).args(["snapshot", "list", "--json"]).arg(source))?;
        let snapshots: Vec<Snapshot> = serde_json::from_str(&list).context("kopia's list of snapshots")?;
        let newest = snapshots.last().context("kopia has no snapshot to restore")?;
        let mut command = self.command(place);
        command.args(["snapshot", "restore", &newest.id]).arg(place.restored());
        Ok(command.into())
    }
}
