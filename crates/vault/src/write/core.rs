//! What all threads of a writer share: the way of a blob into a pack.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tokio::runtime::Handle;

use super::WriterOptions;
use super::pending::Pending;
use super::stats::{Counters, WriteStats};
use super::uploads::Uploads;
use crate::chunk::Gear;
use crate::compress;
use crate::crypto::{NONCE, TAG};
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind};
use crate::index::Index;
use crate::lock::Lock;
use crate::pack::{BufferPool, PackBuilder};
use crate::repository::{Inner, LockPolicy};

/// Buffers beside those being sent: the open packs of both kinds, and a full one being named.
const OPEN_BUFFERS: usize = 3;

pub(super) struct Core {
    pub(super) repository: Arc<Inner>,
    pub(super) index: Arc<Index>,
    pub(super) lock: Option<Lock>,
    pub(super) gear: Gear,
    pub(super) pending: Pending,
    pub(super) uploads: Uploads,
    pub(super) counters: Counters,
    open: [Mutex<Option<PackBuilder>>; 2],
    buffers: Arc<BufferPool>,
    runtime: Handle,
    /// Held shared while a blob is on its way into a pack, exclusively to wait for all of those.
    gate: RwLock<()>,
    failure: OnceLock<Arc<Error>>,
    zero_chunk: OnceLock<BlobId>,
}

