//! Captures the live directory of a volume as trees of a repository.
//!
//! Directories are walked depth first by a few threads that steal work from each other, so what
//! is held in memory is the names along as many branches as there are threads. A directory's tree
//! is stored when all below it is. An entry that the parent snapshot has with the same inode,
//! times, size and mode is taken over with one fstatat(2) and is not opened.

mod content;
mod entry;
pub(super) mod exclude;
mod late;
mod links;
mod parent;
mod walk;

use std::path::Path;

use holdfast_model::hook::LatePath;
use holdfast_vault::{BlobId, Node, Writer};

use super::beneath::{Dir, Mounts};
use super::{Progress, VOLUME_DIR, stat};
use crate::error::{Error, Result};
use crate::findings::Findings;
use crate::root;

pub use parent::ParentTree;

/// What a capture takes and leaves.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// Globs of paths relative to the volume's root that are left out, with all below them.
    pub excludes: Vec<String>,
    /// Paths that are captured when all else is and the [`Gate`] has opened.
    pub late: Vec<LatePath>,
    /// Threads that walk and read.
    pub workers: usize,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        Self { excludes: Vec::new(), late: Vec::new(), workers }
    }
}

/// Holds a capture back, or ends it.
pub trait Gate: Sync {
    /// Called when all but the late paths is captured; returns when those may be read.
    ///
    /// # Errors
    /// The capture ends with this error.
    fn late(&self) -> Result<()>;

    /// Whether the capture shall end now. Asked once per entry.
    fn stopped(&self) -> bool {
        false
    }
}

/// A gate that is open.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoGate;

impl Gate for NoGate {
    fn late(&self) -> Result<()> {
        Ok(())
    }
}

/// A volume whose trees are in the repository (though not necessarily flushed).
#[derive(Debug, Clone)]
pub struct Captured {
    /// The volume's root: a directory node named [`VOLUME_DIR`] with the root's attributes.
    pub root: Node,
    /// Files, directories and other entries, the root included.
    pub entries: u64,
    /// Bytes of file content that the volume holds.
    pub bytes: u64,
    /// Bytes read because their file was new or had changed.
    pub bytes_read: u64,
    /// What was met on the way.
    pub findings: Findings,
}

impl Captured {
    /// Stores the root tree of the volume's snapshot, with `report` beside the volume.
    ///
    /// # Errors
    /// Whatever stops the writer.
    pub fn root_tree(&self, writer: &Writer, report: &[u8]) -> Result<BlobId> {
        root::store(writer, &self.root, report)
    }
}

/// Stack of a walking thread: directories may be nested [`super::MAX_DEPTH`] deep. Only what is
/// used of it is ever backed by memory.
const STACK: usize = 256 << 20;

/// Captures the directory `root`. Blocks; calls the writer from threads of its own.
///
/// # Errors
/// A root that cannot be opened, a writer that stopped, a gate that closed. Files that cannot be
/// read are no error: they are named in the findings.
pub fn capture(
    root: &Path,
    writer: &Writer,
    parent: Option<&ParentTree>,
    options: &CaptureOptions,
    gate: &dyn Gate,
    progress: &Progress,
) -> Result<Captured> {
    let dir = Dir::root(root, Mounts::Refuse)?;
    let excludes = exclude::Excludes::new(&options.excludes)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.workers.max(1))
        .stack_size(STACK)
        .thread_name(|n| format!("capture-{n}"))
        .build()
        .map_err(|error| Error::io("start the threads of a capture", std::io::Error::other(error)))?;
    let walk = walk::Walk::new(writer, parent, excludes, gate, progress);
    let late = late::LatePlan::new(&options.late);
    let subtree = pool.install(|| walk.volume(&dir, late.as_ref(), &options.late))?;
    let root = root_node(&dir, root, subtree)?;
    progress.entry(0);
    Ok(Captured {
        root,
        entries: progress.entries(),
        bytes: progress.bytes(),
        bytes_read: progress.bytes_moved(),
        findings: walk.into_findings(),
    })
}

fn root_node(dir: &Dir, path: &Path, subtree: BlobId) -> Result<Node> {
    let failed =
        |source: rustix::io::Errno| Error::Root { path: path.display().to_string(), source: source.into() };
    let mut node = stat::node(VOLUME_DIR.as_bytes(), &dir.stat_self().map_err(failed)?);
    node.extended_attributes = super::xattr::of_open(dir).map_err(failed)?;
    node.subtree = Some(subtree);
    Ok(node)
}
