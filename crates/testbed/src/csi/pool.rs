//! The pool: a btrfs in a sparse file on a loop device.
//!
//! ```text
//!   volumes/ID        a subvolume for each tree
//!   images/ID.img     one subvolume for all images: a snapshot of a subvolume is the one cut that is atomic
//!   snapshots/ID      a read-only subvolume, or ID.img, which shares its blocks with the image it is of
//!   cuts/ID           a cut through all images, for as long as it takes to make snapshots of it
//!   records/          what there is, see `catalogue`
//! ```
//!
//! Beside it, `mounts/ID` is where the file system on an image is mounted while pods have it.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};

use super::btrfs;
use super::catalogue::{Form, Snapshot, Volume};
use crate::error::{At, Result};
use crate::kernel::{freeze, loops, mounts};
use crate::lock::FileLock;
use crate::tool;

/// Size of the sparse file; only what is written takes room on disk.
const SIZE: u64 = 64 << 30;

/// A mounted pool. It outlives the process that mounted it, as a storage system does its controller.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    dir: PathBuf,
    root: PathBuf,
    mounts: PathBuf,
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
        for name in ["volumes", "snapshots", "cuts", "records"] {
            let path = root.join(name);
            std::fs::create_dir_all(&path).at("create", path)?;
        }
        let pool = Self { root, mounts: dir.join("mounts"), dir };
        if !pool.images().exists() {
            btrfs::create(&pool.images())?;
        }
        pool.forget_cuts()?;
        Ok(pool)
    }

    /// Undoes what a driver left that was killed while it took snapshots: cuts, and file systems that it held still.
    fn forget_cuts(&self) -> Result<()> {
        // Cuts are made under this lock: what is seen under it has no maker any more.
        let _held = self.lock()?;
        freeze::thaw_below(&self.mounts);
        let cuts = self.root.join("cuts");
        for cut in std::fs::read_dir(&cuts).at("list", &cuts)?.flatten() {
            btrfs::delete(&cut.path())?;
        }
        Ok(())
    }

    /// The directory that it is in.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory or file with the content of a volume.
    pub(super) fn volume(&self, volume: &Volume) -> PathBuf {
        match volume.form {
            Form::Tree => self.root.join("volumes").join(&volume.id),
            Form::Image => self.images().join(image_name(&volume.id)),
        }
    }

    /// The directory or file with the content of a snapshot.
    pub(super) fn snapshot(&self, snapshot: &Snapshot) -> PathBuf {
        let dir = self.root.join("snapshots");
        match snapshot.form {
            Form::Tree => dir.join(&snapshot.id),
            Form::Image => dir.join(image_name(&snapshot.id)),
        }
    }

    /// The subvolume that all images of volumes are in.
    pub(super) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Where a cut through all images is to be.
    pub(super) fn cut(&self, id: &str) -> PathBuf {
        self.root.join("cuts").join(id)
    }

    /// Where the file system on the image of a volume is mounted.
    pub(super) fn mount_point(&self, volume: &Volume) -> PathBuf {
        self.mounts.join(&volume.id)
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

/// The file with the image of a volume or snapshot, in whatever directory it is.
pub(super) fn image_name(id: &str) -> String {
    format!("{id}.img")
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

#[cfg(test)]
mod tests {
    use super::super::catalogue::Mode;
    use super::super::trial::Trial;
    use crate::kernel::freeze::Frozen;

    #[test]
    fn what_a_killed_driver_held_still_moves_again() {
        let trial = Trial::start("csi-killed");
        let volume = trial.volume("a", Mode::Filesystem, None);
        let at = trial.publish(&volume, Mode::Filesystem, false);
        std::mem::forget(Frozen::at(&at).unwrap().expect("nobody else froze it"));
        assert!(Frozen::at(&at).unwrap().is_none(), "it is frozen");
        trial.reopen();
        drop(Frozen::at(&at).unwrap().expect("it was let go of"));
    }
}
