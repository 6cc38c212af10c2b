//! Directories of the target, open for as long as something is to be put into them.

use std::fmt;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, mkdirat, unlinkat};
use rustix::io::Errno;

use crate::files::beneath::Dir;

/// A directory that is being restored into.
pub(super) struct Target {
    dir: Dir,
    above: Option<Arc<Target>>,
    name: Vec<u8>,
    /// It was made by this restore, so nothing that is to be put into it can be there already.
    is_fresh: bool,
}

impl Target {
    pub(super) fn root(dir: Dir) -> Self {
        Self { dir, above: None, name: Vec::new(), is_fresh: false }
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
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
        Ok(Self { dir, above: Some(Arc::clone(self)), name: name.to_vec(), is_fresh })
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
