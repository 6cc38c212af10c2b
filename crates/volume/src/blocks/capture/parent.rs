//! The snapshot that a capture is incremental to.

use holdfast_vault::{BlobId, Reader, Snapshot};
use tokio::runtime::Handle;

use crate::blocks::geometry::Geometry;
use crate::blocks::stored::StoredDevice;
use crate::blocks::zeros::Zeros;
use crate::error::Result;

/// A device in an earlier snapshot.
#[derive(Clone)]
pub struct ParentDevice {
    reader: Reader,
    runtime: Handle,
    stored: StoredDevice,
    zeros: Zeros,
}

impl ParentDevice {
    /// The device in `snapshot`. Must be called on a multi-threaded tokio runtime, which is used
    /// for reading later.
    ///
    /// # Errors
    /// [`Error::NoVolume`](crate::Error::NoVolume) if the snapshot holds no block device; the
    /// vault's.
    pub async fn of(reader: &Reader, snapshot: &Snapshot) -> Result<Self> {
        let stored = StoredDevice::of(reader, snapshot).await?;
        let zeros = Zeros::of(&stored.geometry);
        Ok(Self { reader: reader.clone(), runtime: Handle::current(), stored, zeros })
    }

    /// Size of the device and of its extents.
    pub fn geometry(&self) -> &Geometry {
        &self.stored.geometry
    }

    /// Bytes of extents that are not zero.
    pub(super) fn allocated(&self) -> u64 {
        self.stored.allocated
    }

    /// The same of some neighbouring extents, `start` being the number of the first.
    pub(super) fn allocated_in(&self, start: u64, extents: &[BlobId]) -> u64 {
        self.zeros.allocated(self.geometry(), start, extents)
    }

    /// The tree of a segment that it has.
    pub(super) fn segment(&self, number: u32) -> Option<BlobId> {
        self.stored.segments.get(number as usize).copied()
    }

    /// The extents of some segments; none of one that it does not have.
    pub(super) fn extents_of(&self, segments: &[u32]) -> Vec<Result<Vec<BlobId>, String>> {
        let has = |number: &&u32| **number < self.stored.geometry.segments();
        let known: Vec<u32> = segments.iter().take_while(has).copied().collect();
        let mut found = self.runtime.block_on(self.stored.extents_of(&self.reader, &known));
        found.resize_with(segments.len(), || Ok(Vec::new()));
        found
    }
}
