//! Restores a directory from trees of a repository.
//!
//! One thread reads trees, makes directories, links and empty files, and gathers files into
//! batches; each batch is fetched pack by pack and written from the vault's threads, while the
//! next is gathered. What is held in memory is two batches. Attributes of a directory are set
//! when all below it is done.
//!
//! Running it again completes what an earlier run left: blobs that a file already holds are
//! verified and kept. Trees are not trusted; [`super::beneath`] keeps every write in the target.

mod attributes;
mod batch;
mod existing;
mod file;
mod links;
mod target;
mod walk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use holdfast_vault::{BlobId, Node, Reader, Snapshot};
use tokio::runtime::Handle;

use super::Progress;
use super::beneath::{Dir, Mounts};
use crate::error::{Error, Result};
use crate::findings::Recorder;
use crate::restored::Restored;
use crate::root;
use batch::Batch;
use target::Target;

/// What a restore may do, and when it ends.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
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
        Self { devices: false, setuid: false, owners: true, sync: true, stop: Arc::default() }
    }
}

/// What the threads of one restore share.
struct Session {
    options: RestoreOptions,
    recorder: Recorder,
    progress: Arc<Progress>,
    target: String,
    /// Files that may be held open between two of their blobs.
    open_files: file::OpenFiles,
    /// Owner and group of what this process creates, and its umask.
    identity: attributes::Identity,
    /// Entries, bytes and bytes written when it began: progress may be of several volumes.
    began: [u64; 3],
}

/// Restores the entries of the tree `tree` into the existing directory `target`. Blocks; must
/// not be called on a thread of the runtime.
///
/// # Errors
/// A target that cannot be used or is full, a tree at the root that cannot be read. Single
/// entries that cannot be restored are no error: they are named in the findings.
pub fn restore(
    reader: &Reader,
    runtime: &Handle,
    tree: &BlobId,
    target: &Path,
    options: &RestoreOptions,
    progress: &Arc<Progress>,
) -> Result<Restored> {
    run(reader, runtime, tree, None, target, options, progress)
}

/// Restores the volume in `snapshot` into the existing directory `target`, whose own attributes
/// become those of the volume's root. Blocks; must not be called on a thread of the runtime.
///
/// # Errors
/// As [`restore`], and a snapshot that holds no volume.
pub fn restore_volume(
    reader: &Reader,
    runtime: &Handle,
    snapshot: &Snapshot,
    target: &Path,
    options: &RestoreOptions,
    progress: &Arc<Progress>,
) -> Result<Restored> {
    let (node, tree) = runtime.block_on(root::volume(reader, snapshot))?;
    run(reader, runtime, &tree, Some(&node), target, options, progress)
}

fn run(
    reader: &Reader,
    runtime: &Handle,
    tree: &BlobId,
    root_node: Option<&Node>,
    path: &Path,
    options: &RestoreOptions,
    progress: &Arc<Progress>,
) -> Result<Restored> {
    let root = Arc::new(Target::root(Dir::root(path, Mounts::Enter)?));
    let session = Arc::new(Session {
        options: options.clone(),
        recorder: Recorder::default(),
        progress: Arc::clone(progress),
        target: path.display().to_string(),
        open_files: file::OpenFiles::default(),
        identity: attributes::Identity::current(),
        began: progress.all(),
    });
    // One batch waits while one is fetched: enough to keep both sides busy.
    let (sender, batches) = mpsc::sync_channel::<Batch>(0);
    let walk =
        walk::Walk::new(reader.clone(), runtime.clone(), Arc::clone(&session), Arc::clone(&root), sender);
    std::thread::scope(|scope| {
        let walker = std::thread::Builder::new()
            .name("restore-walk".to_owned())
            .stack_size(walk::STACK)
            .spawn_scoped(scope, || walk.run(tree, root_node))
            .map_err(|error| Error::io("start the thread of a restore", error))?;
        let fetched = batches.iter().try_for_each(|batch| batch.run(reader, runtime, &session));
        // Without a receiver the walker ends at its next batch.
        drop(batches);
        let walked = walker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        fetched.and(walked)
    })?;
    if options.sync {
        rustix::fs::syncfs(root.dir()).map_err(|error| session.fatal(error))?;
    }
    Ok(session.finish())
}

impl Session {
    pub(super) fn stopped(&self) -> bool {
        self.options.stop.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The error of a restore that cannot go on.
    pub(super) fn fatal(&self, error: rustix::io::Errno) -> Error {
        use rustix::io::Errno;
        let path = self.target.clone();
        match error {
            Errno::NOSPC | Errno::DQUOT => Error::Full { path, source: error.into() },
            _ => Error::Root { path, source: error.into() },
        }
    }

    fn finish(self: Arc<Self>) -> Restored {
        let now = self.progress.all();
        let [entries, bytes, bytes_written] = std::array::from_fn(|n| now[n] - self.began[n]);
        let findings = match Arc::try_unwrap(self) {
            Ok(session) => session.recorder.into_findings(),
            // A thread of the pool may still be letting go of its last reference.
            Err(shared) => shared.recorder.snapshot(),
        };
        Restored { entries, bytes, bytes_written, findings }
    }
}

/// Errors of one entry that concern all that follow as well.
pub(super) fn is_fatal(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(error, Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::MFILE | Errno::NFILE | Errno::STALE)
}
