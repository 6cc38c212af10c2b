//! What a store answers, received into memory that was used before.

use std::io::{Read, Seek, SeekFrom};

use futures::TryStreamExt;
use object_store::{Error, GetResult, GetResultPayload, Result};

/// Receives what was asked for into `buffer`, whose content is lost and whose memory is kept.
pub(super) async fn receive(found: GetResult, mut buffer: Vec<u8>) -> Result<Vec<u8>> {
    let length = found.range.end - found.range.start;
    buffer.clear();
    buffer.reserve_exact(usize::try_from(length).unwrap_or_default());
    match found.payload {
        GetResultPayload::Stream(mut chunks) => {
            while let Some(chunk) = chunks.try_next().await? {
                buffer.extend_from_slice(&chunk);
            }
            Ok(buffer)
        }
        GetResultPayload::File(mut file, _) => {
            let read = move || {
                file.seek(SeekFrom::Start(found.range.start))?;
                file.take(length).read_to_end(&mut buffer)?;
                Ok(buffer)
            };
            tokio::task::spawn_blocking(read)
                .await
                .map_err(|source| Error::JoinError { source })?
                .map_err(|source: std::io::Error| Error::Generic { store: "local", source: Box::new(source) })
        }
    }
}
