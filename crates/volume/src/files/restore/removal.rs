//! Removes what the snapshot does not have, and lets one thing take the place of another.

use std::sync::atomic::Ordering;

use holdfast_model::Problem;
use rustix::fs::{AtFlags, renameat, unlinkat};
use rustix::io::Errno;

use super::Session;
use super::target::Target;
use crate::files::MAX_DEPTH;
use crate::files::beneath::{Dir, Entries};

/// A directory that is being emptied.
struct Level {
    dir: Dir,
    name: Vec<u8>,
    entries: Entries,
    next: usize,
}

impl Level {
    fn open(above: &Dir, name: &[u8]) -> Result<Self, Errno> {
        let dir = above.dir(name)?;
        let entries = dir.entries()?;
        Ok(Self { dir, name: name.to_vec(), entries, next: 0 })
    }
}

impl Session {
    /// Removes the entry `name` with all below it. It is walked as everything is: by one name below
    /// an open directory at a time, so nothing elsewhere is reached whatever is done to it meanwhile.
    pub(super) fn remove(&self, above: &Dir, name: &[u8]) -> Result<(), Errno> {
        if self.unlink(above, name)? {
            return Ok(());
        }
        let mut way = vec![Level::open(above, name)?];
        while let Some(level) = way.last_mut() {
            if self.stopped() {
                return Err(Errno::CANCELED);
            }
            if level.next == level.entries.len() {
                let Some(emptied) = way.pop() else { break };
                let above = way.last().map_or(above, |level| &level.dir);
                unlinkat(above, emptied.name.as_slice(), AtFlags::REMOVEDIR)?;
                self.deleted.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let (name, _) = level.entries.get(level.next);
            level.next += 1;
            if !self.unlink(&level.dir, name)? {
                let below = Level::open(&level.dir, name)?;
                if way.len() == MAX_DEPTH {
                    return Err(Errno::NAMETOOLONG);
                }
                way.push(below);
            }
        }
        Ok(())
    }

    /// Removes the entry if it is no directory; `false` if it is one.
    fn unlink(&self, above: &Dir, name: &[u8]) -> Result<bool, Errno> {
        match unlinkat(above, name, AtFlags::empty()) {
            Ok(()) => {
                self.deleted.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            }
            Err(Errno::NOENT) => Ok(true),
            Err(Errno::ISDIR) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes what was made as `staged` the entry `name`, at once where that is no directory. One with
    /// content goes only where what is not in the snapshot is to go.
    pub(super) fn replace(&self, target: &Target, staged: &[u8], name: &[u8]) -> Result<(), Errno> {
        let dir = target.dir();
        let replaced = match renameat(dir, staged, dir, name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                let cleared = if self.deletes() { self.remove(dir, name) } else { target.clear(name) };
                cleared.and_then(|()| renameat(dir, staged, dir, name))
            }
            other => other,
        };
        if replaced.is_err() {
            // It is found and used, or removed, by the next run if it cannot be removed now.
            let _ = unlinkat(dir, staged, AtFlags::empty());
        }
        replaced
    }

    /// Removes the extras of a directory in which everything else is done.
    pub(super) fn remove_extras(&self, target: &Target, extras: &[Vec<u8>]) -> crate::error::Result<()> {
        if target.is_lacking() && !extras.is_empty() {
            let message = format!(
                "{} of its entries are not in the snapshot and were kept, because something in or below it could not be restored",
                extras.len()
            );
            let problem = Problem::new("file.kept", target.to_string(), message);
            self.recorder.problem(problem.hint("restore again when what is missing can be had"));
            return Ok(());
        }
        for name in extras {
            if let Err(error) = self.remove(target.dir(), name) {
                target.lacks();
                self.removal_failed(error, || target.show(name))?;
            }
        }
        Ok(())
    }

    fn removal_failed(&self, error: Errno, path: impl FnOnce() -> String) -> crate::error::Result<()> {
        if self.stopped() {
            return Err(crate::error::Error::Stopped);
        }
        let message =
            format!("is not in the snapshot, but cannot be removed: {}", std::io::Error::from(error));
        let hint = match error {
            Errno::XDEV | Errno::BUSY => "another file system is mounted in it",
            Errno::NOTEMPTY => "somebody writes to it",
            Errno::PERM | Errno::ACCESS => "it is immutable, or the mover's capabilities do not allow it",
            Errno::NAMETOOLONG => "its directories are nested beyond all use",
            _ => "",
        };
        self.recorder.problem(Problem::new("file.kept", path(), message).hint(hint));
        Ok(())
    }
}
