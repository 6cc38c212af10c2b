//! What a writer has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::id::BlobKind;

/// What a writer has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Bytes of data and trees handed in.
    pub bytes_read: u64,
    /// New data blobs.
    pub data_blobs: u64,
    /// New tree blobs.
    pub tree_blobs: u64,
    /// Bytes of new blobs before compression.
    pub bytes_added: u64,
    /// Bytes of new blobs as stored.
    pub bytes_stored: u64,
    /// Bytes that were there already.
    pub bytes_deduplicated: u64,
    /// Packs sent.
    pub packs_uploaded: u64,
    /// Bytes of packs sent.
    pub bytes_uploaded: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    deduplicated: AtomicU64,
    data_blobs: AtomicU64,
    tree_blobs: AtomicU64,
    added: AtomicU64,
    stored: AtomicU64,
    packs: AtomicU64,
    uploaded: AtomicU64,
}

impl Counters {
    pub(super) fn duplicate(&self, length: usize) {
        self.deduplicated.fetch_add(length as u64, Ordering::Relaxed);
    }

    pub(super) fn new_blob(&self, kind: BlobKind, plain: usize, stored: usize) {
        let blobs = if kind == BlobKind::Tree { &self.tree_blobs } else { &self.data_blobs };
        blobs.fetch_add(1, Ordering::Relaxed);
        self.added.fetch_add(plain as u64, Ordering::Relaxed);
        self.stored.fetch_add(stored as u64, Ordering::Relaxed);
    }

    pub(super) fn uploaded(&self, bytes: usize) {
        self.packs.fetch_add(1, Ordering::Relaxed);
        self.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> WriteStats {
        let bytes_added = self.added.load(Ordering::Relaxed);
        let bytes_deduplicated = self.deduplicated.load(Ordering::Relaxed);
        WriteStats {
            bytes_read: bytes_added + bytes_deduplicated,
            data_blobs: self.data_blobs.load(Ordering::Relaxed),
            tree_blobs: self.tree_blobs.load(Ordering::Relaxed),
            bytes_added,
            bytes_stored: self.stored.load(Ordering::Relaxed),
            bytes_deduplicated,
            packs_uploaded: self.packs.load(Ordering::Relaxed),
            bytes_uploaded: self.uploaded.load(Ordering::Relaxed),
        }
    }
}
