//! The index in memory: where each blob lies.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::entry::Entry;
use super::runs::Runs;
use crate::id::{BlobId, BlobKind, PackId};
use crate::pack::PackedBlob;

/// Where a blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) pack: PackId,
    pub(crate) blob: PackedBlob,
}

/// Where a blob lies, ordered as blobs are best read: pack by pack, each from start to end. It means
/// something only beside others of the same [`crate::Reader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pack: u32,
    offset: u32,
}

#[derive(Default)]
struct Packs {
    ids: Vec<PackId>,
    numbers: HashMap<PackId, u32>,
}

/// The positions of all blobs of a repository. Shared; readers do not wait for each other.
#[derive(Default)]
pub(crate) struct Index {
    entries: RwLock<Runs>,
    packs: RwLock<Packs>,
}

impl Index {
    /// Adds packs with their blobs.
    pub(crate) fn add<'p>(&self, packs: impl IntoIterator<Item = (PackId, &'p [PackedBlob])>) {
        let mut batch = Vec::new();
        for (id, blobs) in packs {
            let number = self.number(id);
            batch.extend(blobs.iter().map(|blob| Entry::new(number, blob)));
        }
        self.entries.write().unwrap_or_else(PoisonError::into_inner).add(batch);
    }

    fn number(&self, id: PackId) -> u32 {
        let mut packs = self.packs.write().unwrap_or_else(PoisonError::into_inner);
        let Packs { ids, numbers } = &mut *packs;
        *numbers.entry(id).or_insert_with(|| {
            ids.push(id);
            // A repository of 2^32 packs would hold 64 PiB.
            (ids.len() - 1) as u32
        })
    }

    /// Whether the blob lies in some pack.
    pub(crate) fn has(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.entries().find(kind, id).next().is_some()
    }

    /// Where the blob lies; more than one place if it was stored more than once.
    pub(crate) fn locate(&self, kind: BlobKind, id: &BlobId) -> Vec<Location> {
        let found: Vec<Entry> = self.entries().find(kind, id).copied().collect();
        let packs = self.packs.read().unwrap_or_else(PoisonError::into_inner);
        let pack = |entry: &Entry| packs.ids.get(entry.pack as usize).copied();
        found.iter().filter_map(|entry| Some(Location { pack: pack(entry)?, blob: entry.blob() })).collect()
    }

    /// Plain length of the blob in bytes.
    pub(crate) fn plain_length(&self, kind: BlobKind, id: &BlobId) -> Option<u32> {
        self.entries().find(kind, id).next().map(|entry| entry.blob().plain_length())
    }

    /// Where the blob is read from, if it lies anywhere.
    pub(crate) fn position(&self, kind: BlobKind, id: &BlobId) -> Option<Position> {
        self.entries().find(kind, id).next().map(|entry| Position { pack: entry.pack, offset: entry.offset })
    }

    /// All packs.
    pub(crate) fn packs(&self) -> Vec<PackId> {
        self.packs.read().unwrap_or_else(PoisonError::into_inner).ids.clone()
    }

    /// Calls `each` with every entry and the number of its pack in [`Index::packs`].
    pub(crate) fn for_each(&self, mut each: impl FnMut(usize, &PackedBlob)) {
        self.entries().iter().for_each(|entry| each(entry.pack as usize, &entry.blob()));
    }

    fn entries(&self) -> RwLockReadGuard<'_, Runs> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(n: u32, kind: BlobKind) -> PackedBlob {
        let id = BlobId::of(&n.to_le_bytes());
        PackedBlob { id, kind, offset: n, length: n + 32, uncompressed: n.is_multiple_of(2).then_some(n + 1) }
    }

    #[test]
    fn everything_added_is_found_where_it_was_put() {
        let index = Index::default();
        for batch in 0..50u32 {
            let kind = if batch % 3 == 0 { BlobKind::Tree } else { BlobKind::Data };
            let blobs: Vec<_> = (batch * 100..batch * 100 + 100).map(|n| blob(n, kind)).collect();
            index.add([(PackId::of(&batch.to_le_bytes()), &blobs[..])]);
        }
        for n in 0..5000u32 {
            let kind = if n / 100 % 3 == 0 { BlobKind::Tree } else { BlobKind::Data };
            let blob = blob(n, kind);
            let pack = PackId::of(&(n / 100).to_le_bytes());
            assert_eq!(index.locate(kind, &blob.id), [Location { pack, blob }]);
            let other = if kind == BlobKind::Tree { BlobKind::Data } else { BlobKind::Tree };
            assert!(index.has(kind, &blob.id) && !index.has(other, &blob.id));
            assert_eq!(index.plain_length(kind, &blob.id), Some(blob.plain_length()));
            let before = n.checked_sub(1).map(|n| (BlobId::of(&n.to_le_bytes()), n / 100 % 3 == 0));
            let before =
                before.map(|(id, is_tree)| (id, if is_tree { BlobKind::Tree } else { BlobKind::Data }));
            let before = before.and_then(|(id, kind)| index.position(kind, &id));
            assert!(before < index.position(kind, &blob.id));
            assert_eq!(index.position(other, &blob.id), None);
        }
        assert_eq!(index.packs().len(), 50);
    }

    #[test]
    fn a_blob_in_two_packs_has_two_places_and_repeats_none() {
        let index = Index::default();
        let blobs = [blob(1, BlobKind::Data)];
        let (a, b) = (PackId::of(b"a"), PackId::of(b"b"));
        index.add([(a, &blobs[..])]);
        index.add([(b, &blobs[..]), (a, &blobs[..])]);
        assert_eq!(index.locate(BlobKind::Data, &blobs[0].id).len(), 2);
    }

    #[test]
    fn an_entry_takes_48_bytes() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
