//! Directories of files that are hard to keep.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use super::{noise, text};

/// Whether devices and foreign owners can be made.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Names that lose something in careless hands.
pub fn unusual_names() -> Vec<Vec<u8>> {
    [
        &b"plain"[..],
        b"with space",
        b" leading",
        b"trailing ",
        b"-dash",
        b"a-b.json",
        b"a.json",
        b"quote\"back\\slash'",
        b"new\nline\ttab",
        b"\x01\x07\x1b\x7f",
        b"\xff\xfe invalid",
        b"half\xe6\xbc",
        "漢字 ünïcödé 🎉".as_bytes(),
        "zero\u{200b}width\u{202e}rtl\u{a0}nbsp".as_bytes(),
        "line\u{2028}sep".as_bytes(),
        b"<html>&amp;",
        b"%41%2F",
        b"..hidden",
        b"...",
        b"*?[a-z]",
        &[b'n'; 255],
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// Fills `root` with one of everything.
pub fn make_corpus(root: &Path) {
    let names = root.join("names");
    std::fs::create_dir_all(&names).unwrap();
    for name in unusual_names() {
        std::fs::write(names.join(OsStr::from_bytes(&name)), &name).unwrap();
    }
    for (name, size) in
        [("empty", 0), ("one", 1), ("4095", 4095), ("chunk", 512 << 10), ("chunk+1", (512 << 10) + 1)]
    {
        std::fs::write(root.join(name), text(size as u64, size)).unwrap();
    }
    std::fs::write(root.join("random"), noise(1, 5 << 20)).unwrap();
    std::fs::write(root.join("text"), text(2, 3 << 20)).unwrap();
    std::fs::write(root.join("zeros"), vec![0; 3 << 20]).unwrap();
    make_sparse(&root.join("sparse"));
    std::fs::create_dir_all(root.join("empty directory/deeper/still")).unwrap();
    make_links(root);
    make_attributes(root);
    if is_root() {
        make_devices(root);
    }
}

fn make_sparse(path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"middle", 7 << 20).unwrap();
    file.set_len(12 << 20).unwrap();
}

fn make_links(root: &Path) {
    std::fs::write(root.join("linked"), b"twice here").unwrap();
    std::fs::hard_link(root.join("linked"), root.join("linked again")).unwrap();
    std::fs::hard_link(root.join("linked"), root.join("names/linked too")).unwrap();
    symlink("linked", root.join("symlink")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
    symlink(OsStr::from_bytes(b"raw \xff target"), root.join("raw symlink")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, 0o640.into(), 0)
        .unwrap();
}

fn make_attributes(root: &Path) {
    let path = root.join("attributes");
    std::fs::write(&path, b"x").unwrap();
    for (name, value) in [("user.plain", &b"value"[..]), ("user.binary", &[0, 255, 10]), ("user.empty", b"")]
    {
        rustix::fs::setxattr(&path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    }
    let odd = root.join("old and odd");
    std::fs::write(&odd, b"x").unwrap();
    std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o6751)).unwrap();
    let before_1970 = std::time::UNIX_EPOCH - std::time::Duration::new(86_400 * 365, 1);
    std::fs::File::options().write(true).open(&odd).unwrap().set_modified(before_1970).unwrap();
    std::fs::set_permissions(root.join("empty directory"), std::fs::Permissions::from_mode(0o1770)).unwrap();
}

fn make_devices(root: &Path) {
    use rustix::fs::{CWD, FileType, makedev, mknodat};
    mknodat(CWD, root.join("null"), FileType::CharacterDevice, 0o666.into(), makedev(1, 3)).unwrap();
    mknodat(CWD, root.join("loop"), FileType::BlockDevice, 0o660.into(), makedev(7, 200)).unwrap();
    std::os::unix::fs::chown(root.join("one"), Some(1234), Some(4321)).unwrap();
}

/// Copies a directory and all below it.
pub fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_directory(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
