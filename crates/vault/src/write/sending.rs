//! Packs on their way: sent, then listed in an index file, then known to everyone.

use std::sync::Arc;

use super::core::Core;
use crate::error::{Error, Result};
use crate::id::IndexId;
use crate::index::{self, IndexedPack};
use crate::pack::{self, SealedPack};
use crate::repository::unpacked;

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
        let last = self.uploads.last();
        loop {
            let changed = self.uploads.changed();
            self.expect_running()?;
            if !self.uploads.is_waiting(last) {
                break;
            }
            changed.await;
        }
        self.write_index().await;
        self.expect_running()
    }
}
