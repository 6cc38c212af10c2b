//! Storing files, trees and snapshots.
use std::sync::Arc;
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind, SnapshotId};
use crate::repository::Inner;
use crate::snapshot::Snapshot;
use crate::tree::Tree;

/// How a writer uses the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// Threads that hash, compress and encrypt chunks of large files, beside the callers' own.
    pub threads: usize,
    /// Packs that are sent at once.
    pub uploads_in_flight: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self { threads, uploads_in_flight: 4 }
    }
}

/// What a writer has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Bytes handed in.
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

/// Stores blobs in a repository. Cheap to clone; usable from many threads at once.
///
/// All methods but `flush`, `commit` and `close` block (they compute, and wait when uploads fall behind): call
/// them from threads of your own or from `spawn_blocking`, never on an async task.
#[derive(Clone)]
pub struct Writer {
    _inner: Arc<Inner>,
}

/// A stored file: what goes into its node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileContent {
    /// Its data blobs, in order.
    pub ids: Vec<BlobId>,
    /// Its length in bytes.
    pub size: u64,
}

/// Cuts one file into chunks and stores them.
pub struct FileWriter {
    _writer: Writer,
}

impl Writer {
    pub(crate) async fn start(inner: Arc<Inner>, options: WriterOptions) -> Result<Self> {
        let _ = options;
        Ok(Self { _inner: inner })
    }
    /// Stores one data blob of at most 8 MiB, not cut further.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::WriterStopped`]
    pub fn data(&self, _bytes: &[u8]) -> Result<BlobId> {
        Err(Error::Internal("under construction".into()))
    }
    /// Begins a file.
    pub fn file(&self) -> FileWriter {
        FileWriter { _writer: self.clone() }
    }
    /// Stores a directory.
    ///
    /// # Errors
    /// [`Error::InvalidTree`], [`Error::WriterStopped`]
    pub fn tree(&self, _tree: &Tree) -> Result<BlobId> {
        Err(Error::Internal("under construction".into()))
    }
    /// Whether this blob is stored or on its way.
    pub fn has(&self, _kind: BlobKind, _id: &BlobId) -> bool {
        false
    }
    /// What was done so far.
    pub fn stats(&self) -> WriteStats {
        WriteStats::default()
    }
    /// Sends everything and indexes it.
    ///
    /// # Errors
    /// [`Error::WriterStopped`]
    pub async fn flush(&self) -> Result<()> {
        Err(Error::Internal("under construction".into()))
    }
    /// Flushes, makes sure that the lock is still good, and creates the snapshot file. Many
    /// snapshots may be committed by one writer.
    ///
    /// # Errors
    /// [`Error::WriterStopped`], [`Error::LockLost`], [`Error::Storage`]
    pub async fn commit(&self, _snapshot: Snapshot) -> Result<SnapshotId> {
        Err(Error::Internal("under construction".into()))
    }
    /// Flushes and removes the lock. Dropping the last clone does so as well as it can in the background.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub async fn close(self) -> Result<WriteStats> {
        Err(Error::Internal("under construction".into()))
    }
}

impl FileWriter {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::WriterStopped`]
    pub fn write(&mut self, _bytes: &[u8]) -> Result<()> {
        Err(Error::Internal("under construction".into()))
    }
    /// Appends all that `source` gives, without a copy in between; returns how much that was.
    ///
    /// # Errors
    /// [`Error::Io`] from the source, [`Error::WriterStopped`]
    pub fn read_from(&mut self, _source: &mut dyn std::io::Read) -> Result<u64> {
        Err(Error::Internal("under construction".into()))
    }
    /// Appends a hole: `length` zero bytes that cost next to nothing.
    ///
    /// # Errors
    /// [`Error::WriterStopped`]
    pub fn zeros(&mut self, _length: u64) -> Result<()> {
        Err(Error::Internal("under construction".into()))
    }
    /// Ends the file and waits for its last chunk.
    ///
    /// # Errors
    /// [`Error::WriterStopped`]
    pub fn finish(self) -> Result<FileContent> {
        Err(Error::Internal("under construction".into()))
    }
}
