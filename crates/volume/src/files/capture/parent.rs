//! The snapshot that a capture is incremental to.

use std::sync::Arc;

use holdfast_vault::{BlobId, Node, Reader, Snapshot, Tree};
use jiff::{SignedDuration, Timestamp};
use rustix::fs::Stat;
use tokio::runtime::Handle;

use crate::error::Result;
use crate::files::{VOLUME_DIR, stat};

/// The volume's directory in an earlier snapshot.
#[derive(Clone)]
pub struct ParentTree {
    reader: Reader,
    runtime: Handle,
    root: BlobId,
    trusted_before: Timestamp,
}

/// How long before the start of the parent's capture an entry must have changed last, to be
/// believed unchanged: a file system's clock ticks in steps (up to 10 ms on Linux, 1 s on some
/// network file systems), and what is written twice within one looks as if it were written once.
const TICK: SignedDuration = SignedDuration::from_secs(1);

impl ParentTree {
    /// The volume in `snapshot`; `None` if the snapshot holds none. Must be called on a
    /// multi-threaded tokio runtime, which is used for reading later.
    ///
    /// # Errors
    /// The snapshot's root tree cannot be read.
    pub async fn of(reader: &Reader, snapshot: &Snapshot) -> Result<Option<Self>> {
        let root = reader.tree(&snapshot.tree).await?;
        let Some(subtree) = root.get(VOLUME_DIR.as_bytes()).and_then(|node| node.subtree) else {
            return Ok(None);
        };
        Ok(Some(Self::at(reader.clone(), subtree, snapshot.time)))
    }

    /// The directory stored as `root`, whose capture began at `started`.
    pub fn at(reader: Reader, root: BlobId, started: Timestamp) -> Self {
        let trusted_before = started.checked_sub(TICK).unwrap_or(Timestamp::MIN);
        Self { reader, runtime: Handle::current(), root, trusted_before }
    }

    /// The root directory of the volume.
    pub(super) fn root(&self) -> Option<ParentDir> {
        self.directories(&[Some(self.root)]).pop().flatten()
    }

    /// Several directories at once. One that cannot be read is as good as none: what it would
    /// have saved is read again.
    pub(super) fn directories(&self, ids: &[Option<BlobId>]) -> Vec<Option<ParentDir>> {
        let wanted: Vec<BlobId> = ids.iter().flatten().copied().collect();
        if wanted.is_empty() {
            return vec![None; ids.len()];
        }
        let mut trees = self.runtime.block_on(self.reader.trees(&wanted)).into_iter();
        let next = |id: BlobId| trees.next()?.ok().map(|tree| ParentDir { id, tree });
        let mut next = next;
        ids.iter().map(|id| id.and_then(&mut next)).collect()
    }

    /// Whether `node` was made of the very state that `now` describes.
    pub(super) fn is_current(&self, node: &Node, now: &Stat) -> bool {
        node.ctime < self.trusted_before && stat::is_same(node, now)
    }
}

/// A directory of the parent snapshot.
#[derive(Clone)]
pub(super) struct ParentDir {
    /// Its tree blob.
    pub(super) id: BlobId,
    /// Its entries.
    pub(super) tree: Arc<Tree>,
}

impl ParentDir {
    /// Place of the entry `name` in the tree.
    pub(super) fn position(&self, name: &[u8]) -> Option<usize> {
        self.tree.nodes.binary_search_by(|node| node.name.as_slice().cmp(name)).ok()
    }
}