thread_local! {
    /// Where a blob is compressed and sealed; grows to the largest one and stays.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A larger scratch is given back. Directories are stored by whichever thread came to their end: a large one would
/// stay with each of them.
const fn scratch_kept(kind: BlobKind) -> usize {
    match kind {
        BlobKind::Data => 9 << 20,
        BlobKind::Tree => 128 << 10,
    }
}

impl Core {
    pub(super) async fn start(repository: Arc<Inner>, options: &WriterOptions) -> Result<Arc<Self>> {
        let lock = match repository.options.locks {
            LockPolicy::Lock => Some(Lock::acquire(&repository, &options.owner).await?),
            LockPolicy::NoLock => None,
        };
        // After the lock: from now on nobody removes what the index names.
        let index = match repository.catalogue.refresh(&repository).await {
            Ok(index) => index,
            Err(error) => {
                if let Some(lock) = &lock {
                    lock.release().await?;
                }
                return Err(error);
            }
        };
        Ok(Arc::new(Self {
            index,
            lock,
            gear: Gear::new(repository.config.chunker_polynomial),
            repository,
            pending: Pending::default(),
            uploads: Uploads::default(),
            counters: Counters::default(),
            open: [Mutex::default(), Mutex::default()],
            buffers: BufferPool::new(options.uploads_in_flight.max(1) + OPEN_BUFFERS, options.pack_size),
            runtime: Handle::current(),
            gate: RwLock::default(),
            failure: OnceLock::new(),
            zero_chunk: OnceLock::new(),
        }))
    }

    pub(super) fn has(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.index.has(kind, id) || self.pending.contains(kind, id)
    }

    pub(super) fn stats(&self) -> WriteStats {
        self.counters.stats()
    }

    /// Stores a blob unless it is there already.
    pub(super) fn store(self: &Arc<Self>, kind: BlobKind, plain: &[u8]) -> Result<BlobId> {
        self.expect_running()?;
        let id = BlobId::of(plain);
        let _on_its_way = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        if self.index.has(kind, &id) || !self.pending.insert(kind, id) {
            self.counters.duplicate(plain.len());
            return Ok(id);
        }
        // From here on others rely on this blob being stored.
        let mut promise = Promise { core: self, kept: false };
        SCRATCH.with_borrow_mut(|scratch| {
            let (length, uncompressed) = encode(kind, plain, scratch)?;
            let sealed = &mut scratch[..length];
            self.repository.key.seal_in_place(sealed);
            self.append(kind, id, sealed, uncompressed)?;
            self.counters.new_blob(kind, plain.len(), length);
            if scratch.len() > scratch_kept(kind) {
                *scratch = Vec::new();
            }
            Ok::<_, Error>(())
        })?;
        promise.kept = true;
        Ok(id)
    }

    /// The blob that holes of files are made of.
    pub(super) fn zero_chunk(self: &Arc<Self>) -> Result<BlobId> {
        if let Some(id) = self.zero_chunk.get() {
            return Ok(*id);
        }
        let id = self.store(BlobKind::Data, &vec![0; crate::chunk::MIN_CHUNK])?;
        Ok(*self.zero_chunk.get_or_init(|| id))
    }

    fn append(
        self: &Arc<Self>,
        kind: BlobKind,
        id: BlobId,
        sealed: &[u8],
        uncompressed: Option<u32>,
    ) -> Result<()> {
        let mut open = self.open(kind).lock().unwrap_or_else(PoisonError::into_inner);
        let full = open.take_if(|pack| !pack.has_room(sealed.len()));
        let pack = match &mut *open {
            Some(pack) => pack,
            None => {
                let buffer = self.buffers.acquire().ok_or_else(|| self.stopped())?;
                open.insert(PackBuilder::new(buffer))
            }
        };
        pack.push(kind, id, sealed, uncompressed);
        drop(open);
        if let Some(full) = full {
            self.send(full);
        }
        Ok(())
    }

    fn open(&self, kind: BlobKind) -> &Mutex<Option<PackBuilder>> {
        &self.open[usize::from(kind == BlobKind::Tree)]
    }

    /// Names the pack and sends it in the background.
    fn send(self: &Arc<Self>, pack: PackBuilder) {
        let pack = pack.seal(&self.repository.key);
        let number = self.uploads.begin();
        self.runtime.spawn(Arc::clone(self).upload(number, pack));
    }

    /// Sends and indexes everything stored so far.
    pub(super) async fn flush(self: &Arc<Self>) -> Result<()> {
        self.expect_running()?;
        let core = Arc::clone(self);
        let sealed = tokio::task::spawn_blocking(move || {
            // What is stored from now on may be in a pack of its own.
            drop(core.gate.write().unwrap_or_else(PoisonError::into_inner));
            for kind in [BlobKind::Data, BlobKind::Tree] {
                let open = core.open(kind).lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(pack) = open {
                    core.send(pack);
                }
            }
        });
        sealed.await.map_err(|error| Error::Internal(error.to_string()))?;
        self.settle().await?;
        self.expect_running()
    }

    pub(super) fn expect_running(&self) -> Result<()> {
        if self.failure.get().is_some() { Err(self.stopped()) } else { Ok(()) }
    }

    fn stopped(&self) -> Error {
        match self.failure.get() {
            Some(failure) => Error::WriterStopped(Arc::clone(failure)),
            None => Error::Internal("a writer stopped without a reason".to_owned()),
        }
    }

    /// Stops the writer for good: something that others rely on was not stored.
    pub(super) fn fail(&self, error: Error) {
        // The first failure is the one to be told.
        let _ = self.failure.set(Arc::new(error));
        self.buffers.close();
        self.uploads.wake();
    }
}

/// While it lives, a blob is promised to others; unless kept, the writer is stopped.
struct Promise<'c> {
    core: &'c Core,
    kept: bool,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.core.fail(Error::Internal("a blob could not be packed".to_owned()));
        }
    }
}

/// Puts `plain` into `scratch` with room for nonce and tag, compressed if that is worth it. Returns
/// the whole length, and the plain length if it is compressed.
fn encode(kind: BlobKind, plain: &[u8], scratch: &mut Vec<u8>) -> Result<(usize, Option<u32>)> {
    let room = NONCE + compress::bound(plain.len()) + TAG;
    if scratch.len() < room {
        scratch.resize(room, 0);
    }
    let body = &mut scratch[NONCE..room - TAG];
    if kind == BlobKind::Tree || !compress::looks_random(plain) {
        let length = compress::compress_to(plain, body)?;
        if compress::is_worth_it(plain.len(), length) {
            return Ok((NONCE + length + TAG, Some(plain.len() as u32)));
        }
    }
    body[..plain.len()].copy_from_slice(plain);
    Ok((NONCE + plain.len() + TAG, None))
}
