//! Random changes of a directory tree, as applications and people make them.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::noise;

/// One change. Numbers choose among what is there, modulo how many there are.
#[derive(Debug, Clone)]
pub enum Change {
    Dir { within: u16, name: u8 },
    File { within: u16, name: u8, seed: u8, size: usize },
    Link { within: u16, name: u8, to: u8 },
    Pipe { within: u16, name: u8 },
    HardLink { of: u16, within: u16, name: u8 },
    Overwrite { of: u16, at: u16, length: usize },
    Resize { of: u16, size: usize },
    Remove { of: u16 },
    Rename { of: u16, within: u16, name: u8 },
    Mode { of: u16, mode: u32 },
    Owner { of: u16, id: u8 },
    Attribute { of: u16, name: u8, value: Option<u8> },
}

/// A change of a small tree.
pub fn change() -> impl Strategy<Value = Change> {
    let size =
        prop_oneof![Just(0_usize), 1..200_usize, Just(512 * 1024), 600_000..1_500_000_usize, Just(3 << 20)];
    let length = prop_oneof![1..50_usize, Just(300_000)];
    prop_oneof![
        3 => (any::<u16>(), 0..6_u8).prop_map(|(within, name)| Change::Dir { within, name }),
        6 => (any::<u16>(), 0..6_u8, any::<u8>(), size.clone())
            .prop_map(|(within, name, seed, size)| Change::File { within, name, seed, size }),
        1 => (any::<u16>(), 0..6_u8, any::<u8>()).prop_map(|(within, name, to)| Change::Link { within, name, to }),
        1 => (any::<u16>(), 0..6_u8).prop_map(|(within, name)| Change::Pipe { within, name }),
        3 => (any::<u16>(), any::<u16>(), 0..6_u8)
            .prop_map(|(of, within, name)| Change::HardLink { of, within, name }),
        4 => (any::<u16>(), any::<u16>(), length).prop_map(|(of, at, length)| Change::Overwrite { of, at, length }),
        2 => (any::<u16>(), size).prop_map(|(of, size)| Change::Resize { of, size }),
        3 => any::<u16>().prop_map(|of| Change::Remove { of }),
        3 => (any::<u16>(), any::<u16>(), 0..6_u8)
            .prop_map(|(of, within, name)| Change::Rename { of, within, name }),
        1 => (any::<u16>(), 0..0o1000_u32).prop_map(|(of, mode)| Change::Mode { of, mode }),
        1 => (any::<u16>(), any::<u8>()).prop_map(|(of, id)| Change::Owner { of, id }),
        1 => (any::<u16>(), 0..3_u8, any::<Option<u8>>())
            .prop_map(|(of, name, value)| Change::Attribute { of, name, value }),
    ]
}

/// Makes the changes below `root`, one after the other. What one of them cannot do is not done. Each
/// leaves its own time, long ago, on what it touches.
pub fn apply(root: &Path, changes: &[Change], clock: &mut i64) {
    for change in changes {
        *clock += 1;
        if let Some(touched) = change.make(root) {
            touch(&touched, *clock);
        }
    }
}

