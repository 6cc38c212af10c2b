//! The packs of one writer that are on their way, counted.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use crate::index::IndexedPack;

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
    pub(super) indexing: tokio::sync::Mutex<()>,
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

    /// Notes that a pack was sent.
    pub(super) fn finish(&self, number: u64, pack: IndexedPack) {
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

    /// Takes the packs that were sent and are in no index file yet.
    pub(super) fn take_sent(&self) -> Vec<IndexedPack> {
        let mut state = self.lock();
        state.sent_blobs = 0;
        state.oldest = None;
        std::mem::take(&mut state.sent)
    }

    /// The number of the last pack that was begun.
    pub(super) fn last(&self) -> u64 {
        self.lock().begun
    }

    /// Whether a pack up to this one is still being sent.
    pub(super) fn is_waiting(&self, last: u64) -> bool {
        self.lock().in_flight.first().is_some_and(|number| *number <= last)
    }

    /// Ends when something has changed since it was called.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Has those who wait look again.
    pub(super) fn wake(&self) {
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
