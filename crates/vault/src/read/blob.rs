//! One blob: found, fetched, decrypted, unpacked and verified.

use bytes::Bytes;

use crate::compress;
use crate::crypto::Key;
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind};
use crate::index::{Index, Location};
use crate::pack::{self, PackedBlob};
use crate::repository::Inner;

/// Blobs beyond this are taken for damage: the largest is a directory of some million entries.
const MAX_PLAIN: u32 = 1 << 30;
/// Below this decoding takes a fraction of a millisecond, less than handing it to another thread.
const INLINE: usize = 16 << 10;

/// Plain content of a blob, with the memory it was decoded in.
#[derive(Default)]
pub(crate) struct Decoded {
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

/// Opens `sealed` into `buffers` and verifies that it is the blob. The result is in `buffers`.
pub(crate) fn decode<'b>(
    key: &Key,
    blob: &PackedBlob,
    sealed: &[u8],
    buffers: &'b mut Decoded,
) -> Result<&'b [u8], String> {
    if sealed.len() != blob.length as usize {
        return Err(format!("it ends after {} of {} bytes", sealed.len(), blob.length));
    }
    if blob.plain_length() > MAX_PLAIN {
        return Err(format!("it claims to be {} bytes long", blob.plain_length()));
    }
    buffers.sealed.clear();
    key.open_into(sealed, &mut buffers.sealed).map_err(|error| error.to_string())?;
    let plain = match blob.uncompressed {
        None => &buffers.sealed,
        Some(length) => {
            compress::decompress_into(&buffers.sealed, length as usize, &mut buffers.plain)
                .map_err(|error| format!("it does not decompress: {error}"))?;
            &buffers.plain
        }
    };
    if BlobId::of(plain) != blob.id {
        return Err("its content does not match its name".to_owned());
    }
    Ok(plain)
}

impl Decoded {
    /// The content that [`decode`] has left for `blob`.
    fn take(self, blob: &PackedBlob) -> Bytes {
        if blob.uncompressed.is_some() { self.plain.into() } else { self.sealed.into() }
    }
}

/// Fetches a blob from wherever an undamaged copy lies.
pub(super) async fn fetch(inner: &Inner, index: &Index, kind: BlobKind, id: &BlobId) -> Result<Bytes> {
    let mut failure = Error::MissingBlob { kind, id: *id };
    for location in index.locate(kind, id) {
        match fetch_from(inner, &location).await {
            Ok(plain) => return Ok(plain),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn fetch_from(inner: &Inner, location: &Location) -> Result<Bytes> {
    let Location { pack, blob } = *location;
    let (start, length) = (u64::from(blob.offset), u64::from(blob.length));
    let sealed = inner.store.get_range(&pack::path(&pack), start..start + length).await?;
    let key = inner.key.clone();
    let open = move || {
        let mut buffers = Decoded::default();
        decode(&key, &blob, &sealed, &mut buffers)
            .map_err(|reason| Error::damaged_blob(blob.kind, &blob.id, &pack, reason))?;
        Ok(buffers.take(&blob))
    };
    if blob.plain_length() as usize <= INLINE {
        return open();
    }
    tokio::task::spawn_blocking(open).await.map_err(|error| Error::Internal(error.to_string()))?
}
