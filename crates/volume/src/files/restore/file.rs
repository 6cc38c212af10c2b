//! One file under restore: written blob by blob, in any order, from several threads.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_model::Problem;
use holdfast_vault::{Node, Tree};
use rustix::fs::{self, FallocateFlags};
use rustix::io::{Errno, pwrite};

use super::Session;
use super::target::Target;
use crate::files::MAX_DEPTH;
use crate::sparse;

/// Zeros from this length on become holes.
const HOLE: usize = 32 * 1024;

/// A file of a batch.
pub(super) struct RestoredFile {
    target: Arc<Target>,
    tree: Arc<Tree>,
    position: usize,
    /// Length by the lengths of its blobs, whatever its node says.
    size: u64,
    /// Blobs still to be written.
    left: AtomicU32,
    failed: AtomicBool,
    state: Mutex<State>,
}

enum State {
    /// Nothing is there yet.
    Absent,
    /// An earlier run left it, or someone else; it is written in place.
    Existing,
    /// It is open, and was created by this run or not.
    Open { fd: Arc<OwnedFd>, is_fresh: bool },
    /// It was created by this run and is closed until its next blob comes.
    Closed,
    /// All is done.
    Done,
}

/// Counts files that are held open between two blobs.
pub(super) struct OpenFiles {
    count: AtomicUsize,
    limit: usize,
}

impl Default for OpenFiles {
    fn default() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.map_or(512, |limit| usize::try_from(limit / 4).unwrap_or(512).clamp(16, 512));
        Self { count: AtomicUsize::new(0), limit }
    }
}

impl OpenFiles {
    /// How many directories a batch may hold open, beside the ones above the walk.
    pub(super) fn directories() -> usize {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let spare = limit.unwrap_or(1 << 20).saturating_sub(2 * 512 + MAX_DEPTH as u64 / 8) / 4;
        usize::try_from(spare).unwrap_or(usize::MAX).clamp(32, 4_096)
    }
}

impl RestoredFile {
    /// A file that is made when its first blob comes.
    pub(super) fn new(
        target: &Arc<Target>,
        tree: &Arc<Tree>,
        position: usize,
        size: u64,
        blobs: u32,
    ) -> Self {
        Self {
            target: Arc::clone(target),
            tree: Arc::clone(tree),
            position,
            size,
            left: AtomicU32::new(blobs),
            failed: AtomicBool::new(false),
            state: Mutex::new(State::Absent),
        }
    }

    /// The same for a file that is there already and is completed in place.
    pub(super) fn in_place(self) -> Self {
        Self { state: Mutex::new(State::Existing), ..self }
    }

    fn node(&self) -> &Node {
        &self.tree.nodes[self.position]
    }

    pub(super) fn path(&self) -> String {
        self.target.show(&self.node().name)
    }

    /// Whether it still has to be completed.
    pub(super) fn is_unfinished(&self) -> bool {
        !matches!(*self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Done)
    }

    /// Whether a blob has not come.
    fn is_incomplete(&self) -> bool {
        self.left.load(Ordering::Acquire) > 0
    }

