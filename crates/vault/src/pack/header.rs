//! The header at the end of a pack.

use crate::crypto::{self, Key};
use crate::id::{BlobId, BlobKind};

use super::PackedBlob;

/// Bytes of the length field that ends a pack.
pub(crate) const HEADER_LENGTH: usize = 4;
/// Bytes of one entry for a raw blob: type, length, id.
const RAW_ENTRY: usize = 1 + 4 + 32;
/// Bytes of one entry for a compressed blob: type, length, plain length, id.
const COMPRESSED_ENTRY: usize = RAW_ENTRY + 4;
/// The longest header that stock restic reads.
const MAX_HEADER: usize = 16 << 20;

/// Bytes that a header of `blobs` entries takes at most, sealed, with the length field.
pub(super) fn bound(blobs: usize) -> usize {
    blobs * COMPRESSED_ENTRY + crypto::OVERHEAD + HEADER_LENGTH
}

/// Bytes of the header of these blobs, sealed, with the length field.
pub(super) fn size(blobs: &[PackedBlob]) -> u64 {
    let entry = |blob: &PackedBlob| if blob.uncompressed.is_some() { COMPRESSED_ENTRY } else { RAW_ENTRY };
    (blobs.iter().map(entry).sum::<usize>() + crypto::OVERHEAD + HEADER_LENGTH) as u64
}

/// Appends the sealed header and its length to a pack.
pub(super) fn append(blobs: &[PackedBlob], key: &Key, pack: &mut Vec<u8>) {
    let start = pack.len();
    pack.resize(start + crypto::NONCE, 0);
    for blob in blobs {
        let tree = u8::from(blob.kind == BlobKind::Tree);
        pack.push(if blob.uncompressed.is_some() { 2 | tree } else { tree });
        pack.extend_from_slice(&blob.length.to_le_bytes());
        if let Some(plain) = blob.uncompressed {
            pack.extend_from_slice(&plain.to_le_bytes());
        }
        pack.extend_from_slice(blob.id.as_bytes());
    }
    pack.resize(pack.len() + crypto::TAG, 0);
    key.seal_in_place(&mut pack[start..]);
    let length = (pack.len() - start) as u32;
    pack.extend_from_slice(&length.to_le_bytes());
}

/// What the end of a pack says.
pub(crate) enum Header {
    /// The blobs, in the order they lie in.
    Blobs(Vec<PackedBlob>),
    /// This many bytes of the end are needed to read it.
    NeedsMore(usize),
}

/// Reads the header from `tail`, the last bytes of a pack of `size` bytes.
pub(crate) fn read_header(tail: &[u8], size: u64, key: &Key) -> Result<Header, String> {
    let (rest, length) = tail.split_last_chunk::<HEADER_LENGTH>().ok_or("it is too short for a pack")?;
    let length = u32::from_le_bytes(*length) as usize;
    if length <= crypto::OVERHEAD || length > MAX_HEADER || (length + HEADER_LENGTH) as u64 > size {
        return Err(format!("its header cannot be {length} bytes long"));
    }
    let Some(start) = rest.len().checked_sub(length) else {
        return Ok(Header::NeedsMore(length + HEADER_LENGTH));
    };
    let mut plain = Vec::with_capacity(length);
    key.open_into(&rest[start..], &mut plain).map_err(|error| format!("header: {error}"))?;
    let blobs = parse(&plain).ok_or("its header is malformed")?;
    let end = blobs.last().map_or(0, |blob| u64::from(blob.offset) + u64::from(blob.length));
    if end + (length + HEADER_LENGTH) as u64 != size {
        return Err(format!("its header accounts for {end} bytes of blobs, which is not what it holds"));
    }
    Ok(Header::Blobs(blobs))
}

fn parse(mut entries: &[u8]) -> Option<Vec<PackedBlob>> {
    let mut blobs = Vec::with_capacity(entries.len() / RAW_ENTRY);
    let mut offset = 0u32;
    while let Some((&tag, rest)) = entries.split_first() {
        let kind = if tag & 1 == 1 { BlobKind::Tree } else { BlobKind::Data };
        let (length, rest) = take_u32(rest)?;
        let (uncompressed, rest) = match tag {
            0 | 1 => (None, rest),
            2 | 3 => take_u32(rest).map(|(plain, rest)| (Some(plain), rest))?,
            _ => return None,
        };
        let (id, rest) = rest.split_first_chunk::<32>()?;
        blobs.push(PackedBlob { id: BlobId::from_bytes(*id), kind, offset, length, uncompressed });
        offset = offset.checked_add(length)?;
        entries = rest;
    }
    Some(blobs)
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(n: u8, kind: BlobKind, offset: u32, uncompressed: Option<u32>) -> PackedBlob {
        PackedBlob { id: BlobId::of(&[n]), kind, offset, length: 100, uncompressed }
    }

    fn sample(key: &Key) -> (Vec<PackedBlob>, Vec<u8>) {
        let blobs = vec![
            blob(1, BlobKind::Data, 0, None),
            blob(2, BlobKind::Data, 100, Some(7)),
            blob(3, BlobKind::Tree, 200, None),
            blob(4, BlobKind::Tree, 300, Some(1 << 30)),
        ];
        let mut pack = vec![0; 400];
        append(&blobs, key, &mut pack);
        (blobs, pack)
    }

    #[test]
    fn headers_come_back_from_whole_packs_and_from_tails() {
        let key = Key::random();
        let (blobs, pack) = sample(&key);
        let size = pack.len() as u64;
        assert!(pack.len() - 400 <= bound(4));
        assert_eq!(size, 400 + super::size(&blobs));
        let Ok(Header::Blobs(read)) = read_header(&pack, size, &key) else { panic!() };
        assert_eq!(read, blobs);
        let Ok(Header::NeedsMore(tail)) = read_header(&pack[pack.len() - 10..], size, &key) else { panic!() };
        let Ok(Header::Blobs(read)) = read_header(&pack[pack.len() - tail..], size, &key) else { panic!() };
        assert_eq!(read, blobs);
    }

    #[test]
    fn damage_is_noticed() {
        let key = Key::random();
        let (_, pack) = sample(&key);
        let size = pack.len() as u64;
        for at in 400..pack.len() {
            let mut altered = pack.clone();
            altered[at] ^= 1;
            assert!(!matches!(read_header(&altered, size, &key), Ok(Header::Blobs(_))), "{at}");
        }
        assert!(read_header(&pack[1..], size - 1, &key).is_err(), "a pack cut at its front");
        for short in 0..36 {
            assert!(read_header(&vec![0; short], short as u64, &key).is_err());
        }
    }
}
