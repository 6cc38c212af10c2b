//! What is in a volume, in either form: made, enlarged, held still, put away, removed.

use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};
use tonic::Status;

use super::catalogue::{Form, Mode, Origin, Snapshot, Volume};
use super::driver::Driver;
use super::request::no_such;
use super::{btrfs, image};
use crate::error::{At, Result};
use crate::kernel::freeze::Frozen;
use crate::kernel::{loops, mounts};

/// Where the content of a new volume comes from.
pub(super) struct Source {
    path: PathBuf,
    pub(super) size: u64,
    pub(super) form: Form,
    /// Holds a volume still while it is copied.
    _still: Vec<Frozen>,
}

impl Driver {
    pub(super) fn source(&self, origin: &Origin) -> Result<Source, Status> {
        match origin {
            Origin::Snapshot(id) => {
                let found = self.catalogue.get::<Snapshot>(id)?.ok_or_else(|| no_such("snapshot", id))?;
                let path = self.pool.snapshot(&found);
                Ok(Source { path, size: found.size, form: found.form, _still: Vec::new() })
            }
            Origin::Volume(id) => {
                let found = self.volume(id)?;
                let still = self.hold_still(std::iter::once(&found))?;
                let path = self.pool.volume(&found);
                Ok(Source { path, size: found.size, form: found.form, _still: still })
            }
        }
    }

    /// Makes the content of a volume anew, whatever a call that was cut off left of it.
    pub(super) fn fill(&self, volume: &Volume, source: Option<&Source>) -> Result<()> {
        self.remove_content(volume)?;
        let path = self.pool.volume(volume);
        match (volume.form, source) {
            (Form::Tree, None) => btrfs::create(&path)?,
            (Form::Tree, Some(source)) => btrfs::copy(&source.path, &path)?,
            (Form::Image, None) => return image::create(&path, volume.size),
            (Form::Image, Some(source)) => image::copy(&source.path, &path)?,
        }
        self.set_size(volume, source.map_or(0, |source| source.size))
    }

    /// Gives a volume that had `before` bytes the size that its record has, also where it is shown.
    pub(super) fn set_size(&self, volume: &Volume, before: u64) -> Result<()> {
        let path = self.pool.volume(volume);
        if volume.form == Form::Tree {
            return btrfs::limit(&path, volume.size);
        }
        if volume.size > before {
            image::resize(&path, volume.size)?;
            if volume.mode == Mode::Filesystem {
                image::grow_file_system(&path, self.is_mounted(volume))?;
            }
        }
        Ok(())
    }

    /// Whether the file system on an image is mounted for pods.
    pub(super) fn is_mounted(&self, volume: &Volume) -> bool {
        mounts::is_mounted(&self.pool.mount_point(volume))
    }

    /// The directory that pods see as a volume: the file system on an image is mounted for it.
    pub(super) fn root(&self, volume: &Volume) -> Result<PathBuf> {
        let path = self.pool.volume(volume);
        if volume.form == Form::Tree {
            return Ok(path);
        }
        let at = self.pool.mount_point(volume);
        if !mounts::is_mounted(&at) {
            image::mount_file_system(&path, &at)?;
        }
        Ok(at)
    }

    /// Holds the file systems on images still and writes what was written to their devices: what is then in the
    /// images is what is on their disks. A tree needs nothing.
    pub(super) fn hold_still<'a>(
        &self,
        volumes: impl Iterator<Item = &'a Volume> + Clone,
    ) -> Result<Vec<Frozen>> {
        let mut frozen = Vec::new();
        for at in volumes.clone().map(|volume| self.pool.mount_point(volume)) {
            if mounts::is_mounted(&at) {
                frozen.extend(Frozen::at(&at)?);
            }
        }
        for volume in volumes.filter(|volume| volume.form == Form::Image) {
            image::flush(&self.pool.volume(volume))?;
        }
        Ok(frozen)
    }

    /// Takes away the mount and the devices of an image that no pod is shown any more.
    pub(super) fn put_away(&self, volume: &Volume) -> Result<()> {
        let at = self.pool.mount_point(volume);
        if mounts::is_mounted(&at) && !mounts::is_shown_elsewhere(&at) {
            unmount(&at, UnmountFlags::NOFOLLOW).at("unmount", &at)?;
            std::fs::remove_dir(&at).at("remove", &at)?;
        }
        if mounts::is_mounted(&at) {
            return Ok(());
        }
        for found in loops::of_file(&self.pool.volume(volume))? {
            if !mounts::is_shown_elsewhere(&found.device) {
                loops::detach_wholly(&found.device)?;
            }
        }
        Ok(())
    }

    /// Whether a mount or a loop device shows a volume: btrfs would not mind deleting it then.
    pub(super) fn is_in_use(&self, volume: &Volume) -> bool {
        let path = self.pool.volume(volume);
        mounts::is_shown_elsewhere(&path) || !loops::below(&path).is_empty()
    }

    pub(super) fn remove_content(&self, volume: &Volume) -> Result<()> {
        remove(volume.form, &self.pool.volume(volume))
    }

    /// Bytes that are used of a volume that is shown at `path`, and how many it could have.
    pub(super) fn usage(&self, volume: &Volume, path: &Path) -> Result<(u64, u64)> {
        match (volume.mode, volume.form) {
            (Mode::Block, _) => Ok((volume.size, volume.size)),
            (Mode::Filesystem, Form::Tree) => Ok((btrfs::used(&self.pool.volume(volume))?, volume.size)),
            (Mode::Filesystem, Form::Image) => {
                let stat = rustix::fs::statvfs(path).at("measure", path)?;
                Ok(((stat.f_blocks - stat.f_bfree) * stat.f_frsize, stat.f_blocks * stat.f_frsize))
            }
        }
    }
}

