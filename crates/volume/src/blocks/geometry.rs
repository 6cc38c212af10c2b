//! How a device of some size is cut into segments and extents.

use std::ops::Range;

/// Bytes of a segment, the last one excepted.
pub const SEGMENT: u64 = 1 << 30;

/// Sizes of extents that the format allows.
const EXTENTS: [u32; 8] = [64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20];

/// A larger device is none that exists: 1 PiB.
const LARGEST: u64 = 1 << 50;

/// Size of a device and of its extents. Segments and extents are numbered from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    size: u64,
    extent: u32,
}

impl Geometry {
    /// A device of `size` bytes with extents of the length that suits it: small ones let small
    /// changes cost little, large ones keep the index small. `None` if it is larger than any is.
    pub fn of(size: u64) -> Option<Self> {
        const GIB: u64 = 1 << 30;
        let extent = match size {
            size if size <= 64 * GIB => 128 << 10,
            size if size <= 256 * GIB => 256 << 10,
            size if size <= 1024 * GIB => 512 << 10,
            _ => 1 << 20,
        };
        Self::with_extents(size, extent)
    }

    /// A device of `size` bytes with extents of `extent` bytes, if the format allows these.
    pub fn with_extents(size: u64, extent: u32) -> Option<Self> {
        (EXTENTS.contains(&extent) && size <= LARGEST).then_some(Self { size, extent })
    }

    /// Bytes of the device.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of an extent, the device's last one excepted.
    pub fn extent_size(&self) -> u32 {
        self.extent
    }

    /// How many segments there are; at most 2^20.
    pub fn segments(&self) -> u32 {
        self.size.div_ceil(SEGMENT) as u32
    }

    /// How many extents there are.
    pub fn extents(&self) -> u64 {
        self.size.div_ceil(u64::from(self.extent))
    }

    /// The bytes of a segment.
    pub(super) fn segment(&self, number: u32) -> Range<u64> {
        let start = u64::from(number) * SEGMENT;
        start.min(self.size)..(start + SEGMENT).min(self.size)
    }

    /// The extents of a segment.
    pub(super) fn extents_in(&self, segment: u32) -> Range<u64> {
        self.covering(self.segment(segment))
    }

    /// The bytes of an extent.
    pub(super) fn extent(&self, number: u64) -> Range<u64> {
        let start = number * u64::from(self.extent);
        start.min(self.size)..(start + u64::from(self.extent)).min(self.size)
    }

    /// The bytes of neighbouring extents.
    pub(super) fn bytes(&self, extents: &Range<u64>) -> Range<u64> {
        let Range { start, end } = self.extent(extents.start);
        start..end.max(self.extent(extents.end.saturating_sub(1)).end)
    }

    /// Length of an extent.
    pub(super) fn extent_length(&self, number: u64) -> usize {
        let Range { start, end } = self.extent(number);
        (end - start) as usize
    }

    /// The extents that hold any of these bytes, as far as the device reaches.
    pub(super) fn covering(&self, bytes: Range<u64>) -> Range<u64> {
        let (start, end) = (bytes.start.min(self.size), bytes.end.min(self.size));
        if start >= end {
            return 0..0;
        }
        start / u64::from(self.extent)..end.div_ceil(u64::from(self.extent))
    }

    /// How many extents are read at once.
    pub(super) fn window(&self) -> u64 {
        (super::WINDOW as u64 / u64::from(self.extent)).max(1)
    }

    /// Bytes of such a window.
    pub(super) fn window_length(&self) -> usize {
        self.window() as usize * self.extent as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn extents_grow_with_the_device() {
        const GIB: u64 = 1 << 30;
        for (size, extent) in [
            (0, 128 << 10),
            (64 * GIB, 128 << 10),
            (64 * GIB + 1, 256 << 10),
            (256 * GIB, 256 << 10),
            (256 * GIB + 1, 512 << 10),
            (1024 * GIB, 512 << 10),
            (1024 * GIB + 1, 1 << 20),
        ] {
            assert_eq!(Geometry::of(size).unwrap().extent_size(), extent, "{size}");
        }
        assert!(Geometry::of(LARGEST).is_some() && Geometry::of(LARGEST + 1).is_none());
        assert!(Geometry::with_extents(1, 12_345).is_none() && Geometry::with_extents(1, 0).is_none());
    }

    proptest! {
        #[test]
        fn segments_and_extents_cover_each_byte_once(size in 0..5 * SEGMENT, extent in 0..EXTENTS.len()) {
            let geometry = Geometry::with_extents(size, EXTENTS[extent]).unwrap();
            let mut next = 0;
            for number in 0..geometry.segments() {
                let extents = geometry.extents_in(number);
                prop_assert_eq!(geometry.segment(number).start, geometry.extent(extents.start).start);
                for extent in extents {
                    prop_assert_eq!(extent, next);
                    next += 1;
                    prop_assert!(geometry.extent_length(extent) > 0);
                }
            }
            prop_assert_eq!(next, geometry.extents());
            prop_assert_eq!(next.checked_sub(1).map_or(0, |last| geometry.extent(last).end), size);
        }

        #[test]
        fn what_covers_a_range_holds_it_and_nothing_beside(size in 1..5 * SEGMENT, start: u64, length: u64) {
            let geometry = Geometry::of(size).unwrap();
            let (start, length) = (start % (2 * size), length % (2 * size));
            let covering = geometry.covering(start..start + length);
            let (from, to) = (start.min(size), (start + length).min(size));
            prop_assert_eq!(covering.is_empty(), from >= to);
            if !covering.is_empty() {
                let (first, last) = (geometry.extent(covering.start), geometry.extent(covering.end - 1));
                prop_assert!(first.contains(&from) && last.contains(&(to - 1)));
            }
        }
    }
}
