//! Where a side keeps its repository: a directory or a bucket on a file system that is new in each round.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use holdfast_testbed::{Cache, Make, S3};
use tokio::runtime::Runtime;

use crate::bench::filesystem::{self, FileSystem};
use crate::stage;

/// What kind of store a round is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Store {
    /// A directory.
    Local,
    /// An S3 server on the same machine.
    S3,
}

impl Store {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::S3 => "s3",
        }
    }
}

/// The S3 server of one round, with a file system of its own.
pub struct Server {
    s3: S3,
    disk: FileSystem,
}

impl Server {
    /// Starts VersityGW on a fresh file system.
    pub fn start(runtime: &Runtime, ground: &Path) -> Result<Self> {
        let disk = FileSystem::fresh(ground, "s3")?;
        // Everything that the server keeps goes to the new file system, the built programs apart.
        let cache = Cache::at(disk.path())?;
        let parts = Cache::of_user()?.root().join("parts");
        std::os::unix::fs::symlink(parts, cache.root().join("parts"))
            .context("cannot link the built parts")?;
        let s3 = runtime.block_on(S3::start_as("bench-s3", Make::VersityGw, cache, stage::reporter()))?;
        Ok(Self { s3, disk })
    }

    /// Takes it down with its data.
    pub fn stop(self, runtime: &Runtime) -> Result<()> {
        runtime.block_on(self.s3.stop())?;
        Ok(())
    }
}

/// Where one side's repository is.
#[derive(Debug, Clone)]
pub enum Location {
    /// In this directory.
    Directory(PathBuf),
    /// In a bucket of an S3 server.
    Bucket {
        /// `http://ADDRESS:PORT`.
        endpoint: String,
        /// Its name.
        bucket: String,
        /// Region to sign for.
        region: String,
        /// Access key and secret key.
        keys: (String, String),
        /// Where the server keeps the objects, as files.
        files: PathBuf,
        /// The file system below the server.
        disk: PathBuf,
    },
}

/// What one side has in one round: its repository and a file system for state and restored files.
#[derive(Debug)]
pub struct Place {
    /// Where the repository is.
    pub location: Location,
    disk: FileSystem,
}

impl Place {
    /// Makes a place for `side` on a fresh file system.
    pub fn fresh(ground: &Path, side: &str, server: Option<(&Runtime, &Server)>) -> Result<Self> {
        let disk = FileSystem::fresh(ground, side)?;
        std::fs::create_dir(disk.path().join("state"))?;
        let location = match server {
            None => Location::Directory(disk.path().join("repository")),
            Some((runtime, server)) => bucket(runtime, server, side)?,
        };
        Ok(Self { location, disk })
    }

    /// Directory for configuration and caches of the side's program.
    pub fn state(&self) -> PathBuf {
        self.disk.path().join("state")
    }

    /// Where files are restored to; not there until the program makes it.
    pub fn restored(&self) -> PathBuf {
        self.disk.path().join("restored")
    }

    /// Removes what was restored.
    pub fn clear(&self) -> Result<()> {
        let path = self.restored();
        std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        self.sync()
    }

    /// Bytes of the repository as stored.
    pub fn stored(&self) -> Result<u64> {
        match &self.location {
            Location::Directory(path) => filesystem::bytes_below(path),
            Location::Bucket { files, .. } => filesystem::bytes_below(files),
        }
    }

    /// Writes everything to the devices.
    pub fn sync(&self) -> Result<()> {
        filesystem::sync(self.disk.path())?;
        match &self.location {
            Location::Directory(_) => Ok(()),
            Location::Bucket { disk, .. } => filesystem::sync(disk),
        }
    }
}

fn bucket(runtime: &Runtime, server: &Server, name: &str) -> Result<Location> {
    let s3 = &server.s3;
    let bucket = runtime.block_on(s3.bucket(name))?;
    Ok(Location::Bucket {
        endpoint: s3.endpoint(),
        region: s3.region().to_owned(),
        keys: (s3.access_key().to_owned(), s3.secret_key().to_owned()),
        files: s3.data_dir().join(&bucket),
        disk: server.disk.path().to_owned(),
        bucket,
    })
}
