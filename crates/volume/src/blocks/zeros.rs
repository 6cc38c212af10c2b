//! The blobs of extents that are zero.

use holdfast_vault::BlobId;

use super::geometry::Geometry;

/// Names of the zero extents of a device: all have one length, except perhaps the last.
#[derive(Debug, Clone)]
pub(super) struct Zeros {
    full: BlobId,
    last: BlobId,
    last_extent: u64,
}

impl Zeros {
    pub(super) fn of(geometry: &Geometry) -> Self {
        let last_extent = geometry.extents().saturating_sub(1);
        let zeros = vec![0; geometry.extent_size() as usize];
        let last = BlobId::of(&zeros[..geometry.extent_length(last_extent)]);
        Self { full: BlobId::of(&zeros), last, last_extent }
    }

    /// The name of an extent if it is zero.
    pub(super) fn name(&self, extent: u64) -> BlobId {
        if extent == self.last_extent { self.last } else { self.full }
    }

    /// Bytes of those extents, of which these are the first and `start` the number of the first,
    /// that are not zero.
    pub(super) fn allocated(&self, geometry: &Geometry, start: u64, extents: &[BlobId]) -> u64 {
        let held = (start..).zip(extents).filter(|(extent, id)| !self.is(*extent, id));
        held.map(|(extent, _)| geometry.extent_length(extent) as u64).sum()
    }

    /// Whether the extent of this name is zero.
    pub(super) fn is(&self, extent: u64, id: &BlobId) -> bool {
        *id == self.name(extent)
    }
}
