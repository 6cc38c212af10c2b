//! Whether a restored tree is the one that was backed up: a benchmark of wrong results is worthless.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// How many differences are worth telling.
const ENOUGH: usize = 20;

/// Names what differs between two trees in names, content, modes, owners and times of modification.
pub fn differences(left: &Path, right: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        let (ours, theirs) = (names(&left.join(&below))?, names(&right.join(&below))?);
        found.extend(
            theirs
                .iter()
                .filter(|name| !ours.contains(name))
                .map(|name| line(&below.join(name), "is too much")),
        );
        for name in ours {
            let path = below.join(&name);
            if theirs.binary_search(&name).is_err() {
                found.push(line(&path, "is missing"));
            } else if let Some(what) = difference(&left.join(&path), &right.join(&path))? {
                found.push(line(&path, what));
            }
            if left.join(&path).is_dir() && right.join(&path).is_dir() {
                waiting.push(path);
            }
        }
        if found.len() >= ENOUGH {
            break;
        }
    }
    found.truncate(ENOUGH);
    Ok(found)
}

fn line(path: &Path, what: &str) -> String {
    format!("{}: {what}", path.display())
}

fn names(directory: &Path) -> Result<Vec<std::ffi::OsString>> {
    let items =
        std::fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut names = items.map(|item| Ok(item?.file_name())).collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn difference(left: &Path, right: &Path) -> Result<Option<&'static str>> {
    let (ours, theirs) = (left.symlink_metadata()?, right.symlink_metadata()?);
    if ours.mode() != theirs.mode() {
        return Ok(Some("type or mode"));
    }
    if (ours.uid(), ours.gid()) != (theirs.uid(), theirs.gid()) {
        return Ok(Some("owner"));
    }
    if ours.is_file() && (ours.len() != theirs.len() || !same_content(left, right)?) {
        return Ok(Some("content"));
    }
    // Directories are left out: writing what is below changes them, and not every program sets them again.
    let same_time = (ours.mtime(), ours.mtime_nsec()) == (theirs.mtime(), theirs.mtime_nsec());
    Ok((ours.is_file() && !same_time).then_some("modification time"))
}

fn same_content(left: &Path, right: &Path) -> Result<bool> {
    let (mut left, mut right) = (File::open(left)?, File::open(right)?);
    let mut buffers = (vec![0; 1 << 17], vec![0; 1 << 17]);
    loop {
        let length = left.read(&mut buffers.0)?;
        if length == 0 {
            return Ok(right.read(&mut buffers.1)? == 0);
        }
        let other = &mut buffers.1[..length];
        if right.read_exact(other).is_err() || buffers.0[..length] != *other {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_difference_is_named() {
        let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (root, names) in [(&left, ["same", "other", "gone"]), (&right, ["same", "other", "new"])] {
            for name in names {
                std::fs::write(root.path().join(name), name).unwrap();
                let file = File::options().write(true).open(root.path().join(name)).unwrap();
                file.set_modified(std::time::UNIX_EPOCH).unwrap();
            }
        }
        std::fs::write(right.path().join("other"), "eddie").unwrap();
        let mut found = differences(left.path(), right.path()).unwrap();
        found.sort();
        assert_eq!(found, ["gone: is missing", "new: is too much", "other: content"]);
    }
}
