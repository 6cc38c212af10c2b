//! restic with its defaults.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::place::{Location, Place};
use super::program::{Job, PASSWORD, Program, credentials, output};

/// The stock program.
pub struct Restic {
    binary: PathBuf,
}

impl Restic {
    /// The built program.
    pub fn new(binary: PathBuf) -> Self {
        Self { binary }
    }

    fn command(&self, place: &Place) -> Command {
        let repository = match &place.location {
            Location::Directory(path) => path.to_string_lossy().into_owned(),
            Location::Bucket { endpoint, bucket, .. } => format!("s3:{endpoint}/{bucket}/restic"),
        };
        let mut command = Command::new(&self.binary);
        command
            .env("RESTIC_REPOSITORY", repository)
            .env("RESTIC_PASSWORD", PASSWORD)
            .env("RESTIC_CACHE_DIR", place.state().join("cache"))
            .arg("--quiet");
        credentials(&mut command, &place.location);
        command
    }
}

impl Program for Restic {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn version(&self) -> Result<String> {
        let said = output(Command::new(&self.binary).arg("version"))?;
        Ok(format!("{}, its defaults", said.trim()))
    }

    fn create(&self, place: &Place) -> Result<()> {
        output(self.command(place).arg("init")).map(drop)
    }

    fn backup(&self, place: &Place, source: &Path) -> Result<Job> {
        let mut command = self.command(place);
        command.arg("backup").arg(source);
        Ok(command.into())
    }

    fn restore(&self, place: &Place, source: &Path) -> Result<Job> {
        let mut command = self.command(place);
        command.arg("restore").arg(format!("latest:{}", source.display()));
        command.arg("--target").arg(place.restored());
        Ok(command.into())
    }
}
