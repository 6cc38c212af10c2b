//! A pack being filled.

use bytes::Bytes;

use super::buffer::Buffer;
use super::{PackedBlob, header};
use crate::crypto::Key;
use crate::id::{BlobId, BlobKind, PackId};

/// A pack being filled with sealed blobs.
pub(crate) struct PackBuilder {
    buffer: Buffer,
    blobs: Vec<PackedBlob>,
}

/// A finished pack.
pub(crate) struct SealedPack {
    pub(crate) id: PackId,
    pub(crate) content: Bytes,
    pub(crate) blobs: Vec<PackedBlob>,
}

impl PackBuilder {
    pub(crate) fn new(buffer: Buffer) -> Self {
        Self { buffer, blobs: Vec::new() }
    }

    /// Whether a sealed blob of `length` bytes still fits. The first one always does.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        let filled = self.buffer.bytes.len() + length + header::bound(self.blobs.len() + 1);
        self.blobs.is_empty() || filled <= self.buffer.size()
    }

    /// Appends a sealed blob.
    pub(crate) fn push(&mut self, kind: BlobKind, id: BlobId, sealed: &[u8], uncompressed: Option<u32>) {
        // Packs stay below 4 GiB: a blob does, and only the first may exceed the size of the buffer.
        let (offset, length) = (self.buffer.bytes.len() as u32, sealed.len() as u32);
        if self.blobs.is_empty() && sealed.len() + header::bound(1) > self.buffer.size() {
            self.buffer.bytes.reserve_exact(sealed.len() + header::bound(1));
        }
        self.buffer.bytes.extend_from_slice(sealed);
        self.blobs.push(PackedBlob { id, kind, offset, length, uncompressed });
    }

    /// Adds the header and names the pack.
    pub(crate) fn seal(mut self, key: &Key) -> SealedPack {
        header::append(&self.blobs, key, &mut self.buffer.bytes);
        let id = PackId::of(&self.buffer.bytes);
        SealedPack { id, content: self.buffer.into_bytes(), blobs: self.blobs }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BufferPool, PACK_SIZE};
    use super::*;
    use crate::pack::header::Header;

    #[test]
    fn a_full_pack_never_outgrows_its_buffer() {
        let key = Key::random();
        let pool = BufferPool::new(1, PACK_SIZE);
        for length in [40, 1_000, 1 << 20] {
            let mut builder = PackBuilder::new(pool.acquire().unwrap());
            let sealed = vec![7; length];
            while builder.has_room(length) {
                builder.push(BlobKind::Data, BlobId::of(b"x"), &sealed, Some(1));
            }
            let pack = builder.seal(&key);
            assert!(pack.content.len() <= PACK_SIZE && pack.content.len() + length + 100 > PACK_SIZE);
            let size = pack.content.len() as u64;
            let Ok(Header::Blobs(blobs)) = header::read_header(&pack.content, size, &key) else { panic!() };
            assert_eq!(blobs, pack.blobs);
        }
    }

    #[test]
    fn one_huge_blob_gets_a_pack_of_its_own() {
        let pool = BufferPool::new(1, PACK_SIZE);
        let mut builder = PackBuilder::new(pool.acquire().unwrap());
        assert!(builder.has_room(PACK_SIZE * 2));
        builder.push(BlobKind::Tree, BlobId::of(b"x"), &vec![1; PACK_SIZE * 2], None);
        assert!(!builder.has_room(1));
        assert!(builder.seal(&Key::random()).content.len() > PACK_SIZE * 2);
    }
}
