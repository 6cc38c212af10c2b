//! What a check finds.

use std::collections::HashMap;

use crate::id::{BlobId, BlobKind, SnapshotId};

/// How thorough a check is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Read every pack and verify every blob, instead of structure alone.
    pub read_data: bool,
}

/// How far the reading of packs has come.
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
    /// Path of the file within the repository, or the blob.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// Some of the snapshots and paths in them that it hits; none if it hits nothing.
    pub affects: Vec<(SnapshotId, String)>,
    /// How many more it hits.
    pub affects_more: u64,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Everything damaged or missing; empty if all is well.
    pub findings: Vec<Finding>,
    /// Snapshots that can be read.
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

/// Each finding names no more places than this.
const PLACES: usize = 20;
/// Missing blobs are named one by one up to this number.
const MISSING: usize = 1000;

/// Findings while a check runs, and the bad blobs that belong to them.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    bad: HashMap<(BlobKind, BlobId), usize>,
    missing: usize,
}

impl Findings {
    /// Adds a finding and returns its number.
    pub(super) fn add(&mut self, object: String, problem: String) -> usize {
        self.list.push(Finding { object, problem, affects: Vec::new(), affects_more: 0 });
        self.list.len() - 1
    }

    /// Notes that a blob cannot be had because of a finding.
    pub(super) fn blob_is_bad(&mut self, kind: BlobKind, id: BlobId, finding: usize) {
        self.bad.entry((kind, id)).or_insert(finding);
    }

    /// Adds a blob that something refers to and that lies nowhere.
    pub(super) fn blob_is_missing(&mut self, kind: BlobKind, id: BlobId) {
        if self.bad.contains_key(&(kind, id)) {
            return;
        }
        self.missing += 1;
        let finding = if self.missing <= MISSING {
            self.add(format!("{kind} blob {id}"), "it is in no pack that is known".to_owned())
        } else {
            self.list.len() - 1
        };
        self.bad.insert((kind, id), finding);
    }

    /// The finding that a blob belongs to, if it is bad.
    pub(super) fn of_blob(&self, kind: BlobKind, id: &BlobId) -> Option<usize> {
        self.bad.get(&(kind, *id)).copied()
    }

    pub(super) fn has_bad_blobs(&self) -> bool {
        !self.bad.is_empty()
    }

    /// Notes a place that a finding hits.
    pub(super) fn affects(&mut self, finding: usize, snapshot: SnapshotId, path: impl Into<String>) {
        let finding = &mut self.list[finding];
        if finding.affects.len() < PLACES {
            finding.affects.push((snapshot, path.into()));
        } else {
            finding.affects_more += 1;
        }
    }

    pub(super) fn into_list(mut self) -> Vec<Finding> {
        if let Some(more) = self.missing.checked_sub(MISSING + 1) {
            self.add("more blobs".to_owned(), format!("{} more are in no pack that is known", more + 1));
        }
        self.list
    }
}
