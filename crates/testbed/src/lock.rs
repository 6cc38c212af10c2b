//! A lock between processes that ends with the process that holds it.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{At, Result};

/// An exclusive `flock(2)` on a file; released on drop and by the death of the process.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Waits until the lock is ours.
    pub(crate) fn wait(path: &Path) -> Result<Self> {
        let file = open(path)?;
        flock(&file, FlockOperation::LockExclusive).at("lock", path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Takes the lock if nobody has it.
    pub(crate) fn attempt(path: &Path) -> Result<Option<Self>> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file, path: path.to_owned() })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).at("lock", path),
        }
    }

    /// What the locked file holds.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.path).at("read", &self.path)
    }

    /// Replaces what the locked file holds: new content first, then its length, so that a writer that is killed in
    /// between leaves the new content with an end of the old behind it, never half of one.
    pub(crate) fn write(&self, content: &[u8]) -> Result<()> {
        use std::os::unix::fs::FileExt;
        self.file.write_all_at(content, 0).at("write", &self.path)?;
        self.file.set_len(content.len() as u64).at("truncate", &self.path)
    }
}

fn open(path: &Path) -> Result<File> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).at("create", parent)?;
    }
    File::options().read(true).write(true).create(true).truncate(false).open(path).at("open", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_it_and_it_ends_with_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = FileLock::wait(&path).unwrap();
        first.write(b"held").unwrap();
        assert!(FileLock::attempt(&path).unwrap().is_none());
        drop(first);
        let second = FileLock::attempt(&path).unwrap().expect("free again");
        assert_eq!(second.read().unwrap(), b"held");
    }
}
