//! Blobs that are on their way into an index file, so that none is stored twice meanwhile.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::{BlobId, BlobKind};
use crate::pack::PackedBlob;

const SHARDS: usize = 64;

type Shard = HashSet<(BlobKind, BlobId), BuildHasherDefault<IdHasher>>;

/// A set of blobs, in shards of which each has its own lock.
pub(super) struct Pending(Box<[Mutex<Shard>]>);

impl Default for Pending {
    fn default() -> Self {
        Self(std::iter::repeat_with(Mutex::default).take(SHARDS).collect())
    }
}

impl Pending {
    /// Adds a blob; `false` if it is there already.
    pub(super) fn insert(&self, kind: BlobKind, id: BlobId) -> bool {
        self.shard(&id).insert((kind, id))
    }

    pub(super) fn contains(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.shard(id).contains(&(kind, *id))
    }

    /// Forgets blobs that have been indexed.
    pub(super) fn remove(&self, blobs: &[PackedBlob]) {
        for blob in blobs {
            self.shard(&blob.id).remove(&(blob.kind, blob.id));
        }
    }

    fn shard(&self, id: &BlobId) -> MutexGuard<'_, Shard> {
        let shard = usize::from(id.as_bytes()[1]) % SHARDS;
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SHA-256 names are as good as random: eight of their bytes are the hash.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    fn write_isize(&mut self, discriminant: isize) {
        self.0 ^= discriminant as u64;
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_and_removal_forgets() {
        let pending = Pending::default();
        let id = BlobId::of(b"x");
        assert!(pending.insert(BlobKind::Data, id));
        assert!(!pending.insert(BlobKind::Data, id));
        assert!(!pending.contains(BlobKind::Tree, &id));
        let blob = PackedBlob { id, kind: BlobKind::Data, offset: 0, length: 1, uncompressed: None };
        pending.remove(&[blob]);
        assert!(pending.insert(BlobKind::Data, id));
    }

    #[test]
    fn hashes_differ() {
        use std::hash::BuildHasher;
        let build = BuildHasherDefault::<IdHasher>::default();
        let hashes: HashSet<u64> =
            (0..1000u32).map(|n| build.hash_one((BlobKind::Data, BlobId::of(&n.to_le_bytes())))).collect();
        assert_eq!(hashes.len(), 1000);
    }
}
