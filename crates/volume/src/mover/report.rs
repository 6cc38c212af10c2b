//! What a capture says of itself in the vault, beside the volume.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::blocks::BlockReport;
use crate::findings::Findings;

/// `capture.json` in the root of a volume's snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaptureReport {
    /// Version of the program that captured.
    pub program: String,
    /// Namespace of the claim.
    pub namespace: String,
    /// The claim.
    pub claim: String,
    /// When reading started.
    pub started: Timestamp,
    /// When reading ended.
    pub finished: Timestamp,
    /// Files, directories and other entries; a block device is one.
    pub entries: u64,
    /// Bytes of file content that the volume holds.
    pub bytes: u64,
    /// Bytes read because their file was new or had changed.
    pub bytes_read: u64,
    /// Bytes added to the vault, compressed.
    pub bytes_stored: u64,
    /// Bytes of new blobs before compression.
    pub bytes_new: u64,
    /// Of a block device: its bytes, and how many of them were allocated, changed and read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<BlockReport>,
    /// What was met.
    pub findings: Findings,
}
