//! The files of an image: what is in it is said path by path, so the same input gives the same bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{At, Result};

/// A tree of files with owners and modes of its own, whatever the host's are.
#[derive(Debug, Default, Clone)]
pub struct Layer {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    content: Content,
    mode: u32,
    owner: u32,
}

#[derive(Debug, Clone)]
enum Content {
    Directory,
    Bytes(Vec<u8>),
    HostFile(PathBuf),
    Link(String),
}

impl Layer {
    /// An empty layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A directory, owned by user and group `owner`.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32, owner: u32) -> Self {
        self.with(path, Content::Directory, mode, owner)
    }

    /// A file of root's with this content.
    #[must_use]
    pub fn text(self, path: &str, content: &str) -> Self {
        self.with(path, Content::Bytes(content.as_bytes().to_vec()), 0o644, 0)
    }

    /// A copy of a file of the host, owned by root.
    #[must_use]
    pub fn host_file(self, path: &str, source: impl Into<PathBuf>, mode: u32) -> Self {
        self.with(path, Content::HostFile(source.into()), mode, 0)
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(path, Content::Link(target.to_owned()), 0o777, 0)
    }

    /// The accounts that every image here has: root and user 999, called `account`.
    #[must_use]
    pub fn accounts(self, account: &str) -> Self {
        let passwd = format!("root:x:0:0:root:/:/bin/sh\n{account}:x:999:999::/:/bin/sh\n");
        self.text("etc/passwd", &passwd).text("etc/group", &format!("root:x:0:\n{account}:x:999:\n"))
    }

    /// busybox in `bin`, with a link for each of its programs that is not there yet.
    pub fn busybox(mut self, bin: &str, busybox: &Path) -> Result<Self> {
        let list = crate::tool::run(&busybox.to_string_lossy(), &["--list"])?;
        self = self.host_file(&format!("{bin}/busybox"), busybox, 0o755);
        for program in list.lines().filter(|name| *name != "busybox") {
            let path = format!("{bin}/{program}");
            if !self.entries.contains_key(&path) {
                self = self.link(&path, "busybox");
            }
        }
        Ok(self)
    }

    /// Everything below a directory of the host, owned by root, with the modes it has there.
    pub fn tree(mut self, root: &Path) -> Result<Self> {
        let mut waiting = vec![root.to_owned()];
        while let Some(dir) = waiting.pop() {
            for item in std::fs::read_dir(&dir).at("list", &dir)? {
                let path = item.at("list", &dir)?.path();
                let Ok(inside) = path.strip_prefix(root) else { continue };
                let inside = inside.to_string_lossy().into_owned();
                let meta = path.symlink_metadata().at("inspect", &path)?;
                let mode = meta.permissions().mode() & 0o7777;
                if meta.is_symlink() {
                    let target = std::fs::read_link(&path).at("read", &path)?;
                    self = self.link(&inside, &target.to_string_lossy());
                } else if meta.is_dir() {
                    self = self.directory(&inside, mode, 0);
                    waiting.push(path);
                } else if meta.is_file() {
                    self = self.host_file(&inside, path, mode);
                }
            }
        }
        Ok(self)
    }

    fn with(mut self, path: &str, content: Content, mode: u32, owner: u32) -> Self {
        let path = path.trim_matches('/').to_owned();
        let parents: Vec<String> = path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect();
        for parent in parents {
            self.entries.entry(parent).or_insert(Entry {
                content: Content::Directory,
                mode: 0o755,
                owner: 0,
            });
        }
        self.entries.insert(path, Entry { content, mode, owner });
        self
    }

    /// Writes the layer as a tar stream, in the order of paths, all times zero.
    pub(super) fn write(&self, sink: impl Write) -> Result<()> {
        let mut tar = tar::Builder::new(sink);
        for (path, entry) in &self.entries {
            entry.append(&mut tar, path).at("add to the image", path)?;
        }
        tar.into_inner().and_then(|mut sink| sink.flush()).at("write", "the layer")
    }
}

impl Entry {
    fn append<W: Write>(&self, tar: &mut tar::Builder<W>, path: &str) -> std::io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(self.mode);
        header.set_uid(self.owner.into());
        header.set_gid(self.owner.into());
        header.set_mtime(0);
        header.set_size(0);
        match &self.content {
            Content::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, format!("{path}/"), std::io::empty())
            }
            Content::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, path, target)
            }
            Content::Bytes(bytes) => {
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, path, Cursor::new(bytes))
            }
            Content::HostFile(source) => {
                let file = File::open(source)?;
                header.set_size(file.metadata()?.len());
                tar.append_data(&mut header, path, file)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_with_parents_and_modes() {
        let layer = Layer::new()
            .link("usr/bin/sh", "busybox")
            .directory("/tmp", 0o1777, 0)
            .text("etc/passwd", "root\n");
        let mut first = Vec::new();
        layer.write(&mut first).unwrap();
        let mut second = Vec::new();
        layer.clone().write(&mut second).unwrap();
        assert_eq!(first, second);
        let mut archive = tar::Archive::new(first.as_slice());
        let seen: Vec<(String, u32)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().to_string_lossy().into_owned();
                (path, entry.header().mode().unwrap())
            })
            .collect();
        let expected = [
            ("etc/", 0o755),
            ("etc/passwd", 0o644),
            ("tmp/", 0o1777),
            ("usr/", 0o755),
            ("usr/bin/", 0o755),
            ("usr/bin/sh", 0o777),
        ];
        assert_eq!(seen, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }
}
