//! Snapshots of the storage: taken of an application's claims, taken over into our own namespace, read
//! through claims of ours, and removed.
//!
//! A VolumeSnapshot belongs to the namespace of its claim, and movers do not run there. So the
//! snapshot changes hands ([`adopt`]): a second VolumeSnapshotContent in `holdfast-system` is made
//! for the same handle before the first goes, and the storage deletes its snapshot exactly once,
//! with the second. [`clear()`] ends the same from any state in which a run can have died.
//!
//! Where the driver cuts several claims at one moment, they are a [`group`].

mod adopt;
mod class;
mod clear;
mod cut;
mod group;
mod kept;
mod manifest;
mod metadata;
mod removal;
mod step;
mod view;

use holdfast_model::RunId;

pub use class::{Choice, SnapshotBy, SnapshotClasses, driver_of};
pub(crate) use clear::clear_one;
pub use clear::{clear, clear_devices};
pub(crate) use cut::{Taken, cut};
pub(crate) use group::Group;
pub use kept::{Kept, forget, kept};
pub(crate) use kept::{Local, Saving, base_of, keep, ready, thin};
pub(crate) use manifest::{API_VERSION as SNAPSHOT_API, MODE_CHANGE};
pub(crate) use metadata::access as metadata_access;
use removal::end_content;
pub use removal::{Cleared, NOT_GONE};
pub(crate) use view::View;

use crate::manifest::name;

/// The names of what is made to read one claim from a snapshot. The same run and claim have the same
/// names: what was created and whose reply was lost is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// Namespace of the claim.
    pub(crate) namespace: String,
    /// The claim.
    pub(crate) claim: String,
    /// Both VolumeSnapshots, and the VolumeSnapshotContent of ours.
    pub(crate) snapshot: String,
    /// The claim of ours that it is read through.
    pub(crate) view: String,
    run: RunId,
}

impl Names {
    /// Of this run and claim.
    pub(crate) fn of(run: &RunId, namespace: &str, claim: &str) -> Self {
        let parts = [run.as_str(), namespace, claim];
        Self {
            namespace: namespace.to_owned(),
            claim: claim.to_owned(),
            snapshot: name("holdfast-snapshot", &parts),
            view: name("holdfast-view", &parts),
            run: run.clone(),
        }
    }

    /// `namespace/claim`.
    pub(crate) fn subject(&self) -> String {
        format!("{}/{}", self.namespace, self.claim)
    }
}
