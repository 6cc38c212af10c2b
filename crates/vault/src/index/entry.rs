//! One blob of the index, as small as it can be: a large repository has millions.

use crate::id::{BlobId, BlobKind};
use crate::pack::PackedBlob;

/// One blob in 48 bytes. The kind is the top bit of `length`; raw blobs have a `plain` of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    id: BlobId,
    pub(super) pack: u32,
    pub(super) offset: u32,
    length: u32,
    plain: u32,
}

const TREE: u32 = 1 << 31;
/// No sealed blob is longer: the top bit of its length is used.
pub(super) const MAX_SEALED: u32 = TREE - 1;

impl Entry {
    pub(super) fn new(pack: u32, blob: &PackedBlob) -> Self {
        let kind = if blob.kind == BlobKind::Tree { TREE } else { 0 };
        let (id, offset, plain) = (blob.id, blob.offset, blob.uncompressed.unwrap_or(0));
        Self { id, pack, offset, length: blob.length | kind, plain }
    }

    pub(super) fn kind(&self) -> BlobKind {
        if self.length & TREE == 0 { BlobKind::Data } else { BlobKind::Tree }
    }

    pub(super) fn blob(&self) -> PackedBlob {
        PackedBlob {
            id: self.id,
            kind: self.kind(),
            offset: self.offset,
            length: self.length & !TREE,
            uncompressed: (self.plain != 0).then_some(self.plain),
        }
    }

    /// What is looked for.
    pub(super) fn key(&self) -> (BlobId, BlobKind) {
        (self.id, self.kind())
    }

    /// What entries are sorted by: no two that differ are equal in it.
    pub(super) fn order(&self) -> (BlobId, BlobKind, u32, u32) {
        (self.id, self.kind(), self.pack, self.offset)
    }
}
