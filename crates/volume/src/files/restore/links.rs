//! Hard links: the first name of an inode is restored as a file, the others are linked to it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use holdfast_vault::Node;
use rustix::fs::{AtFlags, linkat};
use rustix::io::Errno;

use super::target::Target;

/// First names of inodes whose other names have not all been met.
#[derive(Default)]
pub(super) struct FirstNames(HashMap<(u64, u64), First>);

struct First {
    path: Vec<u8>,
    content: u64,
    names_left: u64,
}

/// A name that is to be linked to another when that one's file is complete.
pub(super) struct HardLink {
    root: Arc<Target>,
    first: Vec<u8>,
    target: Arc<Target>,
    name: Vec<u8>,
}

impl FirstNames {
    /// The link to make for this name, or `None` if it is the first of its inode.
    pub(super) fn link(&mut self, root: &Arc<Target>, target: &Arc<Target>, node: &Node) -> Option<HardLink> {
        if node.links < 2 || node.inode == 0 {
            return None;
        }
        let key = (node.device_id, node.inode);
        let content = content(node);
        let Some(first) = self.0.get_mut(&key).filter(|first| first.content == content) else {
            let path = target.path(&node.name);
            self.0.insert(key, First { path, content, names_left: node.links - 1 });
            return None;
        };
        let path = first.path.clone();
        first.names_left -= 1;
        if first.names_left == 0 {
            self.0.remove(&key);
        }
        Some(HardLink {
            root: Arc::clone(root),
            first: path,
            target: Arc::clone(target),
            name: node.name.clone(),
        })
    }
}

/// A tree that was not captured in one go may give one inode two contents; then they are two files.
fn content(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    (node.size, node.blobs()).hash(&mut hasher);
    hasher.finish()
}

impl HardLink {
    pub(super) fn path(&self) -> String {
        self.target.show(&self.name)
    }

    pub(super) fn make(&self) -> Result<(), Errno> {
        let mut way = Vec::new();
        let mut names: Vec<&[u8]> = self.first.split(|&byte| byte == b'/').collect();
        let name = names.pop().ok_or(Errno::INVAL)?;
        for step in names {
            let dir = way.last().unwrap_or(self.root.dir()).dir(step)?;
            way.push(dir);
        }
        let dir = way.last().unwrap_or(self.root.dir());
        let first = dir.stat(name)?;
        let own = self.target.dir().stat(&self.name);
        if own.is_ok_and(|own| (own.st_dev, own.st_ino) == (first.st_dev, first.st_ino)) {
            return Ok(());
        }
        self.target
            .make(&self.name, |target| linkat(dir, name, target, self.name.as_slice(), AtFlags::empty()))
    }
}
