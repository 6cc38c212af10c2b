//! File systems held still: everything written is on their device, and whoever writes more waits.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::ioctl::{NoArg, Opcode, ioctl, opcode};

use super::mounts;
use crate::error::{At, Result};

/// ioctl_fs(2).
const FIFREEZE: Opcode = opcode::read_write::<i32>(b'X', 119);
const FITHAW: Opcode = opcode::read_write::<i32>(b'X', 120);

/// A file system that is held still until this is dropped.
#[derive(Debug)]
pub(crate) struct Frozen {
    root: File,
}

impl Frozen {
    /// Holds what is mounted at `path` still; `None` if somebody else does so already, and says when it ends.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>> {
        let root = File::open(path).at("open", path)?;
        match set::<FIFREEZE>(&root) {
            Ok(()) => Ok(Some(Self { root })),
            Err(Errno::BUSY) => Ok(None),
            Err(error) => Err(error).at("freeze", path),
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Somebody else may have let go of it: it is not frozen then, which is what is wanted.
        let _ = set::<FITHAW>(&self.root);
    }
}

/// Lets go of every file system that is mounted at or below `dir`, whoever froze it and died.
///
/// What waits for a frozen file system does not even die by SIGKILL, and unmounting does not thaw.
pub(crate) fn thaw_below(dir: &Path) {
    let roots = mounts::below(dir).into_iter().filter(|point| point.is_dir());
    for root in roots.filter_map(|point| File::open(point).ok()) {
        // Most are not frozen; of those that cannot be, no one waits.
        let _ = set::<FITHAW>(&root);
    }
}

#[allow(unsafe_code, reason = "both requests ignore their argument")]
fn set<const REQUEST: Opcode>(root: impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: FIFREEZE and FITHAW read and write no memory of ours.
    unsafe { ioctl(root, NoArg::<REQUEST>::new()) }
}
