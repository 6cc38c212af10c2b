//! Mounts below a directory, found in the kernel's own list.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use crate::error::{At, Result};

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

/// Whether something is mounted at exactly this path.
pub(crate) fn is_mounted(path: &Path) -> bool {
    below(path).iter().any(|point| point == path)
}

/// Whether `dir`, or something in it, is also seen elsewhere, through another mount of the same file system.
pub(crate) fn is_shown_elsewhere(dir: &Path) -> bool {
    is_shown(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), dir)
}

fn is_shown(table: &str, dir: &Path) -> bool {
    // proc(5): id, parent, device, root of the mount in its file system, mount point.
    let mounts: Vec<(&str, PathBuf, PathBuf)> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').take(5).collect();
            let [_, _, device, root, point] = fields[..] else { return None };
            Some((device, PathBuf::from(unescape(root)), PathBuf::from(unescape(point))))
        })
        .collect();
    let home =
        mounts.iter().filter(|(_, _, point)| dir.starts_with(point)).max_by_key(|m| m.2.as_os_str().len());
    let Some((device, root, point)) = home else { return false };
    let Ok(relative) = dir.strip_prefix(point) else { return false };
    let inside = root.join(relative);
    mounts.iter().any(|(other, shown, at)| other == device && at != point && shown.starts_with(&inside))
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

    #[test]
    fn a_directory_is_shown_by_a_bind_mount_of_it_or_of_what_is_in_it() {
        let pool = "1 0 7:0 / / rw\n2 1 0:9 / /p rw\n";
        let bound = |root: &str| is_shown(&format!("{pool}3 1 0:9 {root} /pods/x rw\n"), Path::new("/p/v/a"));
        assert!(bound("/v/a") && bound("/v/a/disk"));
        assert!(!bound("/v/ab") && !bound("/v"));
        assert!(!is_shown(pool, Path::new("/p/v/a")));
        let mounted = format!("{pool}3 1 7:1 / /m/a rw\n");
        assert!(!is_shown(&mounted, Path::new("/m/a")), "a mount point is not elsewhere");
        assert!(is_shown(&format!("{mounted}4 1 7:1 / /pods/a rw\n"), Path::new("/m/a")));
    }
}
