//! Restores a directory from trees of a repository.
//!
//! One thread reads trees, makes directories, links and empty files, and gathers files into
//! batches; each batch is fetched pack by pack and written from the vault's threads, while the
//! next is gathered. What is held in memory is two batches. Attributes of a directory are set
//! when all below it is done.
//!
//! What is there already is kept, corrected, or replaced, as the [`RestoreMode`] says. In place the
//! order is this, so that whatever ends it early leaves nothing worse than a state between two, which
//! running it again completes:
//!
//! - A file without other names is overwritten in place, chunk by verified chunk. Anything else is
//!   made under another name and takes its place when it is complete.
//! - Times, by which a file is later taken for unchanged, are set when content is on disk.
//! - What the snapshot does not have goes when the rest of its directory is done, if at all.
//!
//! Trees are not trusted; [`super::beneath`] keeps every write in the target.

mod attributes;
mod batch;
mod content;
mod correction;
mod entry;
mod existing;
mod file;
mod ground;
mod inode;
mod links;
mod names;
mod options;
mod regular;
mod removal;
mod search;
mod siblings;
mod spared;
mod staged;
mod target;
mod verification;
mod walk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use holdfast_vault::{BlobId, Node, NodeKind, Reader, Snapshot};
use jiff::{SignedDuration, Timestamp};
use rustix::fs::Stat;
use rustix::io::Errno;
use tokio::runtime::Handle;

use super::Progress;
use super::beneath::{Dir, Mounts};
use super::stat;
use super::stored::StoredVolume;
use crate::error::{Error, Result};
use crate::findings::Recorder;
use crate::restored::{Restored, Verified};
use batch::Batch;
use spared::Spared;
use target::Target;

pub use options::{Compare, Extras, RestoreMode, RestoreOptions, Verify};

/// A file that changed last so shortly before the snapshot, or later, may have changed again without
/// its time telling: clocks of file systems tick in steps of up to a second.
const TICK: SignedDuration = SignedDuration::from_secs(1);

/// What goes into the target.
struct Plan {
    tree: BlobId,
    /// What the target's own directory is to be, if that is part of it.
    node: Option<Node>,
    /// The tree that the target is known to hold.
    base: Option<BlobId>,
}

/// What the threads of one restore share.
struct Session {
    options: RestoreOptions,
    recorder: Recorder,
    progress: Arc<Progress>,
    target: String,
    root: Arc<Target>,
    /// What is not in the snapshot and is kept all the same.
    spared: Spared,
    /// Files that changed last before this are told apart by their times.
    trusted_before: Timestamp,
    /// Files that may be held open between two of their blobs.
    open_files: file::OpenFiles,
    /// Owner and group of what this process creates, and its umask.
    identity: attributes::Identity,
    /// Entries, bytes and bytes written when it began: progress may be of several volumes.
    began: [u64; 3],
    changed: AtomicU64,
    deleted: AtomicU64,
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
    let base = match options.mode {
        RestoreMode::Delta { base } => Some(base),
        RestoreMode::New | RestoreMode::Exact { .. } => None,
    };
    let plan = Plan { tree: *tree, node: None, base };
    let session = Session::new(target, options, progress, Spared::default(), Timestamp::MAX)?;
    run(reader, runtime, &plan, session)
}

/// Restores the volume in `snapshot` into the existing directory `target`, whose own attributes
/// become those of the volume's root, unless only a part is selected. Blocks; must not be called on a
/// thread of the runtime.
///
/// # Errors
/// As [`restore`], and a snapshot that holds no volume of files.
pub fn restore_volume(
    reader: &Reader,
    runtime: &Handle,
    snapshot: &Snapshot,
    target: &Path,
    options: &RestoreOptions,
    progress: &Arc<Progress>,
) -> Result<Restored> {
    let stored = runtime.block_on(StoredVolume::of(reader, &snapshot.tree))?;
    let base = match options.mode {
        RestoreMode::Delta { base } => Some(runtime.block_on(StoredVolume::of(reader, &base))?.tree),
        RestoreMode::New | RestoreMode::Exact { .. } => None,
    };
    let spared = Spared::of(&snapshot.excludes, &stored.findings)?;
    let is_part = options.select.is_some() || !options.at.is_empty();
    let plan = Plan { tree: stored.tree, node: (!is_part).then_some(stored.node), base };
    let trusted_before = snapshot.time.checked_sub(TICK).unwrap_or(Timestamp::MIN);
    let session = Session::new(target, options, progress, spared, trusted_before)?;
    run(reader, runtime, &plan, session)
}

