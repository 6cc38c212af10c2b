//! A directory tree as a value that can be compared, with everything a restore must bring back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use holdfast_vault::BlobId;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: &'static str,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, i64),
    pub size: u64,
    pub content: Option<BlobId>,
    pub target: Option<PathBuf>,
    pub device: u64,
    pub links: u64,
    pub attributes: BTreeMap<OsString, Vec<u8>>,
    /// The first path with the same inode.
    pub first_name: PathBuf,
}

pub type Listing = BTreeMap<PathBuf, Entry>;

/// Everything at and below `root`; the root itself is the empty path.
pub fn list(root: &Path) -> Listing {
    let (mut listing, mut inodes) = (Listing::new(), BTreeMap::new());
    visit(root, Path::new(""), &mut listing, &mut inodes);
    listing
}

fn visit(root: &Path, path: &Path, listing: &mut Listing, inodes: &mut BTreeMap<u64, PathBuf>) {
    let full = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
    let meta = std::fs::symlink_metadata(&full).unwrap();
    let kind = meta.file_type();
    let kind = match () {
        () if kind.is_file() => "file",
        () if kind.is_dir() => "dir",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () => "device",
    };
    let first_name = inodes.entry(meta.ino()).or_insert_with(|| path.to_owned()).clone();
    let entry = Entry {
        kind,
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        size: if kind == "file" { meta.size() } else { 0 },
        content: (kind == "file").then(|| BlobId::of(&std::fs::read(&full).unwrap())),
        target: (kind == "symlink").then(|| std::fs::read_link(&full).unwrap()),
        device: if kind == "device" { meta.rdev() } else { 0 },
        links: if kind == "dir" { 0 } else { meta.nlink() },
        attributes: attributes(&full),
        first_name: if kind == "dir" { PathBuf::new() } else { first_name },
    };
    listing.insert(path.to_owned(), entry);
    if kind == "dir" {
        let mut names: Vec<OsString> =
            std::fs::read_dir(&full).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            visit(root, &path.join(name), listing, inodes);
        }
    }
}

fn attributes(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut list = vec![0; 65_536];
    let Ok(length) = rustix::fs::llistxattr(path, &mut list) else { return BTreeMap::new() };
    let names = list[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 65_536];
            let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
            (OsString::from_vec(name.to_vec()), value[..length].to_vec())
        })
        .collect()
}

/// Fails naming the first entries that differ.
pub fn assert_same(expected: &Listing, found: &Listing) {
    let mut different = Vec::new();
    for path in expected.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (a, b) = (expected.get(path), found.get(path));
        if a != b {
            different.push(format!("{}:\n  expected {a:?}\n  found    {b:?}", path.display()));
        }
    }
    assert!(
        different.is_empty(),
        "{} entries differ:\n{}",
        different.len(),
        different[..different.len().min(5)].join("\n")
    );
}
