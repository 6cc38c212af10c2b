//! Subvolumes of btrfs: made, snapshotted, limited, deleted.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{At, Result};
use crate::tool;

/// Makes a subvolume that any user may write to.
pub(super) fn create(path: &Path) -> Result<()> {
    btrfs(&["subvolume", "create"], &[path])?;
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(path, open).at("open for all users", path)
}

/// Makes `to` a writable copy of `from`; dirty data is written first.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    btrfs(&["subvolume", "snapshot"], &[from, to])
}

/// Makes `to` a copy of `from` that nobody can change.
pub(super) fn freeze(from: &Path, to: &Path) -> Result<()> {
    btrfs(&["subvolume", "snapshot", "-r"], &[from, to])
}

/// Deletes a subvolume if it is there, even one that is mounted elsewhere: the caller makes sure that it is not.
pub(super) fn delete(path: &Path) -> Result<()> {
    if path.is_dir() { btrfs(&["subvolume", "delete"], &[path]) } else { Ok(()) }
}

/// Lets writers into a subvolume have EDQUOT beyond `bytes`.
pub(super) fn limit(path: &Path, bytes: u64) -> Result<()> {
    btrfs(&["qgroup", "limit", &bytes.to_string()], &[path])
}

/// Turns quotas on for a whole file system.
pub(super) fn enable_quotas(pool: &Path) -> Result<()> {
    btrfs(&["quota", "enable"], &[pool])
}

/// Bytes that a subvolume refers to, as quotas count them.
pub(super) fn used(path: &Path) -> Result<u64> {
    let said = tool::run("btrfs", &words(&["qgroup", "show", "-f", "--raw"], &[path]))?;
    // A table with two lines of headings: qgroup, referred, exclusive.
    let last = said.lines().last().unwrap_or_default();
    Ok(last.split_whitespace().nth(1).and_then(|bytes| bytes.parse().ok()).unwrap_or(0))
}

fn btrfs(verb: &[&str], paths: &[&Path]) -> Result<()> {
    tool::run("btrfs", &words(verb, paths)).map(drop)
}

fn words<'a>(verb: &'a [&'a str], paths: &'a [&'a Path]) -> Vec<&'a OsStr> {
    verb.iter().map(OsStr::new).chain(paths.iter().map(|path| path.as_os_str())).collect()
}
