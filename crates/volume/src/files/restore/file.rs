//! One file under restore: written blob by blob, in any order, from several threads.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_model::Problem;
use holdfast_vault::{Node, NodeKind, Tree};
use rustix::fs::{self, AtFlags, FallocateFlags};
use rustix::io::Errno;

use super::Session;
use super::attributes::times;
use super::content;
use super::existing::{Layout, Wanted};
use super::links::FirstName;
use super::target::Target;
use crate::files::{MAX_DEPTH, stat};

/// A file of a batch.
pub(super) struct RestoredFile {
    target: Arc<Target>,
    tree: Arc<Tree>,
    position: usize,
    /// Length by the lengths of its blobs, whatever its node says.
    size: u64,
    /// Where it is made, if it takes the place of something else when it is complete.
    staged: Option<Vec<u8>>,
    /// What further names of its inode go by.
    first: Option<Arc<FirstName>>,
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
    /// A file of `size` bytes, of which so many blobs are to be written, that is made when the first
    /// one comes.
    pub(super) fn new(
        target: &Arc<Target>,
        tree: &Arc<Tree>,
        position: usize,
        size: u64,
        blobs: usize,
    ) -> Self {
        Self {
            target: Arc::clone(target),
            tree: Arc::clone(tree),
            position,
            size,
            staged: None,
            first: None,
            left: AtomicU32::new(u32::try_from(blobs).unwrap_or(u32::MAX)),
            failed: AtomicBool::new(false),
            state: Mutex::new(State::Absent),
        }
    }

    /// The same for a file that is there already and is completed in place.
    pub(super) fn in_place(self) -> Self {
        Self { state: Mutex::new(State::Existing), ..self }
    }

    /// The same for a file that takes the place of what is there when it is complete.
    pub(super) fn staged(self, name: Vec<u8>) -> Self {
        Self { staged: Some(name), ..self }
    }

    /// The same for one whose inode has further names.
    pub(super) fn first_of(self, first: Option<Arc<FirstName>>) -> Self {
        Self { first, ..self }
    }

    /// Makes it with what another file holds of its content; what is returned is still to come.
    pub(super) fn begun_from(
        self,
        session: &Session,
        layout: &Layout,
        from: &OwnedFd,
    ) -> Result<(Self, Wanted), Errno> {
        let wanted = layout.copy(from, &self.create(session)?, || session.stopped())?;
        let left = AtomicU32::new(u32::try_from(wanted.len()).unwrap_or(u32::MAX));
        Ok((Self { left, state: Mutex::new(State::Closed), ..self }, wanted))
    }

    fn node(&self) -> &Node {
        &self.tree.nodes[self.position]
    }

    /// Where it is written.
    fn name(&self) -> &[u8] {
        self.staged.as_deref().unwrap_or(&self.node().name)
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
        if let Ok(is_whole) = completed {
            session.progress.entry(self.size);
            if is_whole {
                session.has_changed();
            }
        }
        self.settle(session, completed.map(drop))
    }

    fn settle(&self, session: &Session, result: Result<(), Errno>) -> Result<(), Errno> {
        let Err(error) = result else { return Ok(()) };
        if super::is_fatal(error) {
            return Err(error);
        }
        if !self.failed.swap(true, Ordering::Relaxed) {
            self.lacks();
            self.unstage();
            session.recorder.problem(not_restored(self.path(), error));
        }
        Ok(())
    }

    /// Notes that it is not as it should be.
    pub(super) fn lacks(&self) {
        self.target.lacks();
        if let Some(first) = &self.first {
            first.failed();
        }
    }

    /// Removes what was made so far of a file that is not going to take its place.
    fn unstage(&self) {
        if let Some(staged) = &self.staged {
            // If it cannot be removed now, the next run uses or removes it.
            let _ = fs::unlinkat(self.target.dir(), staged, AtFlags::empty());
        }
    }

    fn put(&self, session: &Session, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let (fd, is_fresh) = self.open(session)?;
        if content::put(&fd, offset, bytes, is_fresh)? {
            session.progress.moved(bytes.len() as u64);
        }
        Ok(())
    }

    /// `false` if it was left as it is, because not all of it could be had.
    fn finish(&self, session: &Session) -> Result<bool, Errno> {
        if self.is_incomplete() && session.is_in_place() && !self.is_new() {
            // What is there stays: it is better than a part of what should be.
            self.unstage();
            self.close(session, State::Done);
            return Ok(false);
        }
        let (fd, is_fresh) = self.open(session)?;
        // A new file of one piece has its length unless that piece is a hole.
        if !is_fresh || self.node().blobs().len() != 1 || self.is_incomplete() || fs::fstat(&fd)?.st_size == 0
        {
            fs::ftruncate(&fd, self.size)?;
        }
        if is_fresh || !session.is_in_place() {
            let in_fresh_dir = is_fresh && self.target.is_fresh();
            session.file_attributes(&fd, self.node(), in_fresh_dir, &|| self.path())?;
        } else {
            session.correct_open(&fd, self.node(), &|| self.path())?;
        }
        if !session.is_in_place() {
            fs::futimens(&fd, &times(self.node()))?;
        }
        if let Some(staged) = &self.staged {
            session.replace(&self.target, staged, &self.node().name)?;
        }
        self.close(session, State::Done);
        Ok(true)
    }

    /// Whether there was nothing in its place.
    fn is_new(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.staged.is_none()
            && matches!(*state, State::Absent | State::Closed | State::Open { is_fresh: true, .. })
    }

    /// Sets its times, which say that its content is that of the snapshot: in place only when it is
    /// on disk, since after a power failure a file whose times are right is not looked at again.
    pub(super) fn stamp(&self) -> Result<(), Errno> {
        if self.failed.load(Ordering::Relaxed) || self.is_incomplete() {
            return Ok(());
        }
        let name = self.node().name.as_slice();
        fs::utimensat(self.target.dir(), name, &times(self.node()), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The open file and whether this run created it.
    fn open(&self, session: &Session) -> Result<(Arc<OwnedFd>, bool), Errno> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (fd, is_fresh) = match &*state {
            State::Open { fd, is_fresh } => return Ok((Arc::clone(fd), *is_fresh)),
            State::Absent => (self.create(session)?, true),
            State::Existing => (self.reopen()?, false),
            State::Closed | State::Done => (self.reopen()?, true),
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

    /// Opens it again: what was a file before may have been swapped for something that acts on writes.
    fn reopen(&self) -> Result<OwnedFd, Errno> {
        let fd = self.target.dir().existing(self.name())?;
        match stat::kind(&fs::fstat(&fd)?) {
            NodeKind::File => Ok(fd),
            _ => Err(Errno::LOOP),
        }
    }

    fn create(&self, session: &Session) -> Result<OwnedFd, Errno> {
        let node = self.node();
        let mode = session.creation_mode(node);
        let fd = self.target.make(self.name(), |dir| dir.create(self.name(), mode))?;
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
    session.file_attributes(&fd, node, target.is_fresh(), &|| target.show(&node.name))?;
    fs::futimens(&fd, &times(node))
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
        Errno::TXTBSY => "it is a program that is running; end it",
        Errno::XDEV => "another file system is mounted in its place",
        _ => "",
    };
    Problem::new("file.not_restored", path, message).hint(hint)
}
