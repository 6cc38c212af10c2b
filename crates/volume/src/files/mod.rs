//! Captures a directory into a vault and restores it; blocking, without Kubernetes.
//!
//! The snapshot of a volume has two entries at its root: the directory [`VOLUME_DIR`], which
//! carries the attributes of the volume's own root, and the file [`REPORT_FILE`] that says what
//! the capture met. Everything below a volume is treated as hostile: see [`beneath`].

mod beneath;
mod capture;
mod find;
mod place;
mod restore;
mod select;
mod stat;
mod stored;
mod xattr;

pub use capture::{CaptureOptions, Captured, Gate, NoGate, ParentTree, capture};
pub use find::{Found, find};
pub use restore::{Compare, Extras, RestoreMode, RestoreOptions, Verify, restore, restore_volume};
pub use select::{Chosen, InvalidPattern, Selection};
pub use stored::StoredVolume;

pub use crate::findings::Findings;
pub use crate::progress::Progress;
pub use crate::restored::{Restored, Verified};
pub use crate::root::{REPORT_FILE, VOLUME_DIR};

/// Directories nested deeper than this are named and left out. A path as long as Linux takes in
/// one call (4,096 bytes) cannot be deeper than half of it.
pub(crate) const MAX_DEPTH: usize = 2_048;
