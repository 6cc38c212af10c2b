//! What a restore did.

use crate::findings::Findings;

/// What a restore did.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Files, directories and other entries; a block device is one.
    pub entries: u64,
    /// Bytes of content that the target now holds.
    pub bytes: u64,
    /// Bytes written; less than `bytes` where content was there already or is a hole.
    pub bytes_written: u64,
    /// What was met on the way.
    pub findings: Findings,
}
