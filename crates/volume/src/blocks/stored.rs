//! A device as it lies in a vault.

use holdfast_vault::{BlobId, BlobKind, Reader, Snapshot};

use super::form::{self, DEVICE_FILE};
use super::geometry::Geometry;
use crate::error::Result;
use crate::root;

/// A description longer than this is none.
const LONGEST_DESCRIPTION: u64 = 4096;

/// What is known of a device without the lists of its extents.
#[derive(Debug, Clone)]
pub(super) struct StoredDevice {
    pub(super) geometry: Geometry,
    /// Bytes in extents that are not zero.
    pub(super) allocated: u64,
    /// The trees of its segments.
    pub(super) segments: Vec<BlobId>,
}

impl StoredDevice {
    /// The device in `snapshot`.
    ///
    /// # Errors
    /// [`Error::NoVolume`](crate::Error::NoVolume) with what is not as it should be; the vault's.
    pub(super) async fn of(reader: &Reader, snapshot: &Snapshot) -> Result<Self> {
        let (_, tree) = root::volume(reader, &snapshot.tree).await?;
        let tree = reader.tree(&tree).await?;
        let none = |reason: String| root::no_volume(&snapshot.tree, format!("no block device: {reason}"));
        let file = tree.get(DEVICE_FILE.as_bytes());
        let description = match file.map(holdfast_vault::Node::blobs) {
            Some([id]) if reader.size_of(BlobKind::Data, id) <= Some(LONGEST_DESCRIPTION) => *id,
            _ => return Err(none(format!("its directory has no `{DEVICE_FILE}` of one short piece"))),
        };
        let json = reader.blob(BlobKind::Data, &description).await?;
        let (geometry, allocated) = form::described(&json).map_err(none)?;
        let segments = form::segment_trees(&tree, &geometry).map_err(none)?;
        Ok(Self { geometry, allocated, segments })
    }

    /// The extents of some segments, in the order asked for; for each that cannot be had, why.
    pub(super) async fn extents_of(
        &self,
        reader: &Reader,
        segments: &[u32],
    ) -> Vec<Result<Vec<BlobId>, String>> {
        let ids: Vec<BlobId> = segments.iter().map(|number| self.segments[*number as usize]).collect();
        let trees = reader.trees(&ids).await;
        let extents = segments.iter().zip(trees).map(|(number, tree)| {
            let tree = tree.map_err(|error| error.to_string())?;
            form::segment_extents(&tree, &self.geometry, *number)
        });
        extents.collect()
    }
}
