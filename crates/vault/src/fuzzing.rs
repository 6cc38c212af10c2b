//! Parsers of what lies in a store, for the fuzz targets: built with `--cfg fuzzing` alone.
//!
//! Each takes bytes from anybody and panics if something that must hold for all bytes does not.

use crate::crypto::Key;
use crate::id::{BlobId, BlobKind, PackId};
use crate::index::{self, Index};
use crate::pack::{self, HEADER_LENGTH, Header, PackedBlob};
use crate::read::{Decoded, decode};
use crate::repository::{self, unpacked};

fn key() -> Key {
    Key::from_bytes(&[7; 64])
}

/// An index file: what was understood is written and read again, and found in an index.
pub fn index_file(json: &[u8]) {
    let Ok(file) = index::decode(json) else { return };
    let again = index::decode(&index::encode(&file.packs));
    assert!(again.is_ok_and(|again| again.packs == file.packs), "an index file changed by being written");
    let index = Index::default();
    index.add(file.packs.iter().map(|pack| (pack.id, pack.blobs.as_slice())));
    for blob in file.packs.iter().flat_map(|pack| &pack.blobs) {
        assert!(index.has(blob.kind, &blob.id) && index.position(blob.kind, &blob.id).is_some());
        assert!(index.locate(blob.kind, &blob.id).iter().any(|location| location.blob.length == blob.length));
    }
}

/// The last bytes of a pack of `size` bytes, as they are.
pub fn pack_tail(tail: &[u8], size: u64) {
    let _ = pack::read_header(tail, size, &key());
}

/// The header of a pack, sealed by somebody who has the key.
pub fn pack_header(entries: &[u8], before: u32) {
    let sealed = key().seal(entries);
    let size = u64::from(before) + (sealed.len() + HEADER_LENGTH) as u64;
    let mut tail = sealed;
    tail.extend_from_slice(&(tail.len() as u32).to_le_bytes());
    let Ok(Header::Blobs(blobs)) = pack::read_header(&tail, size, &key()) else { return };
    let mut end = 0;
    for blob in &blobs {
        assert_eq!(blob.offset, end, "blobs lie one after the other");
        end += blob.length;
    }
    assert_eq!(end, before, "they fill the pack");
    assert_eq!(pack::size_of(&blobs), size, "the header is as long as its entries");
}

/// A file outside packs whose plain bytes are these.
pub fn unpacked_file(plain: &[u8]) {
    let mut sealed = key().seal(plain);
    let _ = unpacked::decode(&key(), "file", &mut sealed);
}

/// A blob whose sealed bytes are these, and which is said to have `claimed` plain bytes.
pub fn blob(content: &[u8], claimed: u32) {
    let sealed = key().seal(content);
    let (id, length) = (BlobId::of(content), sealed.len() as u32);
    let uncompressed = (claimed != 0).then_some(claimed);
    let blob = PackedBlob { id, kind: BlobKind::Data, offset: 0, length, uncompressed };
    if let Ok(plain) = decode(&key(), &blob, &sealed, &mut Decoded::default()) {
        assert_eq!(BlobId::of(plain), id);
    }
}

/// A `config` file.
pub fn config(json: &[u8]) {
    let _ = repository::ConfigFile::parse(json);
}

/// A key file.
pub fn key_file(json: &[u8]) {
    let _ = repository::look_at_key_file(json);
}

/// The name of a pack as it lies in a store.
pub fn pack_name(name: &str) {
    if let Ok(id) = name.parse::<PackId>() {
        assert_eq!(id.to_string(), name.to_ascii_lowercase());
    }
}
