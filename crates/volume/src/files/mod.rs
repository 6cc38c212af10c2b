//! Captures a directory into a vault and restores it; blocking, without Kubernetes.
//!
//! The snapshot of a volume has two entries at its root: the directory [`VOLUME_DIR`], which
//! carries the attributes of the volume's own root, and the file [`REPORT_FILE`] that says what
//! the capture met. Everything below a volume is treated as hostile: see [`beneath`].

mod beneath;
mod capture;
mod find;
mod findings;
mod place;
mod progress;
mod restore;
mod select;
mod stat;
mod stored;
mod xattr;

pub use capture::{CaptureOptions, Captured, Gate, NoGate, ParentTree, capture};
pub use find::{Found, find};
pub use findings::Findings;
pub use progress::Progress;
pub use restore::{
    Compare, Extras, RestoreMode, RestoreOptions, Restored, Verified, Verify, restore, restore_volume,
};
pub use select::{Chosen, InvalidPattern, Selection};
pub use stored::StoredVolume;

/// Directory in the root of a volume's snapshot that stands for the volume's root.
pub const VOLUME_DIR: &str = "volume";
/// File in the root of a volume's snapshot: the mover's report as JSON.
pub const REPORT_FILE: &str = "capture.json";

/// Directories nested deeper than this are named and left out. A path as long as Linux takes in
/// one call (4,096 bytes) cannot be deeper than half of it.
pub(crate) const MAX_DEPTH: usize = 2_048;
