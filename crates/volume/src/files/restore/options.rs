//! What a restore is asked to do.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_vault::BlobId;
use serde::{Deserialize, Serialize};

use crate::files::select::Selection;

/// What is done about what is in the target already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestoreMode {
    /// The target is empty, or holds what an earlier run of this mode left. Content that is there
    /// already is verified and kept, and nothing that the snapshot does not have is removed.
    #[default]
    New,
    /// The target holds something else, an earlier or later state of the volume for instance. What
    /// the snapshot has comes to be as it is there, written only where it differs: of a large file
    /// that has no other name only the chunks that differ, in place.
    ///
    /// `lost+found` at the root, sockets, and what the capture left out or could not read are never
    /// touched: that they are not in the snapshot says nothing of them.
    Exact {
        /// What becomes of the rest.
        extras: Extras,
        /// What tells that a file differs.
        compare: Compare,
    },
    /// The target is known to hold exactly what another snapshot of the same volume has, and nobody
    /// else writes to it. Only what differs between the two is read from the vault and touched in the
    /// target; directories in which nothing differs are not even looked at. What the other snapshot
    /// has and this one does not is removed.
    ///
    /// Ended early, the target holds neither: the same call again completes it, whatever it has done
    /// so far, and so does `Exact`. A restore whose findings have problems leaves places as they were
    /// before; the next base is then not known to be there, and `Exact` is called for.
    Delta {
        /// The other snapshot's tree: where a volume is restored its root, else the directory.
        base: BlobId,
    },
}

/// What becomes of entries that the snapshot does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extras {
    /// They stay.
    #[default]
    Keep,
    /// They are removed, directory by directory, each when everything in and below it is restored;
    /// not where something of that failed.
    Delete,
}

/// What tells that a file's content is that of the snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// Its size and time of last change; where these differ, its content chunk by chunk.
    #[default]
    Times,
    /// Its content: every file is read in full.
    Content,
}

/// What is read back and compared with the snapshot when all is restored and on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Nothing.
    #[default]
    No,
    /// What differed between the two snapshots of a [`RestoreMode::Delta`]; in other modes all.
    Touched,
    /// Everything that was to be restored.
    All,
}

/// What a restore may do, and when it ends.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// What is done about what is there already.
    pub mode: RestoreMode,
    /// Restore only what these patterns choose, and the directories that lead there; without, all.
    pub select: Option<Arc<Selection>>,
    /// A directory below the target, as names separated by `/`, that is restored into instead; it is
    /// made if it is not there.
    pub at: Vec<u8>,
    /// What is read back at the end.
    pub verify: Verify,
    /// Make device files. Off unless an administrator says so: they open the node's hardware.
    pub devices: bool,
    /// Restore the setuid and setgid bits of files and their capabilities. Off unless an
    /// administrator says so.
    pub setuid: bool,
    /// Restore owner and group; needs the capability CHOWN.
    pub owners: bool,
    /// Wait until everything is on disk.
    pub sync: bool,
    /// Set to end the restore early.
    pub stop: Arc<AtomicBool>,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            mode: RestoreMode::New,
            select: None,
            at: Vec::new(),
            verify: Verify::No,
            devices: false,
            setuid: false,
            owners: true,
            sync: true,
            stop: Arc::default(),
        }
    }
}
