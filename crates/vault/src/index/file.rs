//! Index files: which blobs lie where in which packs, as JSON.

use std::io::Write as _;

use serde::Deserialize;

use crate::id::{BlobId, BlobKind, IndexId, PackId, encode_hex};
use crate::pack::PackedBlob;

use super::entry::MAX_SEALED;

/// One pack with its blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexedPack {
    pub(crate) id: PackId,
    pub(crate) blobs: Vec<PackedBlob>,
}

/// What an index file says.
pub(crate) struct IndexFile {
    pub(crate) packs: Vec<IndexedPack>,
    /// Index files that this one replaces (written by restic before 0.17).
    pub(crate) supersedes: Vec<IndexId>,
}

/// The JSON of an index file.
pub(crate) fn encode(packs: &[IndexedPack]) -> Vec<u8> {
    let blobs: usize = packs.iter().map(|pack| pack.blobs.len()).sum();
    let mut json = Vec::with_capacity(200 * blobs + 100 * packs.len() + 20);
    json.extend_from_slice(b"{\"packs\":[");
    for (at, pack) in packs.iter().enumerate() {
        json.extend_from_slice(if at == 0 { b"{\"id\":\"" } else { b",{\"id\":\"" });
        json.extend_from_slice(encode_hex(pack.id.as_bytes(), &mut [0; 64]).as_bytes());
        json.extend_from_slice(b"\",\"blobs\":[");
        for (at, blob) in pack.blobs.iter().enumerate() {
            encode_blob(blob, at == 0, &mut json);
        }
        json.extend_from_slice(b"]}");
    }
    json.extend_from_slice(b"]}");
    json
}

fn encode_blob(blob: &PackedBlob, first: bool, json: &mut Vec<u8>) {
    let mut hex = [0; 64];
    let id = encode_hex(blob.id.as_bytes(), &mut hex);
    let (comma, kind) = (if first { "" } else { "," }, blob.kind);
    let (offset, length) = (blob.offset, blob.length);
    // Writing to a Vec cannot fail.
    let _ = write!(json, r#"{comma}{{"id":"{id}","type":"{kind}","offset":{offset},"length":{length}"#);
    if let Some(plain) = blob.uncompressed {
        let _ = write!(json, r#","uncompressed_length":{plain}"#);
    }
    json.push(b'}');
}

#[derive(Deserialize)]
struct WireFile {
    #[serde(default)]
    supersedes: Option<Vec<IndexId>>,
    packs: Option<Vec<WirePack>>,
}

#[derive(Deserialize)]
struct WirePack {
    id: PackId,
    #[serde(deserialize_with = "read_blobs")]
    blobs: Vec<PackedBlob>,
}

#[derive(Deserialize)]
struct WireBlob {
    id: BlobId,
    #[serde(rename = "type")]
    kind: BlobKind,
    offset: u32,
    length: u32,
    #[serde(default)]
    uncompressed_length: u32,
}

/// Reads the JSON of an index file.
pub(crate) fn decode(json: &[u8]) -> serde_json::Result<IndexFile> {
    let file: WireFile = serde_json::from_slice(json)?;
    let packs = file.packs.unwrap_or_default().into_iter();
    Ok(IndexFile {
        packs: packs.map(|pack| IndexedPack { id: pack.id, blobs: pack.blobs }).collect(),
        supersedes: file.supersedes.unwrap_or_default(),
    })
}

/// Reads blobs one by one into their compact form.
fn read_blobs<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<PackedBlob>, D::Error> {
    struct Blobs;
    impl<'de> serde::de::Visitor<'de> for Blobs {
        type Value = Vec<PackedBlob>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of blobs")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut blobs = Vec::new();
            while let Some(blob) = list.next_element::<WireBlob>()? {
                if blob.length > MAX_SEALED || blob.offset.checked_add(blob.length).is_none() {
                    return Err(serde::de::Error::custom("a blob is too long to be one"));
                }
                let WireBlob { id, kind, offset, length, uncompressed_length } = blob;
                let uncompressed = (uncompressed_length != 0).then_some(uncompressed_length);
                blobs.push(PackedBlob { id, kind, offset, length, uncompressed });
            }
            Ok(blobs)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
    }
    deserializer.deserialize_any(Blobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let blob = |n: u8, kind, uncompressed| PackedBlob {
            id: BlobId::of(&[n]),
            kind,
            offset: u32::from(n) * 100,
            length: 100,
            uncompressed,
        };
        let packs = vec![
            IndexedPack {
                id: PackId::of(b"a"),
                blobs: vec![blob(0, BlobKind::Data, Some(9)), blob(1, BlobKind::Data, None)],
            },
            IndexedPack { id: PackId::of(b"b"), blobs: vec![blob(2, BlobKind::Tree, Some(1000))] },
        ];
        let file = decode(&encode(&packs)).unwrap();
        assert_eq!(file.packs, packs);
        assert!(file.supersedes.is_empty());
    }

    #[test]
    fn what_older_programs_wrote_is_read() {
        let id = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let json = format!(r#"{{"supersedes":["{id}"],"packs":[{{"id":"{id}","blobs":null}}]}}"#);
        let file = decode(json.as_bytes()).unwrap();
        assert_eq!((file.supersedes.len(), file.packs[0].blobs.len()), (1, 0));
        assert!(decode(br#"{"packs":null}"#).unwrap().packs.is_empty());
    }

    #[test]
    fn absurd_lengths_are_refused() {
        let id = BlobId::of(b"x");
        for (offset, length) in [(0u64, 1u64 << 31), (u64::from(u32::MAX), 1), (1 << 40, 1)] {
            let json = format!(
                r#"{{"packs":[{{"id":"{id}","blobs":[{{"id":"{id}","type":"data","offset":{offset},"length":{length}}}]}}]}}"#
            );
            assert!(decode(json.as_bytes()).is_err());
        }
    }
}
