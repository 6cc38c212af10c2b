//! Getting the index from the repository, and keeping up with what others add.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::file::{self, IndexFile};
use super::table::Index;
use crate::error::{Error, Result};
use crate::id::{FileId, IndexId, PackId};
use crate::pack::{self, PackedBlob};
use crate::repository::{Inner, unpacked};

/// How many index files are read and unpacked at once. Each takes up to 16 MiB meanwhile.
const LOADS_IN_FLIGHT: usize = 4;
/// How many pack headers are read at once.
const HEADERS_IN_FLIGHT: usize = 16;
/// Enough for the header of a pack with a hundred blobs.
const HEADER_GUESS: u64 = 4 << 10;

/// Where the positions of blobs are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexSource {
    /// The index files; a damaged one is an error that names it.
    #[default]
    IndexFiles,
    /// The headers of the packs themselves, when index files are lost or damaged: slower, as the
    /// end of every pack is read. Packs whose header is damaged are passed over.
    PackHeaders,
}

/// The index shared by all readers and writers of one opened repository.
#[derive(Default)]
pub(crate) struct Catalogue {
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    index: Arc<Index>,
    /// Index files that `index` holds.
    loaded: HashSet<IndexId>,
    /// Packs whose headers `index` holds.
    headers: HashSet<PackId>,
}

impl Catalogue {
    /// The index as the repository stands now: what is new is added, and if something was taken
    /// away (by prune) everything is read anew.
    pub(crate) async fn refresh(&self, inner: &Inner) -> Result<Arc<Index>> {
        let mut state = self.state.lock().await;
        match inner.options.index {
            IndexSource::IndexFiles => state.load_files(inner).await?,
            IndexSource::PackHeaders => state.load_headers(inner).await?,
        }
        Ok(Arc::clone(&state.index))
    }

    /// Notes an index file of our own, whose packs the caller has added to the index.
    pub(crate) async fn note(&self, id: IndexId) {
        self.state.lock().await.loaded.insert(id);
    }
}

impl State {
    async fn load_files(&mut self, inner: &Inner) -> Result<()> {
        let listed = inner.store.list("index").await?;
        let present: HashSet<IndexId> = listed.iter().filter_map(|file| file.name.parse().ok()).collect();
        if !self.loaded.is_subset(&present) {
            (self.index, self.loaded) = Default::default();
        }
        let missing: Vec<IndexId> = present.difference(&self.loaded).copied().collect();
        let superseded = self.add_files(inner, missing).await?;
        if superseded.is_empty() {
            return Ok(());
        }
        // Rare, and only in repositories of old programs: read again without what was replaced.
        (self.index, self.loaded) = Default::default();
        self.add_files(inner, present.difference(&superseded).copied().collect()).await?;
        self.loaded = present;
        Ok(())
    }

    /// Adds these index files, and returns the ones that they replace.
    async fn add_files(&mut self, inner: &Inner, ids: Vec<IndexId>) -> Result<HashSet<IndexId>> {
        let index = Arc::clone(&self.index);
        let loads = futures::stream::iter(ids.clone()).map(|id| load_file(inner, id, Arc::clone(&index)));
        let replaced: Vec<Vec<IndexId>> = loads.buffer_unordered(LOADS_IN_FLIGHT).try_collect().await?;
        self.loaded.extend(ids);
        Ok(replaced.into_iter().flatten().collect())
    }

    async fn load_headers(&mut self, inner: &Inner) -> Result<()> {
        let listed = inner.store.list("data").await?;
        let packs = listed.iter().filter_map(|file| {
            let id: PackId = file.name.rsplit('/').next()?.parse().ok()?;
            Some((id, file.size))
        });
        let packs: Vec<_> = packs.filter(|(id, _)| !self.headers.contains(id)).collect();
        let reads =
            packs.into_iter().map(|(id, size)| async move { (id, read_pack_header(inner, &id, size).await) });
        let mut headers = futures::stream::iter(reads).buffer_unordered(HEADERS_IN_FLIGHT);
        while let Some((id, header)) = headers.next().await {
            match header {
                Ok(blobs) => self.index.add([(id, &blobs[..])]),
                Err(error @ Error::Storage { .. }) => return Err(error),
                Err(error) => tracing::warn!(%error, "pack passed over"),
            }
            self.headers.insert(id);
        }
        Ok(())
    }
}

/// Reads one index file into `index` and returns what it replaces.
pub(crate) async fn load_file(inner: &Inner, id: IndexId, index: Arc<Index>) -> Result<Vec<IndexId>> {
    let path = format!("index/{id}");
    let json = unpacked::load(inner, &path, &FileId::from_bytes(*id.as_bytes())).await?;
    let path = inner.store.locate(&path);
    let added = tokio::task::spawn_blocking(move || {
        let IndexFile { packs, supersedes } =
            file::decode(&json).map_err(|error| Error::damaged(path, error))?;
        drop(json);
        index.add(packs.iter().map(|pack| (pack.id, &pack.blobs[..])));
        Ok(supersedes)
    });
    added.await.map_err(|error| Error::Internal(error.to_string()))?
}

/// The blobs that the header of a pack of `size` bytes lists.
pub(crate) async fn read_pack_header(inner: &Inner, id: &PackId, size: u64) -> Result<Vec<PackedBlob>> {
    let path = pack::path(id);
    let damaged = |reason: String| Error::damaged(inner.store.locate(&path), reason);
    let mut wanted = HEADER_GUESS.min(size);
    if wanted < pack::HEADER_LENGTH as u64 {
        return Err(damaged(format!("it is {size} bytes long, too short for a pack")));
    }
    // The second attempt knows the length.
    for _ in 0..2 {
        let tail = inner.store.get_range(&path, size - wanted..size).await?;
        match pack::read_header(&tail, size, &inner.key).map_err(damaged)? {
            pack::Header::Blobs(blobs) => return Ok(blobs),
            pack::Header::NeedsMore(bytes) => wanted = bytes as u64,
        }
    }
    Err(damaged("its header cannot be read".to_owned()))
}
