//! Files outside packs (snapshots, index files, locks): sealed JSON, compressed since version 2.

use futures::{StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;

use super::Inner;
use crate::compress;
use crate::crypto::Key;
use crate::error::{Error, Result};
use crate::id::FileId;

/// First byte of a compressed file, where JSON would begin with a bracket.
const COMPRESSED: u8 = 2;
/// Files that unpack to more are taken for damage. An index file of ours stays below 16 MiB.
const MAX_UNPACKED: usize = 1 << 30;
/// How many files are read at once.
const READS_IN_FLIGHT: usize = 8;

/// The stored form of `json`.
pub(crate) fn encode(key: &Key, json: &[u8]) -> Result<Vec<u8>> {
    let mut plain = vec![COMPRESSED];
    compress::append_compressed(json, &mut plain)?;
    Ok(key.seal(&plain))
}

/// The JSON of a stored file.
pub(crate) fn decode(key: &Key, path: &str, sealed: &mut [u8]) -> Result<Vec<u8>> {
    let plain = key.open_in_place(sealed).map_err(|error| Error::damaged(path, error))?;
    match plain.split_first() {
        Some((&COMPRESSED, packed)) => {
            compress::decompress(packed, MAX_UNPACKED).map_err(|error| Error::damaged(path, error))
        }
        Some((b'{' | b'[', _)) => Ok(plain.to_vec()),
        _ => Err(Error::damaged(path, "it is neither JSON nor compressed JSON")),
    }
}

/// Stores `json` in `directory` under the hash of its stored form.
pub(crate) async fn save(inner: &Inner, directory: &str, json: Vec<u8>) -> Result<FileId> {
    let key = inner.key.clone();
    let encoded = tokio::task::spawn_blocking(move || {
        let stored = encode(&key, &json)?;
        Ok::<_, Error>((FileId::of(&stored), stored))
    });
    let (id, stored) = encoded.await.map_err(|error| Error::Internal(error.to_string()))??;
    inner.store.put_unique(&format!("{directory}/{id}"), stored.into()).await?;
    Ok(id)
}

/// The JSON of one file, its name checked against its content.
pub(crate) async fn load(inner: &Inner, path: &str, id: &FileId) -> Result<Vec<u8>> {
    let mut stored = Vec::from(inner.store.get(path).await?);
    let (key, path, id) = (inner.key.clone(), inner.store.locate(path), *id);
    let decoded = tokio::task::spawn_blocking(move || {
        if FileId::of(&stored) != id {
            return Err(Error::damaged(path, "its content does not match its name"));
        }
        decode(&key, &path, &mut stored)
    });
    decoded.await.map_err(|error| Error::Internal(error.to_string()))?
}

/// What one file of a directory turned out to be.
pub(crate) type Loaded = Result<(FileId, Vec<u8>)>;

/// Every file of a directory: its name with its JSON, or with why it cannot be read.
pub(crate) async fn load_all(inner: &Inner, directory: &str) -> Result<Vec<(String, Loaded)>> {
    let listed = inner.store.list(directory).await?;
    let ids = listed.into_iter().filter_map(|file| Some((file.name.parse::<FileId>().ok()?, file.name)));
    let loads = ids.map(|(id, name)| async move {
        let loaded = load(inner, &format!("{directory}/{name}"), &id).await;
        Ok((name, loaded.map(|json| (id, json))))
    });
    futures::stream::iter(loads).buffer_unordered(READS_IN_FLIGHT).try_collect().await
}

/// Parses the JSON of the file at `path`.
pub(crate) fn parse<T: DeserializeOwned>(path: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| Error::damaged(path, error))
}