/// Removes the content of a volume or a snapshot, if it is there.
pub(super) fn remove(form: Form, path: &Path) -> Result<()> {
    match form {
        Form::Tree => btrfs::delete(path),
        Form::Image => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", path),
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{SIZE, Trial};
    use super::*;
    use crate::tool;

    #[test]
    fn an_image_is_mounted_written_expanded_and_put_away() {
        let trial = Trial::start("csi-image");
        let volume = trial.volume("a", Mode::Filesystem, None);
        let at = trial.publish(&volume, Mode::Filesystem, false);
        std::fs::write(at.join("f"), "written").unwrap();
        let blocks = |at: &Path| rustix::fs::statvfs(at).unwrap().f_blocks;
        let before = blocks(&at);
        assert_eq!(trial.delete_volume(&volume).unwrap_err().code(), tonic::Code::FailedPrecondition);
        trial.unpublish(&volume);
        let image = trial.driver.pool.volume(&trial.driver.volume(&volume).unwrap());
        assert!(loops::of_file(&image).unwrap().is_empty(), "no pod, no device");
        trial.expand(&volume, 2 * SIZE).unwrap();
        assert_eq!(
            std::fs::read(trial.publish(&volume, Mode::Filesystem, true).join("f")).unwrap(),
            b"written"
        );
        assert!(std::fs::write(at.join("f"), "changed").is_err(), "it is shown read-only");
        assert!(blocks(&at) > before * 19 / 10, "{} of {before}", blocks(&at));
        match trial.expand(&volume, 3 * SIZE) {
            Ok(_) => assert!(blocks(&at) > before * 28 / 10, "{} of {before}", blocks(&at)),
            Err(status) => assert_eq!(status.code(), tonic::Code::FailedPrecondition),
        }
        trial.unpublish(&volume);
        trial.delete_volume(&volume).unwrap();
        assert!(!image.exists());
    }

    #[test]
    fn what_was_written_to_a_device_is_never_formatted() {
        let trial = Trial::start("csi-raw");
        let raw = trial.volume("raw", Mode::Block, None);
        let device = trial.publish(&raw, Mode::Block, false);
        std::fs::write(&device, "no file system").unwrap();
        let snapshot = trial.snapshot("s", &raw);
        let copy = trial.driver.volume(&trial.volume("copy", Mode::Filesystem, Some(&snapshot))).unwrap();
        assert!(trial.driver.root(&copy).is_err(), "nothing that can be mounted");
        let kept = std::fs::read(trial.driver.pool.volume(&copy)).unwrap();
        assert!(kept.starts_with(b"no file system"));
    }

    #[test]
    fn a_snapshot_of_a_mounted_volume_is_a_device_whose_file_system_is_sound() {
        let trial = Trial::start("csi-mode");
        let volume = trial.volume("a", Mode::Filesystem, None);
        let at = trial.publish(&volume, Mode::Filesystem, false);
        std::fs::write(at.join("f"), "before").unwrap();
        let snapshot = trial.snapshot("s", &volume);
        std::fs::write(at.join("f"), "after").unwrap();
        let raw = trial.volume("raw", Mode::Block, Some(&snapshot));
        let device = trial.publish(&raw, Mode::Block, true);
        tool::run("e2fsck", &["-fn".as_ref(), device.as_os_str()]).unwrap();
        let said = tool::run("debugfs", &["-R".as_ref(), "cat /f".as_ref(), device.as_os_str()]).unwrap();
        assert_eq!(said, "before");
    }
}
