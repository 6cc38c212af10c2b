//! Packs on their way: sent, then listed in an index file, then known to everyone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::core::Core;
use crate::error::{Error, Result};
use crate::id::IndexId;
use crate::index::{self, IndexedPack};
use crate::pack::{self, SealedPack};
use crate::repository::unpacked;

/// A sent pack is listed no later than this; what was listed is not sent again after a crash.
const INDEX_EVERY: Duration = Duration::from_secs(6);
/// An index file lists no more packs than this,
const INDEX_PACKS: usize = 64;
/// and is written when so many blobs wait for it: its JSON takes about 150 bytes for each.
const INDEX_BLOBS: usize = 4_000;

/// The packs of one writer that are not in an index file yet.
#[derive(Default)]
pub(super) struct Uploads {
    state: Mutex<State>,
    changed: Notify,
    /// One index file is written at a time.
    indexing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    begun: u64,
    in_flight: BTreeSet<u64>,
    sent: Vec<IndexedPack>,
    sent_blobs: usize,
    oldest: Option<Instant>,
}

impl Uploads {
    /// Registers a pack and returns its number.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.begun += 1;
        let number = state.begun;
        state.in_flight.insert(number);
        number
    }

    fn finish(&self, number: u64, pack: IndexedPack) {
        let mut state = self.lock();
        state.in_flight.remove(&number);
        state.sent_blobs += pack.blobs.len();
        state.sent.push(pack);
        state.oldest.get_or_insert_with(Instant::now);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Whether an index file should be written now.
    pub(super) fn is_index_due(&self) -> bool {
        let state = self.lock();
        state.sent.len() >= INDEX_PACKS
            || state.sent_blobs >= INDEX_BLOBS
            || state.oldest.is_some_and(|oldest| oldest.elapsed() >= INDEX_EVERY)
    }

    fn take_sent(&self) -> Vec<IndexedPack> {
        let mut state = self.lock();
        state.sent_blobs = 0;
        state.oldest = None;
        std::mem::take(&mut state.sent)
    }

    pub(super) fn wake(&self) {
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Sends a pack; if that fails for good, the writer stops.
    pub(super) async fn upload(self: Arc<Self>, number: u64, pack: SealedPack) {
        let SealedPack { id, content, blobs } = pack;
        let length = content.len();
        if let Err(error) = self.repository.store.put_unique(&pack::path(&id), content).await {
            self.fail(error);
            return;
        }
        self.counters.uploaded(length);
        self.uploads.finish(number, IndexedPack { id, blobs });
        if self.uploads.is_index_due() {
            self.write_index().await;
        }
    }

    /// Lists all sent packs in an index file; if that fails for good, the writer stops.
    pub(super) async fn write_index(&self) {
        let _one_at_a_time = self.uploads.indexing.lock().await;
        let packs = self.uploads.take_sent();
        if packs.is_empty() {
            return;
        }
        if let Err(error) = self.try_write_index(packs).await {
            self.fail(error);
        }
    }

    async fn try_write_index(&self, packs: Vec<IndexedPack>) -> Result<()> {
        let encoded = tokio::task::spawn_blocking(move || (index::encode(&packs), packs)).await;
        let (json, packs) = encoded.map_err(|error| Error::Internal(error.to_string()))?;
        let id = unpacked::save(&self.repository, "index", json).await?;
        self.repository.catalogue.note(IndexId::from_bytes(*id.as_bytes())).await;
        self.index.add(packs.iter().map(|pack| (pack.id, &pack.blobs[..])));
        for pack in &packs {
            self.pending.remove(&pack.blobs);
        }
        Ok(())
    }

    /// Waits until every pack begun so far is sent and listed.
    pub(super) async fn settle(&self) -> Result<()> {
        let last = self.uploads.lock().begun;
        loop {
            let changed = self.uploads.changed.notified();
            self.expect_running()?;
            let waiting = self.uploads.lock().in_flight.first().is_some_and(|number| *number <= last);
            if !waiting {
                break;
            }
            changed.await;
        }
        self.write_index().await;
        self.expect_running()
    }
}
