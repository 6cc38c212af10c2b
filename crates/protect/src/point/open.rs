//! One point opened: its `point.json`, its objects without their bytes, and any of them with.

use bytes::{Bytes, BytesMut};
use holdfast_model::point::{POINT_FILE, POINT_FORMAT, Point};
use holdfast_vault::{BlobId, BlobKind, Reader, Repository};
use serde::Deserialize;

use super::entry::ObjectEntry;
use super::summary::PointSummary;
use crate::error::{Error, Result};

/// A point whose `point.json` claims to be longer than this is not read.
const LONGEST_POINT: u64 = 64 << 20;
/// An object longer than this is not read into memory.
const LONGEST_OBJECT: u64 = 64 << 20;

/// A recovery point that can be read. Cheap to clone but for the point itself.
#[derive(Clone)]
pub struct OpenPoint {
    /// What the point says of itself.
    pub point: Point,
    /// What its snapshot says of it.
    pub summary: PointSummary,
    /// Reads its blobs.
    pub reader: Reader,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Opens a point.
///
/// # Errors
/// [`Error::DamagedPoint`], [`Error::NewerPoint`], [`Error::Vault`]
pub async fn open(repository: &Repository, summary: &PointSummary) -> Result<OpenPoint> {
    open_with(repository.reader().await?, summary).await
}

/// The same with a reader at hand: opening several points loads the index once.
///
/// # Errors
/// As [`open`].
pub async fn open_with(reader: Reader, summary: &PointSummary) -> Result<OpenPoint> {
    let damaged = |reason: String| Error::DamagedPoint { id: summary.id.clone(), reason };
    let node = reader.lookup(&summary.root, POINT_FILE).await?;
    let node = node.ok_or_else(|| damaged(format!("it has no {POINT_FILE}")))?;
    let json = read_blobs(&reader, node.blobs(), LONGEST_POINT)
        .await
        .map_err(|error| damaged(format!("{POINT_FILE}: {error}")))?;
    let format: Format =
        serde_json::from_slice(&json).map_err(|error| damaged(format!("{POINT_FILE}: {error}")))?;
    if format.format > POINT_FORMAT {
        let (found, supported) = (format.format, POINT_FORMAT);
        return Err(Error::NewerPoint { id: summary.id.clone(), found, supported });
    }
    let point: Point =
        serde_json::from_slice(&json).map_err(|error| damaged(format!("{POINT_FILE}: {error}")))?;
    if point.id != summary.id {
        return Err(damaged(format!("its {POINT_FILE} is that of {}", point.id)));
    }
    Ok(OpenPoint { point, summary: summary.clone(), reader })
}

impl OpenPoint {
    /// The JSON of an object as it was captured.
    ///
    /// # Errors
    /// [`Error::Vault`]; [`Error::DamagedPoint`] if it is absurdly long.
    pub async fn read(&self, entry: &ObjectEntry) -> Result<Bytes> {
        read_blobs(&self.reader, &entry.content, LONGEST_OBJECT).await.map_err(|error| Error::DamagedPoint {
            id: self.point.id.clone(),
            reason: format!("{}: {error}", entry.path),
        })
    }
}

async fn read_blobs(reader: &Reader, ids: &[BlobId], limit: u64) -> Result<Bytes, String> {
    let known = |id| reader.size_of(BlobKind::Data, id).ok_or_else(|| format!("blob {id} is in no index"));
    let size = ids.iter().try_fold(0u64, |sum, id| Ok::<_, String>(sum.saturating_add(known(id)?)))?;
    if size > limit {
        return Err(format!("it is {size} bytes long, more than the {limit} that make sense"));
    }
    if let [id] = ids {
        return reader.blob(BlobKind::Data, id).await.map_err(|error| error.to_string());
    }
    let mut all = BytesMut::new();
    for id in ids {
        all.extend_from_slice(&reader.blob(BlobKind::Data, id).await.map_err(|error| error.to_string())?);
    }
    Ok(all.freeze())
}
