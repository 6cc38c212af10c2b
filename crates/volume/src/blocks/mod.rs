//! Captures a block device (or image file) into a vault and restores it; blocking, without
//! Kubernetes.
//!
//! The device is cut into segments of 1 GiB, and those into extents of one size, each a blob; see
//! `docs/format.md`. A capture reads the extents that a [`Source`] names, and takes all others from
//! the parent snapshot or knows them to be zero. A restore writes the extents that the target does
//! not hold. Both work on a few megabytes per thread, and on the list of one segment's extents at
//! a time.

mod capture;
mod device;
mod extents;
mod form;
mod geometry;
mod ranges;
mod restore;
mod stored;
mod zeros;

pub use capture::{BlockReport, CaptureOptions, Captured, ParentDevice, Reading, Source, capture};
pub use geometry::{Geometry, SEGMENT};
pub use ranges::{Ranges, ranges_from_lines};
pub use restore::{Before, RestoreOptions, restore_volume};

/// How much is read at once, unless an extent is longer.
const WINDOW: usize = 4 << 20;

/// Threads that read and hash: some wait for the device while others compute. Each has a buffer of
/// [`WINDOW`] bytes.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| 2 * cores.get()).min(8)
}
