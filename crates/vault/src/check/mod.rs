//! Whether everything that snapshots refer to is there and undamaged.
use crate::error::{Error, Result};
use crate::id::SnapshotId;
use crate::repository::Repository;

/// How thorough a check is.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Read every pack and verify every blob, instead of structure alone.
    pub read_data: bool,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Packs read so far.
    pub packs_done: u64,
    /// Packs to be read.
    pub packs_total: u64,
    /// Bytes read so far.
    pub bytes_done: u64,
    /// Bytes to be read.
    pub bytes_total: u64,
}

/// One damaged or missing thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path of the file, or name of the blob.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// The snapshots it hits, with paths in them (the first few).
    pub affects: Vec<(SnapshotId, String)>,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Everything damaged or missing; empty if all is well.
    pub findings: Vec<Finding>,
    /// Snapshots looked at.
    pub snapshots: u64,
    /// Packs known to the index.
    pub packs: u64,
    /// Blobs that snapshots use.
    pub blobs_used: u64,
    /// Packs in no index, left by interrupted writers; harmless.
    pub unreferenced_packs: u64,
}

impl CheckReport {
    /// Whether nothing is damaged or missing.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Repository {
    /// Checks the repository; damage is in the report, an error means that it could not be checked.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn check(
        &self,
        options: CheckOptions,
        progress: impl Fn(CheckProgress) + Send + Sync,
    ) -> Result<CheckReport> {
        let _ = (options, progress);
        Err(Error::Internal("under construction".into()))
    }
}
