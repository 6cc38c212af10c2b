//! What a restore did.

use serde::{Deserialize, Serialize};

use crate::findings::Findings;

/// What a restore did.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Files, directories and other entries that were looked at; of a difference between two snapshots those
    /// that differ. A block device is one.
    pub entries: u64,
    /// Bytes of their content that the target now holds.
    pub bytes: u64,
    /// Bytes written; less than `bytes` where content was there already or is a hole.
    pub bytes_written: u64,
    /// Entries that were made, written to, or given other attributes.
    pub changed: u64,
    /// Entries that were removed because the snapshot does not have them.
    pub deleted: u64,
    /// What was read back; `None` if nothing was to be.
    pub verified: Option<Verified>,
    /// What was met on the way.
    pub findings: Findings,
}

/// What was read back from the target's storage and compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Entries compared.
    pub entries: u64,
    /// Bytes of content read.
    pub bytes: u64,
    /// Entries that are not as in the snapshot; each is a problem of its own.
    pub different: u64,
}