/// Sets the time of last change.
pub fn touch(path: &Path, second: i64) {
    let time = Timespec { tv_sec: 1_000_000_000 + second, tv_nsec: 1_000 * second };
    let times = Timestamps { last_access: time, last_modification: time };
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

impl Change {
    fn make(&self, root: &Path) -> Option<PathBuf> {
        let all = entries(root);
        let dirs: Vec<&PathBuf> = all.iter().filter(|path| is_dir(path)).collect();
        let files: Vec<&PathBuf> = all.iter().filter(|path| is_file(path)).collect();
        let place = |within: u16, name: u8| dirs[usize::from(within) % dirs.len()].join(name_of(name));
        let file = |of: u16| (!files.is_empty()).then(|| files[usize::from(of) % files.len()]);
        // The root itself stays.
        let entry = |of: u16| (all.len() > 1).then(|| &all[1 + usize::from(of) % (all.len() - 1)]);
        match *self {
            Change::Dir { within, name } => {
                let path = place(within, name);
                fs::create_dir(&path).ok().map(|()| path)
            }
            Change::File { within, name, seed, size } => {
                let path = place(within, name);
                (!is_dir(&path) && !path.is_symlink() && !is_pipe(&path)).then_some(())?;
                fs::write(&path, content(seed, size)).ok().map(|()| path)
            }
            Change::Link { within, name, to } => {
                let path = place(within, name);
                symlink(format!("../target {to}"), &path).ok().map(|()| path)
            }
            Change::Pipe { within, name } => {
                let path = place(within, name);
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o640), 0).ok()?;
                Some(path)
            }
            Change::HardLink { of, within, name } => {
                let path = place(within, name);
                fs::hard_link(file(of)?, &path).ok().map(|()| path)
            }
            Change::Overwrite { of, at, length } => {
                let path = file(of)?;
                let size = fs::metadata(path).ok()?.len();
                let at = u64::from(at) * size / u64::from(u16::MAX);
                let file = OpenOptions::new().write(true).open(path).ok()?;
                file.write_all_at(&noise(size ^ u64::from(of), length), at).ok().map(|()| path.clone())
            }
            Change::Resize { of, size } => {
                let path = file(of)?;
                File::options().write(true).open(path).ok()?.set_len(size as u64).ok()?;
                Some(path.clone())
            }
            Change::Remove { of } => {
                let path = entry(of)?;
                if is_dir(path) { fs::remove_dir_all(path) } else { fs::remove_file(path) }.ok()?;
                path.parent().map(Path::to_owned)
            }
            Change::Rename { of, within, name } => {
                let path = place(within, name);
                // What is renamed keeps its time; the directory it comes to does not.
                fs::rename(entry(of)?, &path).ok()?;
                path.parent().map(Path::to_owned)
            }
            Change::Mode { of, mode } => {
                let path = entry(of).filter(|path| !path.is_symlink())?;
                fs::set_permissions(path, Permissions::from_mode(mode)).ok().map(|()| path.clone())
            }
            Change::Owner { of, id } => {
                let path = entry(of)?;
                std::os::unix::fs::lchown(path, Some(id.into()), Some(id.into())).ok().map(|()| path.clone())
            }
            Change::Attribute { of, name, value } => {
                let path = entry(of).filter(|path| is_dir(path) || is_file(path))?;
                let name = format!("user.n{name}");
                match value {
                    Some(value) => rustix::fs::setxattr(path, name, &[value], XattrFlags::empty()),
                    None => rustix::fs::removexattr(path, name),
                }
                .ok()
                .map(|()| path.clone())
            }
        }
    }
}

/// Every entry below (and at) the root, in order.
fn entries(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        at += 1;
        if is_dir(&path) {
            let mut below: Vec<PathBuf> =
                fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
            below.sort();
            found.extend(below);
        }
    }
    found
}

/// Every second file has zeros in it, and large ones share pieces.
fn content(seed: u8, size: usize) -> Vec<u8> {
    let mut bytes = noise(u64::from(seed % 8) + 1, size);
    if seed.is_multiple_of(2) && size > 200_000 {
        bytes[50_000..size - 50_000].fill(0);
    }
    bytes
}

fn name_of(name: u8) -> &'static OsStr {
    let names: [&[u8]; 6] = [b"a", b"b", b"a.b", b"with space", b"\xff odd", b"z"];
    OsStr::from_bytes(names[usize::from(name)])
}

fn kind(path: &Path) -> Option<fs::FileType> {
    fs::symlink_metadata(path).ok().map(|meta| meta.file_type())
}

fn is_dir(path: &Path) -> bool {
    kind(path).is_some_and(|kind| kind.is_dir())
}

fn is_file(path: &Path) -> bool {
    kind(path).is_some_and(|kind| kind.is_file())
}

fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind(path).is_some_and(|kind| kind.is_fifo())
}
