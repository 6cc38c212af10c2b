//! The index in memory: 48 bytes for each blob, in sorted runs.
//!
//! Blobs arrive in batches (an index file each). A shard keeps runs of entries sorted by name and
//! merges a new run with older ones of similar length, as a log-structured merge tree does; so a
//! search looks at a few runs, no memory is held in reserve, and adding costs a logarithm.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

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

/// One blob in 48 bytes. The kind is the top bit of `length`; raw blobs have a `plain` of 0.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    id: BlobId,
    pack: u32,
    offset: u32,
    length: u32,
    plain: u32,
}

const TREE: u32 = 1 << 31;
/// No sealed blob is longer: the top bit of its length is used.
pub(crate) const MAX_SEALED: u32 = TREE - 1;
const SHARDS: usize = 256;

impl Entry {
    fn new(pack: u32, blob: &PackedBlob) -> Self {
        let kind = if blob.kind == BlobKind::Tree { TREE } else { 0 };
        let (id, offset, plain) = (blob.id, blob.offset, blob.uncompressed.unwrap_or(0));
        Self { id, pack, offset, length: blob.length | kind, plain }
    }

    fn kind(&self) -> BlobKind {
        if self.length & TREE == 0 { BlobKind::Data } else { BlobKind::Tree }
    }

    fn blob(&self) -> PackedBlob {
        PackedBlob {
            id: self.id,
            kind: self.kind(),
            offset: self.offset,
            length: self.length & !TREE,
            uncompressed: (self.plain != 0).then_some(self.plain),
        }
    }

    fn order(&self) -> (BlobId, BlobKind, u32, u32) {
        (self.id, self.kind(), self.pack, self.offset)
    }
}

#[derive(Default)]
struct Shard {
    /// Each sorted, longest first.
    runs: Vec<Box<[Entry]>>,
}

impl Shard {
    fn add(&mut self, mut batch: Vec<Entry>) {
        batch.sort_unstable_by_key(Entry::order);
        batch.dedup();
        let mut run = batch.into_boxed_slice();
        while let Some(previous) = self.runs.pop_if(|previous| previous.len() < 2 * run.len()) {
            run = merge(&previous, &run);
        }
        self.runs.push(run);
    }

    fn find<'s>(&'s self, kind: BlobKind, id: &'s BlobId) -> impl Iterator<Item = &'s Entry> {
        self.runs.iter().flat_map(move |run| {
            let start = run.partition_point(|entry| (entry.id, entry.kind()) < (*id, kind));
            run[start..].iter().take_while(move |entry| entry.id == *id && entry.kind() == kind)
        })
    }
}

fn merge(a: &[Entry], b: &[Entry]) -> Box<[Entry]> {
    let mut merged = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(left), Some(right)) = (a.peek(), b.peek()) {
        let next = match left.order().cmp(&right.order()) {
            std::cmp::Ordering::Less => a.next(),
            std::cmp::Ordering::Greater => b.next(),
            std::cmp::Ordering::Equal => {
                b.next();
                a.next()
            }
        };
        merged.extend(next.copied());
    }
    merged.extend(a.chain(b).copied());
    merged.into_boxed_slice()
}

#[derive(Default)]
struct Packs {
    ids: Vec<PackId>,
    numbers: HashMap<PackId, u32>,
}

/// The positions of all blobs of a repository. Shared; readers do not wait for each other.
pub(crate) struct Index {
    shards: Box<[RwLock<Shard>]>,
    packs: RwLock<Packs>,
}

impl Default for Index {
    fn default() -> Self {
        let shards = std::iter::repeat_with(RwLock::default).take(SHARDS).collect();
        Self { shards, packs: RwLock::default() }
    }
}

impl Index {
    /// Adds packs with their blobs.
    pub(crate) fn add<'p>(&self, packs: impl IntoIterator<Item = (PackId, &'p [PackedBlob])>) {
        let mut batches: Vec<Vec<Entry>> = vec![Vec::new(); SHARDS];
        for (id, blobs) in packs {
            let number = self.number(id);
            for blob in blobs {
                batches[shard_of(&blob.id)].push(Entry::new(number, blob));
            }
        }
        for (shard, batch) in self.shards.iter().zip(batches) {
            if !batch.is_empty() {
                shard.write().unwrap_or_else(PoisonError::into_inner).add(batch);
            }
        }
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
        self.shard(id).find(kind, id).next().is_some()
    }

    /// Where the blob lies; more than one place if it was stored more than once.
    pub(crate) fn locate(&self, kind: BlobKind, id: &BlobId) -> Vec<Location> {
        let found: Vec<Entry> = self.shard(id).find(kind, id).copied().collect();
        let packs = self.packs.read().unwrap_or_else(PoisonError::into_inner);
        let pack = |entry: &Entry| packs.ids.get(entry.pack as usize).copied();
        found.iter().filter_map(|entry| Some(Location { pack: pack(entry)?, blob: entry.blob() })).collect()
    }

    /// Plain length of the blob in bytes.
    pub(crate) fn plain_length(&self, kind: BlobKind, id: &BlobId) -> Option<u32> {
        self.shard(id).find(kind, id).next().map(|entry| entry.blob().plain_length())
    }

    /// Where the blob is read from, if it lies anywhere.
    pub(crate) fn position(&self, kind: BlobKind, id: &BlobId) -> Option<Position> {
        self.shard(id).find(kind, id).next().map(|entry| Position { pack: entry.pack, offset: entry.offset })
    }

    /// All packs.
    pub(crate) fn packs(&self) -> Vec<PackId> {
        self.packs.read().unwrap_or_else(PoisonError::into_inner).ids.clone()
    }

    /// Calls `each` with every entry and the number of its pack in [`Index::packs`].
    pub(crate) fn for_each(&self, mut each: impl FnMut(usize, &PackedBlob)) {
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for entry in shard.runs.iter().flat_map(|run| run.iter()) {
                each(entry.pack as usize, &entry.blob());
            }
        }
    }

    fn shard(&self, id: &BlobId) -> std::sync::RwLockReadGuard<'_, Shard> {
        self.shards[shard_of(id)].read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shard_of(id: &BlobId) -> usize {
    usize::from(id.as_bytes()[0])
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
    fn an_entry_takes_48_bytes_and_runs_stay_few() {
        assert_eq!(size_of::<Entry>(), 48);
        let mut shard = Shard::default();
        for n in 0..1000 {
            shard.add(vec![Entry::new(0, &blob(n, BlobKind::Data))]);
        }
        assert_eq!(shard.runs.iter().map(|run| run.len()).sum::<usize>(), 1000);
        assert!(shard.runs.len() <= 11, "{}", shard.runs.len());
    }
}
