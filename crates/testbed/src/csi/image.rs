//! Files that are the image of a disk: made, copied, enlarged, given a file system.

use std::fs::File;
use std::path::Path;

use rustix::fs::{SeekFrom, ioctl_ficlone, seek};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use crate::error::{At, Result};
use crate::kernel::loops;
use crate::tool;

/// What makes a file system on a file of holes, and nothing that the kernel would go on writing afterwards.
const MAKE: [&str; 5] = ["-qF", "-m", "0", "-E", "nodiscard,assume_storage_prezeroed=1"];

/// An unmounted file system is only enlarged after a check; status 1 is that of a journal that had to be replayed.
const CHECK: &str = r#"e2fsck -fp "$1" || [ $? -eq 1 ]"#;

/// Any user may write to the root of a new file system: a directory (040000) with mode 0777.
const OPEN_ROOT: &str = "set_inode_field <2> mode 040777";

/// Makes an image of `size` bytes, all holes; one that is there is emptied.
pub(super) fn create(image: &Path, size: u64) -> Result<()> {
    File::create(image).and_then(|file| file.set_len(size)).at("create", image)
}

/// Makes `to` share all blocks of `from`, as they are at one moment.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let source = File::open(from).at("open", from)?;
    let target = File::create(to).at("create", to)?;
    ioctl_ficlone(target, source).at("share the blocks of", from)
}

/// Gives an image `size` bytes, and tells its loop devices.
pub(super) fn resize(image: &Path, size: u64) -> Result<()> {
    File::options().write(true).open(image).and_then(|file| file.set_len(size)).at("resize", image)?;
    loops::of_file(image)?.iter().try_for_each(|found| loops::resize(&found.device))
}

/// Mounts the file system on an image.
///
/// An image in which nothing was ever written gets a file system first; any other is mounted as it is, or not at all.
pub(super) fn mount_file_system(image: &Path, at: &Path) -> Result<()> {
    if is_blank(image)? {
        format(image)?;
    }
    let device = device(image, false)?;
    std::fs::create_dir_all(at).at("create", at)?;
    mount(&device, at, c"ext4", MountFlags::empty(), c"").at("mount", at)
}

/// Whether this machine lets us enlarge a file system that is mounted; many a container does not.
pub(super) fn can_grow_mounted() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|held| held.effective.contains(rustix::thread::CapabilitySet::SYS_RESOURCE))
}

/// Makes a file system as large as its image, on which there is none yet if it is blank.
pub(super) fn grow_file_system(image: &Path, mounted: bool) -> Result<()> {
    if is_blank(image)? {
        return Ok(());
    }
    if mounted {
        return tool::run("resize2fs", &[device(image, false)?]).map(drop);
    }
    tool::run("sh", &["-c".as_ref(), CHECK.as_ref(), "sh".as_ref(), image.as_os_str()])?;
    tool::run("resize2fs", &[image]).map(drop)
}

/// The loop device of an image, attached if there is none yet; all who show it share one.
pub(super) fn device(image: &Path, readonly: bool) -> Result<std::path::PathBuf> {
    let found = loops::of_file(image)?.into_iter().find(|found| found.readonly == readonly);
    found.map_or_else(|| loops::attach(image, readonly), |found| Ok(found.device))
}

/// Brings what was written to an image's devices into the file.
pub(super) fn flush(image: &Path) -> Result<()> {
    loops::of_file(image)?.iter().try_for_each(|found| loops::flush(&found.device))
}

fn is_blank(image: &Path) -> Result<bool> {
    let file = File::open(image).at("open", image)?;
    match seek(&file, SeekFrom::Data(0)) {
        Ok(_) => Ok(false),
        Err(Errno::NXIO) => Ok(true),
        Err(error) => Err(error).at("look for data in", image),
    }
}

/// Makes the file system beside the image and renames it into place: half of one would never be mounted.
fn format(image: &Path) -> Result<()> {
    let draft = image.with_extension("new");
    create(&draft, image.metadata().at("measure", image)?.len())?;
    let draft_name = draft.as_os_str();
    tool::run("mkfs.ext4", &[&MAKE.map(AsRef::as_ref)[..], &[draft_name]].concat())?;
    tool::run("debugfs", &["-w".as_ref(), "-R".as_ref(), OPEN_ROOT.as_ref(), draft_name])?;
    std::fs::rename(&draft, image).at("rename", draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_image_without_any_data_is_blank() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("a.img");
        create(&image, 1 << 20).unwrap();
        assert!(is_blank(&image).unwrap());
        let file = File::options().write(true).open(&image).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", 900_000).unwrap();
        assert!(!is_blank(&image).unwrap());
    }
}
