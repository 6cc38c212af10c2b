//! Counters of a capture or restore under way, read by whoever shows them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was done so far. Relaxed counters: each is right by itself, they need not fit together.
#[derive(Debug, Default)]
pub struct Progress {
    entries: AtomicU64,
    bytes: AtomicU64,
    bytes_read: AtomicU64,
}

impl Progress {
    /// Files, directories and other entries done.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes of content done, unchanged ones included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes read from the volume (capture) or written to it (restore).
    pub fn bytes_moved(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Entries, bytes and bytes moved.
    pub(crate) fn all(&self) -> [u64; 3] {
        [self.entries(), self.bytes(), self.bytes_moved()]
    }

    pub(crate) fn entry(&self, bytes: u64) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Content done that is of no entry of its own.
    pub(crate) fn content(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn moved(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }
}
