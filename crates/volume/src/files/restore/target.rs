//! Directories of the target, open for as long as something is to be put into them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, fchmod, fchown, mkdirat, unlinkat};
use rustix::io::Errno;

use crate::files::beneath::Dir;

/// A directory that is being restored into.
pub(super) struct Target {
    dir: Dir,
    above: Option<Arc<Target>>,
    name: Vec<u8>,
    /// It was made by this restore, so nothing that is to be put into it can be there already.
    is_fresh: bool,
    /// Something in or below it could not be restored.
    is_lacking: AtomicBool,
}

impl Target {
    pub(super) fn root(dir: Dir) -> Self {
        Self { dir, above: None, name: Vec::new(), is_fresh: false, is_lacking: AtomicBool::new(false) }
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(super) fn is_root(&self) -> bool {
        self.above.is_none()
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Notes that something in it could not be restored.
    pub(super) fn lacks(&self) {
        self.is_lacking.store(true, Ordering::Relaxed);
    }

    /// Whether something in or below it could not be restored, as far as directories below have
    /// been left.
    pub(super) fn is_lacking(&self) -> bool {
        self.is_lacking.load(Ordering::Relaxed)
    }

    /// Tells the directory above what it lacks for this one's sake.
    pub(super) fn left(&self) {
        if let Some(above) = self.above.as_ref().filter(|_| self.is_lacking()) {
            above.lacks();
        }
    }

    /// Makes the directory `name`, or enters the one that is there. What else is there makes way.
    pub(super) fn enter(self: &Arc<Self>, name: &[u8]) -> Result<Self, Errno> {
        let mut is_fresh = match mkdirat(&self.dir, name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error),
        };
        let dir = match self.dir.dir(name) {
            Err(Errno::LOOP | Errno::NOTDIR) => {
                self.clear(name)?;
                mkdirat(&self.dir, name, Mode::RWXU)?;
                is_fresh = true;
                self.dir.dir(name)?
            }
            opened => opened?,
        };
        Ok(self.below(dir, name, is_fresh))
    }

    /// Enters the directory `name`, which should be there; if it is not, as [`Target::enter`].
    pub(super) fn reenter(self: &Arc<Self>, name: &[u8]) -> Result<Self, Errno> {
        match self.dir.dir(name) {
            Ok(dir) => Ok(self.below(dir, name, false)),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => self.enter(name),
            Err(error) => Err(error),
        }
    }

    /// Enters the directory `name`; where it must be made, it is of the owner and mode of this one.
    pub(super) fn enter_alike(self: &Arc<Self>, name: &[u8]) -> Result<Self, Errno> {
        let below = self.enter(name)?;
        if below.is_fresh {
            let own = self.dir.stat_self()?;
            let (uid, gid) = (rustix::fs::Uid::from_raw(own.st_uid), rustix::fs::Gid::from_raw(own.st_gid));
            match fchown(&below.dir, Some(uid), Some(gid)) {
                // Whoever may not give it away keeps it.
                Ok(()) | Err(Errno::PERM) => {}
                Err(error) => return Err(error),
            }
            fchmod(&below.dir, Mode::from_raw_mode(own.st_mode & 0o7777))?;
        }
        Ok(below)
    }

    fn below(self: &Arc<Self>, dir: Dir, name: &[u8], is_fresh: bool) -> Self {
        let above = Some(Arc::clone(self));
        Self { dir, above, name: name.to_vec(), is_fresh, is_lacking: AtomicBool::new(false) }
    }

    /// Removes what is at `name`. A directory goes only if it is empty: what it holds is nobody's
    /// to delete.
    pub(super) fn clear(&self, name: &[u8]) -> Result<(), Errno> {
        let removed = match self.dir.stat(name) {
            Err(error) => Err(error),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                unlinkat(&self.dir, name, AtFlags::REMOVEDIR)
            }
            Ok(_) => unlinkat(&self.dir, name, AtFlags::empty()),
        };
        match removed {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    /// Runs `make`, which creates `name` and fails if it exists; then clears the way and runs it again.
    pub(super) fn make<T>(&self, name: &[u8], make: impl Fn(&Dir) -> Result<T, Errno>) -> Result<T, Errno> {
        match make(&self.dir) {
            Err(Errno::EXIST) => {
                self.clear(name)?;
                make(&self.dir)
            }
            made => made,
        }
    }

    /// Path of an entry, relative to the target's root.
    pub(super) fn path(&self, name: &[u8]) -> Vec<u8> {
        let mut names = vec![name];
        let mut at = self;
        while let Some(above) = &at.above {
            names.push(&at.name);
            at = above;
        }
        names.reverse();
        names.join(&b'/')
    }

    /// The same for people.
    pub(super) fn show(&self, name: &[u8]) -> String {
        String::from_utf8_lossy(&self.path(name)).into_owned()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.above {
            None => f.write_str("."),
            Some(above) => f.write_str(&above.show(&self.name)),
        }
    }
}
