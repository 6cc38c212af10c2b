//! The pool: a btrfs in a sparse file on a loop device, with subvolumes for volumes and snapshots.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};

use super::btrfs;
use crate::error::{At, Result};
use crate::kernel::{loops, mounts};
use crate::lock::FileLock;
use crate::tool;

/// Size of the sparse file; only what is written takes room on disk.
const SIZE: u64 = 64 << 30;

/// A mounted pool. It outlives the process that mounted it, as a storage system does its controller.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    root: PathBuf,
}

impl Pool {
    /// Opens the pool in directory `dir`, making and mounting it as far as that has not been done.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).at("create", dir)?;
        let dir = dir.canonicalize().at("resolve", dir)?;
        let _held = FileLock::wait(&dir.join("pool.lock"))?;
        let root = dir.join("pool");
        if !mounts::is_mounted(&root) {
            mount_image(&dir.join("pool.img"), &root)?;
        }
        for name in ["volumes", "snapshots", "records"] {
            let path = root.join(name);
            std::fs::create_dir_all(&path).at("create", path)?;
        }
        Ok(Self { root })
    }

    pub(super) fn volume(&self, id: &str) -> PathBuf {
        self.root.join("volumes").join(id)
    }

    pub(super) fn snapshot(&self, id: &str) -> PathBuf {
        self.root.join("snapshots").join(id)
    }

    pub(super) fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    /// Bytes that are free.
    pub(super) fn free(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.root).at("measure", &self.root)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    /// Keeps every other change out, also those of drivers of other nodes that share the pool.
    pub(super) fn lock(&self) -> Result<FileLock> {
        FileLock::wait(&self.root.join("lock"))
    }
}

fn mount_image(image: &Path, root: &Path) -> Result<()> {
    let new = !image.exists();
    if new {
        let draft = image.with_extension("new");
        std::fs::File::create(&draft).and_then(|file| file.set_len(SIZE)).at("create", &draft)?;
        tool::run("mkfs.btrfs", &["-q".as_ref(), "--nodiscard".as_ref(), draft.as_os_str()])?;
        std::fs::rename(&draft, image).at("rename", draft)?;
    }
    std::fs::create_dir_all(root).at("create", root)?;
    let device = match loops::of_file(image)?.into_iter().next() {
        Some(found) => found.device,
        None => loops::attach(image, false)?,
    };
    // What is deleted is punched out of the file, so that it does not grow for ever.
    mount(&device, root, c"btrfs", MountFlags::NOATIME, c"discard=async").at("mount", root)?;
    if new {
        btrfs::enable_quotas(root)?;
    }
    Ok(())
}
