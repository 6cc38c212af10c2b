//! The pool of threads that hash, compress and seal chunks of large files.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::core::Core;
use crate::chunk::MAX_CHUNK;
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind};

/// A chunk buffer begins with this length and doubles up to the longest chunk.
const FIRST_LENGTH: usize = 2 << 20;

/// Threads that store chunks. When all are busy the caller does the work itself, so there is never
/// more in memory than the queue, the threads and the callers hold.
pub(super) struct ChunkPool {
    core: Arc<Core>,
    queue: Sender<Job>,
    /// Callers that wait for their last chunks help meanwhile.
    waiting: Receiver<Job>,
    free: Arc<FreeList>,
}

/// Buffers that wait to be used again.
pub(super) struct FreeList {
    buffers: Mutex<Vec<Vec<u8>>>,
    keep: usize,
}

/// One chunk of a file.
pub(super) struct Job {
    pub(super) buffer: Vec<u8>,
    pub(super) length: usize,
    pub(super) place: usize,
    pub(super) file: Arc<Parts>,
}

impl ChunkPool {
    pub(super) fn start(core: &Arc<Core>, threads: usize) -> Self {
        let (queue, waiting) = crossbeam_channel::bounded::<Job>(threads);
        let free = Arc::new(FreeList { buffers: Mutex::default(), keep: 2 * threads + 2 });
        for number in 0..threads {
            let (core, jobs, free) = (Arc::clone(core), waiting.clone(), Arc::clone(&free));
            let work = move || jobs.iter().for_each(|job| job.run(&core, &free));
            // Without threads the callers do all the work.
            let spawned = std::thread::Builder::new().name(format!("vault-chunk-{number}")).spawn(work);
            if let Err(error) = spawned {
                tracing::warn!(%error, "no thread for chunks");
            }
        }
        Self { core: Arc::clone(core), queue, waiting, free }
    }

    pub(super) fn buffer(&self) -> Vec<u8> {
        let free = self.free.lock().pop();
        free.unwrap_or_else(|| vec![0; FIRST_LENGTH])
    }

    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.free.put(buffer);
    }

    /// Hands a chunk to the pool, or stores it here and now.
    pub(super) fn submit(&self, job: Job) {
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => self.run(job),
        }
    }

    pub(super) fn run(&self, job: Job) {
        job.run(&self.core, &self.free);
    }

    /// Waits for all chunks of a file, storing others meanwhile.
    pub(super) fn wait(&self, file: &Parts) -> Result<Vec<BlobId>> {
        while !file.is_complete() {
            match self.waiting.try_recv() {
                Ok(job) => self.run(job),
                Err(_) => break,
            }
        }
        file.wait()
    }
}

impl FreeList {
    fn put(&self, buffer: Vec<u8>) {
        let mut free = self.lock();
        if free.len() < self.keep {
            free.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn run(self, core: &Arc<Core>, free: &FreeList) {
        let stored = core.store(BlobKind::Data, &self.buffer[..self.length]);
        free.put(self.buffer);
        self.file.put(self.place, stored);
    }
}

/// Makes room for more in a chunk buffer.
pub(super) fn grow(buffer: &mut Vec<u8>) {
    let length = (2 * buffer.len()).min(MAX_CHUNK);
    buffer.resize(length, 0);
}

/// The blobs of one file, put in place as they are stored.
#[derive(Default)]
pub(super) struct Parts {
    state: Mutex<PartsState>,
    changed: Condvar,
}

#[derive(Default)]
struct PartsState {
    ids: Vec<Option<BlobId>>,
    outstanding: usize,
    failure: Option<Error>,
}

impl Parts {
    /// A place for the next blob.
    pub(super) fn reserve(&self) -> usize {
        let mut state = self.lock();
        state.outstanding += 1;
        state.ids.push(None);
        state.ids.len() - 1
    }

    /// Appends a blob that is stored already, `times` times.
    pub(super) fn append(&self, id: BlobId, times: usize) {
        let mut state = self.lock();
        let length = state.ids.len() + times;
        state.ids.resize(length, Some(id));
    }

    fn put(&self, place: usize, stored: Result<BlobId>) {
        let mut state = self.lock();
        state.outstanding -= 1;
        match stored {
            Ok(id) => state.ids[place] = Some(id),
            Err(error) => state.failure = Some(error),
        }
        self.changed.notify_all();
    }

    fn is_complete(&self) -> bool {
        self.lock().outstanding == 0
    }

    fn wait(&self) -> Result<Vec<BlobId>> {
        let mut state = self.lock();
        while state.outstanding > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.failure.take() {
            Some(error) => Err(error),
            None => Ok(state.ids.drain(..).flatten().collect()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, PartsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
