//! Which parts of an image differ from those of another, told from where their data is.
//!
//! Blocks that two images of one file system share are the same; others may be. So what is found here is all that
//! changed, and what was written anew with the same bytes.

use std::ops::Range;

use crate::error::Result;
use crate::kernel::extents::Extent;

/// What is at one byte of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// A hole.
    Zeros,
    /// The byte of the disk with this number.
    Data(u64),
    /// Data at a place that says nothing about it.
    Unknown,
}

/// The ranges in which `target` differs from `base`, in ascending order and with unchanged bytes between them.
///
/// Both list extents front to back; looked at are the bytes of `within`.
pub(super) fn changes<B, T>(base: B, target: T, within: Range<u64>) -> Changes<B, T>
where
    B: Iterator<Item = Result<Extent>>,
    T: Iterator<Item = Result<Extent>>,
{
    Changes { base: Cursor::over(base), target: Cursor::over(target), at: within.start, end: within.end }
}

/// The iterator of [`changes`]; it ends with its first error.
pub(super) struct Changes<B, T> {
    base: Cursor<B>,
    target: Cursor<T>,
    at: u64,
    end: u64,
}

impl<B, T> Changes<B, T>
where
    B: Iterator<Item = Result<Extent>>,
    T: Iterator<Item = Result<Extent>>,
{
    /// The next range in which everything is changed or nothing is.
    fn step(&mut self) -> Result<(Range<u64>, bool)> {
        let (was, was_until) = self.base.look(self.at)?;
        let (is, is_until) = self.target.look(self.at)?;
        let start = self.at;
        self.at = was_until.min(is_until).min(self.end);
        Ok((start..self.at, was != is || is == Content::Unknown))
    }

    fn next_change(&mut self) -> Result<Option<Range<u64>>> {
        let mut found: Option<Range<u64>> = None;
        while self.at < self.end {
            match (self.step()?, &mut found) {
                ((range, true), None) => found = Some(range),
                ((range, true), Some(change)) => change.end = range.end,
                ((_, false), None) => {}
                ((_, false), Some(_)) => break,
            }
        }
        Ok(found)
    }
}

impl<B, T> Iterator for Changes<B, T>
where
    B: Iterator<Item = Result<Extent>>,
    T: Iterator<Item = Result<Extent>>,
{
    type Item = Result<Range<u64>>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_change();
        if next.is_err() {
            self.at = self.end;
        }
        next.transpose()
    }
}

/// Extents that are looked at from the front to the back.
struct Cursor<I> {
    extents: I,
    current: Option<Extent>,
}

impl<I: Iterator<Item = Result<Extent>>> Cursor<I> {
    fn over(extents: I) -> Self {
        Self { extents, current: None }
    }

    /// What is at a byte, not before the one of the last look, and from where on that says nothing any more.
    fn look(&mut self, byte: u64) -> Result<(Content, u64)> {
        while self.current.is_none_or(|extent| extent.end <= byte) {
            self.current = self.extents.next().transpose()?;
            if self.current.is_none() {
                return Ok((Content::Zeros, u64::MAX));
            }
        }
        let Some(extent) = self.current else { return Ok((Content::Zeros, u64::MAX)) };
        if byte < extent.start {
            return Ok((Content::Zeros, extent.start));
        }
        let content =
            extent.place.map_or(Content::Unknown, |place| Content::Data(place + (byte - extent.start)));
        Ok((content, extent.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Extents = Vec<(u64, u64, Option<u64>)>;

    fn changed(base: &Extents, target: &Extents, within: Range<u64>) -> Vec<(u64, u64)> {
        let extents = |list: &Extents| -> Vec<Result<Extent>> {
            list.iter().map(|&(start, end, place)| Ok(Extent { start, end, place })).collect()
        };
        let found = changes(extents(base).into_iter(), extents(target).into_iter(), within);
        found.map(|range| range.unwrap()).map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn shared_blocks_are_unchanged_however_they_are_cut() {
        let whole = vec![(0, 100, Some(1000))];
        let cut = vec![(0, 30, Some(1000)), (30, 60, Some(5000)), (60, 100, Some(1060))];
        assert_eq!(changed(&whole, &cut, 0..200), [(30, 60)]);
        assert_eq!(changed(&cut, &whole, 0..200), [(30, 60)]);
        assert_eq!(changed(&cut, &cut, 0..200), []);
    }

    #[test]
    fn holes_are_zeros_on_both_sides() {
        let data = vec![(10, 20, Some(7)), (40, 50, Some(90))];
        assert_eq!(
            changed(&vec![], &data, 0..100),
            [(10, 20), (40, 50)],
            "allocated is changed from nothing"
        );
        assert_eq!(changed(&data, &vec![], 0..100), [(10, 20), (40, 50)], "punched out");
        assert_eq!(changed(&vec![], &vec![], 0..100), []);
    }

    #[test]
    fn what_cannot_be_compared_counts_as_changed() {
        let unknown = vec![(0, 50, None)];
        assert_eq!(changed(&unknown, &unknown, 0..100), [(0, 50)]);
    }

    #[test]
    fn neighbours_are_one_range_and_only_what_is_within_counts() {
        let pieces = vec![(0, 10, Some(1)), (10, 20, Some(900)), (20, 30, None), (90, 120, Some(3))];
        assert_eq!(changed(&vec![], &pieces, 0..100), [(0, 30), (90, 100)]);
        assert_eq!(changed(&vec![], &pieces, 15..95), [(15, 30), (90, 95)]);
        assert_eq!(changed(&vec![], &pieces, 100..100), []);
    }
}
