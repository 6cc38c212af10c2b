//! Pack files: sealed blobs one after the other, then a sealed header that lists them.

mod buffer;
mod builder;
mod header;

pub(crate) use buffer::BufferPool;
pub(crate) use builder::{PackBuilder, SealedPack};
pub(crate) use header::{HEADER_LENGTH, Header, read_header};

use crate::crypto;
use crate::id::{BlobId, BlobKind, PackId};

/// Size that packs are filled to unless a writer is told otherwise, header included: stock restic's
/// default.
pub(crate) const PACK_SIZE: usize = 16 << 20;

/// One blob within a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedBlob {
    pub(crate) id: BlobId,
    pub(crate) kind: BlobKind,
    /// Where its sealed form begins in the pack.
    pub(crate) offset: u32,
    /// Length of its sealed form.
    pub(crate) length: u32,
    /// Its plain length if it is compressed.
    pub(crate) uncompressed: Option<u32>,
}

impl PackedBlob {
    /// Length of its content in bytes.
    pub(crate) fn plain_length(&self) -> u32 {
        self.uncompressed.unwrap_or(self.length.saturating_sub(crypto::OVERHEAD as u32))
    }
}

/// Bytes of a whole pack of these blobs, header included.
pub(crate) fn size_of(blobs: &[PackedBlob]) -> u64 {
    blobs.iter().map(|blob| u64::from(blob.length)).sum::<u64>() + header::size(blobs)
}

/// Where the pack `id` lies in a repository.
pub(crate) fn path(id: &PackId) -> String {
    let name = id.to_string();
    format!("data/{}/{name}", &name[..2])
}
