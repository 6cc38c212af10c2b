//! Which stretches of which packs to read for a set of blobs.

use std::collections::HashMap;
use std::ops::Range;

use crate::id::{BlobId, BlobKind, PackId};
use crate::index::{Index, Location};
use crate::pack::PackedBlob;

/// Wanted blobs this close to each other are read together with what lies between, which costs less than
/// a request of its own.
const GAP: u64 = 512 << 10;
/// No stretch grows beyond this many bytes, unless a single blob is longer.
pub(super) const LONGEST: u64 = 4 << 20;

/// A stretch of a pack with the wanted blobs in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) pack: PackId,
    pub(super) range: Range<u64>,
    /// By offset.
    pub(super) blobs: Vec<PackedBlob>,
}

/// Segments that hold each of `wanted` once, and the blobs that lie nowhere. Packs come in the order
/// in which they are first needed, so files are completed roughly in the order they were asked for.
pub(super) fn plan(
    index: &Index,
    kind: BlobKind,
    wanted: impl IntoIterator<Item = BlobId>,
) -> (Vec<Segment>, Vec<BlobId>) {
    let mut missing = Vec::new();
    let mut numbers: HashMap<PackId, usize> = HashMap::new();
    let mut packs: Vec<(PackId, Vec<PackedBlob>)> = Vec::new();
    for id in wanted {
        match index.locate(kind, &id).first() {
            None => missing.push(id),
            Some(Location { pack, blob }) => {
                let number = *numbers.entry(*pack).or_insert_with(|| {
                    packs.push((*pack, Vec::new()));
                    packs.len() - 1
                });
                packs[number].1.push(*blob);
            }
        }
    }
    missing.sort_unstable();
    missing.dedup();
    let segments = packs.into_iter().flat_map(|(pack, blobs)| segments(pack, blobs));
    (segments.collect(), missing)
}

fn segments(pack: PackId, mut blobs: Vec<PackedBlob>) -> Vec<Segment> {
    blobs.sort_unstable_by_key(|blob| (blob.offset, blob.id));
    blobs.dedup();
    let mut segments: Vec<Segment> = Vec::new();
    for blob in blobs {
        let range = u64::from(blob.offset)..u64::from(blob.offset) + u64::from(blob.length);
        match segments.last_mut() {
            Some(last) if range.start <= last.range.end + GAP && range.end - last.range.start <= LONGEST => {
                last.range.end = last.range.end.max(range.end);
                last.blobs.push(blob);
            }
            _ => segments.push(Segment { pack, range, blobs: vec![blob] }),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(offset: u32, length: u32) -> PackedBlob {
        let id = BlobId::of(&offset.to_le_bytes());
        PackedBlob { id, kind: BlobKind::Data, offset, length, uncompressed: None }
    }

    #[test]
    fn neighbours_are_read_together_and_strangers_apart() {
        let (near, far) = (100 + GAP as u32, 1000 + 3 * GAP as u32);
        let index = Index::default();
        let pack = PackId::of(b"p");
        let blobs = [blob(0, 100), blob(near, 10), blob(far, 10)];
        index.add([(pack, &blobs[..])]);
        let nowhere = BlobId::of(b"nowhere");
        let wanted = [blobs[2].id, blobs[0].id, blobs[1].id, blobs[0].id, nowhere, nowhere];
        let (segments, missing) = plan(&index, BlobKind::Data, wanted);
        assert_eq!(missing, [nowhere]);
        assert_eq!(segments.len(), 2);
        assert_eq!(segments[0], Segment { pack, range: 0..u64::from(near) + 10, blobs: blobs[..2].to_vec() });
        assert_eq!(segments[1].blobs, blobs[2..]);
    }

    #[test]
    fn segments_stay_short_unless_one_blob_is_longer() {
        let pack = PackId::of(b"p");
        let small: Vec<_> = (0..100).map(|n| blob(n * (1 << 20), 1 << 20)).collect();
        assert!(
            segments(pack, small).iter().all(|segment| segment.range.end - segment.range.start <= LONGEST)
        );
        let big = segments(pack, vec![blob(0, 8 << 20)]);
        assert_eq!(big[0].range, 0..8 << 20);
    }
}