    /// Writes one blob at `offset`; the last one completes the file.
    ///
    /// # Errors
    /// Only what stops the whole restore. Other failures are recorded.
    pub(super) fn write(&self, session: &Session, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        if self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let written = self.put(session, offset, bytes);
        self.settle(session, written)?;
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.complete(session)?;
        }
        Ok(())
    }

    /// Sets size and attributes, whether or not all blobs have come.
    ///
    /// # Errors
    /// As [`RestoredFile::write`].
    pub(super) fn complete(&self, session: &Session) -> Result<(), Errno> {
        if self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let completed = self.finish(session);
        if completed.is_ok() {
            session.progress.entry(self.size);
        }
        self.settle(session, completed)
    }

    fn settle(&self, session: &Session, result: Result<(), Errno>) -> Result<(), Errno> {
        let Err(error) = result else { return Ok(()) };
        if super::is_fatal(error) {
            return Err(error);
        }
        if !self.failed.swap(true, Ordering::Relaxed) {
            session.recorder.problem(not_restored(self.path(), error));
        }
        Ok(())
    }

    fn put(&self, session: &Session, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let (fd, is_fresh) = self.open(session)?;
        if is_hole(bytes) && (is_fresh || sparse::punch(&fd, offset, bytes.len() as u64)?) {
            return Ok(());
        }
        write_all(&fd, offset, bytes)?;
        session.progress.moved(bytes.len() as u64);
        Ok(())
    }

    fn finish(&self, session: &Session) -> Result<(), Errno> {
        let (fd, is_fresh) = self.open(session)?;
        // A new file of one piece has its length unless that piece is a hole.
        if !is_fresh || self.node().blobs().len() != 1 || self.is_incomplete() || fs::fstat(&fd)?.st_size == 0
        {
            fs::ftruncate(&fd, self.size)?;
        }
        let in_fresh_dir = is_fresh && self.target.is_fresh();
        session.file_attributes(&fd, self.node(), in_fresh_dir, &|| self.path())?;
        self.close(session, State::Done);
        Ok(())
    }

    /// The open file and whether this run created it.
    fn open(&self, session: &Session) -> Result<(Arc<OwnedFd>, bool), Errno> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.target.dir();
        let (fd, is_fresh) = match &*state {
            State::Open { fd, is_fresh } => return Ok((Arc::clone(fd), *is_fresh)),
            State::Absent => (self.create(session)?, true),
            State::Existing => (dir.existing(&self.node().name)?, false),
            State::Closed | State::Done => (dir.existing(&self.node().name)?, true),
        };
        let fd = Arc::new(fd);
        if session.open_files.count.fetch_add(1, Ordering::Relaxed) < session.open_files.limit {
            *state = State::Open { fd: Arc::clone(&fd), is_fresh };
        } else {
            session.open_files.count.fetch_sub(1, Ordering::Relaxed);
            if is_fresh {
                *state = State::Closed;
            }
        }
        Ok((fd, is_fresh))
    }

    fn create(&self, session: &Session) -> Result<OwnedFd, Errno> {
        let node = self.node();
        let mode = session.creation_mode(node);
        let fd = self.target.make(&node.name, |dir| dir.create(&node.name, mode))?;
        if node.blobs().len() > 1 {
            self.reserve(&fd)?;
        }
        Ok(fd)
    }

    /// Room in one piece for a file that is written in many, unless it has holes, which show by
    /// one blob coming again and again.
    fn reserve(&self, fd: &OwnedFd) -> Result<(), Errno> {
        let blobs = self.node().blobs();
        if blobs.windows(2).any(|pair| pair[0] == pair[1]) {
            return fs::ftruncate(fd, self.size);
        }
        match fs::fallocate(fd, FallocateFlags::empty(), 0, self.size) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => fs::ftruncate(fd, self.size),
            other => other,
        }
    }

    fn close(&self, session: &Session, next: State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Open { .. }) {
            session.open_files.count.fetch_sub(1, Ordering::Relaxed);
        }
        *state = next;
    }
}

/// Creates an empty file with its attributes.
pub(super) fn make_empty(session: &Session, target: &Target, node: &Node) -> Result<(), Errno> {
    let mode = session.creation_mode(node);
    let fd = target.make(&node.name, |dir| dir.create(&node.name, mode))?;
    session.file_attributes(&fd, node, target.is_fresh(), &|| target.show(&node.name))
}

/// The problem of an entry that could not be made.
pub(super) fn not_restored(path: String, error: Errno) -> Problem {
    let message = format!("cannot be restored: {}", std::io::Error::from(error));
    let hint = match error {
        Errno::NOTEMPTY | Errno::EXIST => "a directory with other content is in its place; move it away",
        Errno::ACCESS | Errno::PERM => "the file system or the mover's capabilities do not allow it",
        Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL => {
            "the target's file system does not take this name"
        }
        Errno::FBIG => "the target's file system does not take files of this size",
        _ => "",
    };
    Problem::new("file.not_restored", path, message).hint(hint)
}

fn is_hole(bytes: &[u8]) -> bool {
    bytes.len() >= HOLE && sparse::is_zero(bytes)
}

fn write_all(fd: &OwnedFd, mut offset: u64, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match pwrite(fd, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
