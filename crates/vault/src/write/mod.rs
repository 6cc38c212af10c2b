//! Storing files, trees and snapshots.
//!
//! A blob's way: hashed, looked up, compressed and sealed in the caller's thread or in a thread of
//! the pool; appended to the open pack of its kind; a full pack is sent by an async task; sent
//! packs are listed in an index file every few seconds, and only then are their blobs known to
//! other writers. docs/format.md has the memory this takes, as a formula.

mod chunks;
mod core;
mod file;
mod keeper;
mod pending;
mod sending;
mod stats;
mod uploads;

use std::sync::Arc;

pub use file::{FileContent, FileWriter};
pub use stats::WriteStats;

use self::chunks::ChunkPool;
use self::core::Core;
use self::keeper::Keeper;
use crate::chunk::MAX_CHUNK;
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind, SnapshotId};
use crate::pack::PACK_SIZE;
use crate::repository::{Repository, unpacked};
use crate::snapshot::Snapshot;
use crate::tree::Tree;

/// How a writer uses the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterOptions {
    /// Who writes, recorded in the lock as its user: [`Repository::remove_locks_of`] finds it by this.
    /// The user of this process if empty.
    ///
    /// [`Repository::remove_locks_of`]: crate::Repository::remove_locks_of
    pub owner: String,
    /// Threads that hash, compress and encrypt chunks of large files, beside the callers' own.
    pub threads: usize,
    /// Packs that are sent at once; each takes `pack_size`.
    pub uploads_in_flight: usize,
    /// Bytes that packs are filled to. Memory grows with it, and the number of requests shrinks; a
    /// blob that has more gets a pack of its own.
    pub pack_size: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
        Self { owner: String::new(), threads, uploads_in_flight: 4, pack_size: PACK_SIZE }
    }
}

/// Stores blobs in a repository. Cheap to clone; usable from many threads at once.
///
/// All methods but [`flush`](Writer::flush), [`commit`](Writer::commit) and [`close`](Writer::close)
/// block: they compute, and wait when uploads fall behind. Call them from threads of your own or
/// from `spawn_blocking`, never on an async task.
#[derive(Clone)]
pub struct Writer {
    core: Arc<Core>,
    /// Ends the threads and the keeper with the last clone.
    session: Arc<Session>,
}

struct Session {
    chunks: ChunkPool,
    keeper: Keeper,
}

impl Repository {
    /// A writer: loads the index and takes a lock. Needs a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn writer(&self, options: WriterOptions) -> Result<Writer> {
        let core = Core::start(Arc::clone(&self.inner), &options).await?;
        let session =
            Session { chunks: ChunkPool::start(&core, options.threads.max(1)), keeper: Keeper::start(&core) };
        Ok(Writer { core, session: Arc::new(session) })
    }
}

impl Writer {
    /// Stores one data blob, not cut further. It may have at most 8 MiB.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::WriterStopped`]
    pub fn data(&self, bytes: &[u8]) -> Result<BlobId> {
        if bytes.len() > MAX_CHUNK {
            let (size, limit) = (bytes.len() as u64, MAX_CHUNK as u64);
            return Err(Error::TooLarge { what: "a data blob", size, limit });
        }
        self.core.store(BlobKind::Data, bytes)
    }

    /// Begins a file of any length.
    pub fn file(&self) -> FileWriter {
        FileWriter::new(self.clone())
    }

    /// Stores a directory.
    ///
    /// # Errors
    /// [`Error::InvalidTree`], [`Error::TooLarge`], [`Error::WriterStopped`]
    pub fn tree(&self, tree: &Tree) -> Result<BlobId> {
        const LIMIT: usize = 1 << 30;
        let json = tree.to_json()?;
        if json.len() > LIMIT {
            let (size, limit) = (json.len() as u64, LIMIT as u64);
            return Err(Error::TooLarge { what: "a directory", size, limit });
        }
        self.core.store(BlobKind::Tree, &json)
    }

    /// Whether this blob is stored or on its way.
    pub fn has(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.core.has(kind, id)
    }

    /// What was done so far.
    pub fn stats(&self) -> WriteStats {
        self.core.stats()
    }

    /// Sends and indexes everything that was handed in before.
    ///
    /// # Errors
    /// [`Error::WriterStopped`]
    pub async fn flush(&self) -> Result<()> {
        self.core.flush().await
    }

    /// Flushes, makes sure that the lock is still good, and creates the snapshot file. Many
    /// snapshots may be committed by one writer.
    ///
    /// # Errors
    /// [`Error::WriterStopped`], [`Error::LockLost`], [`Error::Storage`]
    pub async fn commit(&self, snapshot: Snapshot) -> Result<SnapshotId> {
        if !self.has(BlobKind::Tree, &snapshot.tree) {
            return Err(Error::MissingBlob { kind: BlobKind::Tree, id: snapshot.tree });
        }
        self.flush().await?;
        if let Some(lock) = &self.core.lock {
            lock.verify().await?;
        }
        let json = serde_json::to_vec(&snapshot).map_err(|error| Error::Internal(error.to_string()))?;
        let id = unpacked::save(&self.core.repository, "snapshots", json).await?;
        Ok(SnapshotId::from_bytes(*id.as_bytes()))
    }

    /// Flushes, and removes the lock. Without this call the lock is removed in the background when
    /// the last clone is dropped, and what was not flushed is lost.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub async fn close(self) -> Result<WriteStats> {
        let flushed = self.flush().await;
        let released = self.session.keeper.finish(&self.core).await;
        flushed.and(released)?;
        Ok(self.stats())
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("stats", &self.stats()).finish()
    }
}
