//! A snapshot file: the root of one captured tree.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{BlobId, SnapshotId};

/// One snapshot, with every field of restic's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Start of capture.
    pub time: Timestamp,
    /// The snapshot this one was made against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotId>,
    /// Root directory.
    pub tree: BlobId,
    /// What was captured, as absolute paths.
    #[serde(default, deserialize_with = "null_is_default")]
    pub paths: Vec<String>,
    /// Where it was captured.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Who captured it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// Their user id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// Their group id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    /// Patterns that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub excludes: Vec<String>,
    /// Labels; restic's commands select by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    /// The snapshot this one is an altered copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<SnapshotId>,
    /// The program that wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program_version: String,
    /// What the capture did, in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<SnapshotSummary>,
}

/// What a capture did, in numbers; fields and meaning are restic's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSummary {
    /// When it started.
    pub backup_start: Timestamp,
    /// When it ended.
    pub backup_end: Timestamp,
    /// Files that the parent does not have.
    #[serde(default)]
    pub files_new: u64,
    /// Files that differ from the parent's.
    #[serde(default)]
    pub files_changed: u64,
    /// Files taken over from the parent.
    #[serde(default)]
    pub files_unmodified: u64,
    /// Directories that the parent does not have.
    #[serde(default)]
    pub dirs_new: u64,
    /// Directories that differ from the parent's.
    #[serde(default)]
    pub dirs_changed: u64,
    /// Directories taken over from the parent.
    #[serde(default)]
    pub dirs_unmodified: u64,
    /// New data blobs.
    #[serde(default)]
    pub data_blobs: u64,
    /// New tree blobs.
    #[serde(default)]
    pub tree_blobs: u64,
    /// Bytes of new blobs before compression.
    #[serde(default)]
    pub data_added: u64,
    /// Bytes of new blobs as stored.
    #[serde(default)]
    pub data_added_packed: u64,
    /// All files in the snapshot.
    #[serde(default)]
    pub total_files_processed: u64,
    /// All bytes in the snapshot.
    #[serde(default)]
    pub total_bytes_processed: u64,
}

impl Snapshot {
    /// A snapshot of this root, taken from `time` on; everything else empty.
    pub fn new(time: Timestamp, tree: BlobId) -> Self {
        Self {
            time,
            parent: None,
            tree,
            paths: Vec::new(),
            hostname: String::new(),
            username: String::new(),
            uid: 0,
            gid: 0,
            excludes: Vec::new(),
            tags: Vec::new(),
            original: None,
            program_version: format!("holdfast {}", env!("CARGO_PKG_VERSION")),
            summary: None,
        }
    }
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Go writes an empty list as `null`.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
