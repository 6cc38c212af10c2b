//! Mounts and loop devices below a directory, found in the kernel's own lists.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use crate::error::{At, Result};
use crate::tool;

/// Makes mounts below `/` travel into containers and back, as the kubelet expects.
pub(crate) fn share_root() -> Result<()> {
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).at("share mounts of", "/")
}

/// Every mount at or below `dir`, in the order they were made.
pub(crate) fn below(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    parse(&table, dir)
}

/// Unmounts everything at or below `dir`, the newest first, even where it is in use.
pub(crate) fn remove_below(dir: &Path) -> Result<()> {
    for path in below(dir).into_iter().rev() {
        match unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // Another mount on top took it away, or propagation did.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error).at("unmount", path),
        }
    }
    Ok(())
}

/// Loop devices whose file is below `dir`.
pub(crate) fn loops_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(devices) = fs::read_dir("/sys/block") else { return Vec::new() };
    devices
        .flatten()
        .filter(|device| {
            let file = fs::read_to_string(device.path().join("loop/backing_file"));
            file.is_ok_and(|file| Path::new(file.trim_end().trim_end_matches(" (deleted)")).starts_with(dir))
        })
        .map(|device| Path::new("/dev").join(device.file_name()))
        .collect()
}

/// Detaches the loop devices whose file is below `dir`.
pub(crate) fn detach_loops_below(dir: &Path) -> Result<()> {
    for device in loops_below(dir) {
        tool::run("losetup", &["-d".as_ref(), device.as_os_str()])?;
    }
    Ok(())
}

fn parse(table: &str, dir: &Path) -> Vec<PathBuf> {
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| PathBuf::from(unescape(field)))
        .filter(|path| path.starts_with(dir))
        .collect()
}

/// Undoes the octal escapes of proc(5).
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_at_or_below_the_directory_count() {
        let table = "1 2 0:1 / /run/x rw - tmpfs t rw\n2 2 0:1 / /run/x/a\\040b rw - tmpfs t rw\n3 2 0:1 / /run/xy rw - tmpfs t rw\n";
        assert_eq!(parse(table, Path::new("/run/x")), ["/run/x", "/run/x/a b"].map(PathBuf::from));
    }
}