fn run(reader: &Reader, runtime: &Handle, plan: &Plan, session: Session) -> Result<Restored> {
    let session = Arc::new(session);
    let target = session.descend()?;
    // One batch waits while one is fetched: enough to keep both sides busy.
    let (sender, batches) = mpsc::sync_channel::<Batch>(0);
    let root = Arc::clone(&session.root);
    let walk = walk::Walk::new(reader.clone(), runtime.clone(), Arc::clone(&session), root, sender);
    on_deep_stack(
        "restore-walk",
        || walk.run(plan, &target),
        || {
            // Without a receiver the walker ends at its next batch.
            let batches = batches;
            batches.iter().try_for_each(|batch| batch.run(reader, runtime, &session))
        },
    )?;
    let verifies = session.options.verify != Verify::No;
    if session.options.sync || verifies {
        rustix::fs::syncfs(target.dir()).map_err(|error| session.fatal(error))?;
    }
    let verification = verification::Verification::new(reader, runtime, &session);
    let verified = match verifies {
        true => Some(on_deep_stack("restore-verify", || verification.run(plan, target.dir()), || Ok(()))?),
        false => None,
    };
    drop(target);
    Ok(Session::finish(session, verified))
}

/// Runs `deep` on a thread whose stack is enough for the deepest tree, and `beside` here meanwhile,
/// whose error comes first.
fn on_deep_stack<T: Send>(
    name: &str,
    deep: impl FnOnce() -> Result<T> + Send,
    beside: impl FnOnce() -> Result<()>,
) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(walk::STACK)
            .spawn_scoped(scope, deep)
            .map_err(|error| Error::io("start the thread of a restore", error))?;
        let here = beside();
        let there = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        here.and(there)
    })
}

/// Whether what the snapshot does not have is to be removed.
fn deletes(options: &RestoreOptions) -> bool {
    let deletes = match options.mode {
        RestoreMode::New => false,
        RestoreMode::Exact { extras, .. } => extras == Extras::Delete,
        RestoreMode::Delta { .. } => true,
    };
    // Elsewhere than at its own place, what is there is somebody else's.
    deletes && options.at.is_empty()
}

impl Session {
    fn new(
        path: &Path,
        options: &RestoreOptions,
        progress: &Arc<Progress>,
        spared: Spared,
        trusted_before: Timestamp,
    ) -> Result<Self> {
        let mounts = match options.mode {
            RestoreMode::New => Mounts::Enter,
            // What is mounted below a volume was not captured with it.
            RestoreMode::Exact { .. } | RestoreMode::Delta { .. } => Mounts::Refuse,
        };
        Ok(Self {
            options: options.clone(),
            recorder: Recorder::default(),
            progress: Arc::clone(progress),
            target: path.display().to_string(),
            root: Arc::new(Target::root(Dir::root(path, mounts)?)),
            spared,
            trusted_before,
            open_files: file::OpenFiles::default(),
            identity: attributes::Identity::current(),
            began: progress.all(),
            changed: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
        })
    }

    /// The directory that is restored into.
    fn descend(&self) -> Result<Arc<Target>> {
        let mut target = Arc::clone(&self.root);
        for name in self.options.at.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            target = Arc::new(target.enter_alike(name).map_err(|error| self.fatal(error))?);
        }
        Ok(target)
    }

    fn stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }

    /// Whether what is there already is looked at and corrected.
    fn is_in_place(&self) -> bool {
        self.options.mode != RestoreMode::New
    }

    fn deletes(&self) -> bool {
        deletes(&self.options)
    }

    /// Whether a file can be taken for unchanged without reading it.
    fn looks_same(&self, node: &Node, found: &Stat) -> bool {
        let by_times = matches!(self.options.mode, RestoreMode::Exact { compare: Compare::Times, .. });
        by_times
            && node.kind == NodeKind::File
            && node.mtime < self.trusted_before
            && stat::mtime(found) == node.mtime
            && stat::size(found) == node.size
    }

    /// Counts an entry that was made, written to, or given other attributes.
    fn has_changed(&self) {
        self.changed.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until what was written so far is on disk.
    fn sync(&self) -> Result<()> {
        if self.options.sync {
            rustix::fs::syncfs(self.root.dir()).map_err(|error| self.fatal(error))?;
        }
        Ok(())
    }

    /// The error of a restore that cannot go on.
    fn fatal(&self, error: Errno) -> Error {
        let path = self.target.clone();
        match error {
            Errno::NOSPC | Errno::DQUOT => Error::Full { path, source: error.into() },
            _ => Error::Root { path, source: error.into() },
        }
    }

    fn finish(session: Arc<Self>, verified: Option<Verified>) -> Restored {
        let now = session.progress.all();
        let [entries, bytes, bytes_written] = std::array::from_fn(|n| now[n] - session.began[n]);
        let (changed, deleted) =
            (session.changed.load(Ordering::Relaxed), session.deleted.load(Ordering::Relaxed));
        let findings = match Arc::try_unwrap(session) {
            Ok(session) => session.recorder.into_findings(),
            // A thread of the pool may still be letting go of its last reference.
            Err(shared) => shared.recorder.snapshot(),
        };
        Restored { entries, bytes, bytes_written, changed, deleted, verified, findings }
    }
}

/// Errors of one entry that concern all that follow as well.
fn is_fatal(error: Errno) -> bool {
    matches!(error, Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::MFILE | Errno::NFILE | Errno::STALE)
}
