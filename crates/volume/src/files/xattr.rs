//! Extended attributes: ACLs, capabilities, labels and users' own.

use std::os::fd::AsFd;

use holdfast_vault::ExtendedAttribute;
use rustix::fs::{self, XattrFlags};
use rustix::io::Errno;

use super::beneath::Dir;

type Sys<T> = Result<T, Errno>;

/// Linux allows 64 KiB for a list of names and for each value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LIMIT: usize = 64 * 1024;

/// Attributes of an open file or directory, in the order the system lists them.
pub(super) fn of_open(fd: impl AsFd) -> Sys<Vec<ExtendedAttribute>> {
    let mut small = [0; 256];
    match fs::flistxattr(&fd, &mut small) {
        Ok(0) => Ok(Vec::new()),
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        Ok(len) => read_all(&small[..len], |name, buffer| fs::fgetxattr(&fd, name, buffer)),
        Err(Errno::RANGE) => {
            let mut large = vec![0; LIMIT];
            let len = fs::flistxattr(&fd, &mut large)?;
            read_all(&large[..len], |name, buffer| fs::fgetxattr(&fd, name, buffer))
        }
        Err(error) => Err(error),
    }
}

/// Attributes of what cannot be opened for reading: links, devices, pipes.
pub(super) fn of_entry(dir: &Dir, name: &[u8]) -> Sys<Vec<ExtendedAttribute>> {
    let path = dir.proc_path(name);
    let get = |name: &[u8], buffer: &mut [u8]| fs::lgetxattr(&path, name, buffer);
    let mut small = [0; 256];
    match fs::llistxattr(&path, &mut small) {
        Ok(0) => Ok(Vec::new()),
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        Ok(len) => read_all(&small[..len], get),
        Err(Errno::RANGE) => {
            let mut large = vec![0; LIMIT];
            let len = fs::llistxattr(&path, &mut large)?;
            read_all(&large[..len], get)
        }
        Err(error) => Err(error),
    }
}

fn read_all(list: &[u8], get: impl Fn(&[u8], &mut [u8]) -> Sys<usize>) -> Sys<Vec<ExtendedAttribute>> {
    let mut found = Vec::new();
    for name in list.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; LIMIT];
        match get(name, &mut value) {
            Ok(len) => value.truncate(len),
            // Removed since it was listed.
            Err(Errno::NODATA) => continue,
            Err(error) => return Err(error),
        }
        value.shrink_to_fit();
        // The format's names are text; a name that is not would be another one when restored.
        let name = String::from_utf8(name.to_vec()).map_err(|_| Errno::ILSEQ)?;
        found.push(ExtendedAttribute { name, value });
    }
    Ok(found)
}

/// Sets an attribute of an open file or directory.
pub(super) fn set_open(fd: impl AsFd, attribute: &ExtendedAttribute) -> Sys<()> {
    fs::fsetxattr(fd, attribute.name.as_str(), &attribute.value, XattrFlags::empty())
}

/// Sets an attribute of what cannot be opened.
pub(super) fn set_entry(dir: &Dir, name: &[u8], attribute: &ExtendedAttribute) -> Sys<()> {
    fs::lsetxattr(dir.proc_path(name), attribute.name.as_str(), &attribute.value, XattrFlags::empty())
}

/// Removes an attribute of an open file or directory.
pub(super) fn remove_open(fd: impl AsFd, name: &str) -> Sys<()> {
    fs::fremovexattr(fd, name)
}

/// Removes an attribute of what cannot be opened.
pub(super) fn remove_entry(dir: &Dir, name: &[u8], attribute: &str) -> Sys<()> {
    fs::lremovexattr(dir.proc_path(name), attribute)
}
