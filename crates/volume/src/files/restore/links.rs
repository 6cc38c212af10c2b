//! Hard links: the first name of an inode is restored as a file, the others are linked to it.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_model::Problem;
use holdfast_vault::Node;
use rustix::fs::{AtFlags, Stat, linkat};
use rustix::io::Errno;

use super::Session;
use super::inode::Inode;
use super::siblings::Sibling;
use super::target::Target;

/// First names of inodes whose other names have not all been met.
#[derive(Default)]
pub(super) struct FirstNames {
    met: HashMap<Inode, Met>,
    /// Inodes of the target that a first name has kept: no other may keep the same.
    kept: HashSet<(u64, u64)>,
}

struct Met {
    first: Arc<FirstName>,
    content: u64,
    names_left: u64,
}

/// The name of an inode that is restored as a file.
pub(super) struct FirstName {
    path: Vec<u8>,
    failed: AtomicBool,
}

/// What a name is to its inode.
pub(super) enum Name {
    /// The only one.
    Only,
    /// The first of several.
    First(Arc<FirstName>),
    /// A further one.
    Further(HardLink),
}

/// A name that is to be linked to another when that one's file is complete.
pub(super) struct HardLink {
    root: Arc<Target>,
    first: Arc<FirstName>,
    target: Arc<Target>,
    name: Vec<u8>,
    /// Where the link is made before it takes the place of what is there.
    staged: Vec<u8>,
}

impl FirstNames {
    /// What the node's name is to its inode. `staged` is a free name beside it.
    pub(super) fn name(
        &mut self,
        root: &Arc<Target>,
        target: &Arc<Target>,
        node: &Node,
        staged: impl FnOnce() -> Vec<u8>,
    ) -> Name {
        let Some(key) = Inode::shared(node) else { return Name::Only };
        let content = content(node);
        let Some(met) = self.met.get_mut(&key).filter(|met| met.content == content) else {
            let first = FirstName { path: target.path(&node.name), failed: AtomicBool::new(false) };
            let first = Arc::new(first);
            self.met.insert(key, Met { first: Arc::clone(&first), content, names_left: node.links - 1 });
            return Name::First(first);
        };
        let first = Arc::clone(&met.first);
        met.names_left -= 1;
        if met.names_left == 0 {
            self.met.remove(&key);
        }
        let (root, target) = (Arc::clone(root), Arc::clone(target));
        Name::Further(HardLink { root, first, target, name: node.name.clone(), staged: staged() })
    }

    /// Notes names below `target` that are there and stay, so that others are linked to them.
    pub(super) fn stand(&mut self, target: &Target, siblings: Vec<Sibling>) {
        for Sibling { path, node, differing } in siblings {
            let Some(inode) = Inode::shared(&node) else { continue };
            let first = Arc::new(FirstName { path: target.path(&path), failed: AtomicBool::new(false) });
            self.met.insert(inode, Met { first, content: content(&node), names_left: differing });
        }
    }

    /// Whether a first name may go on with the inode that it has in the target.
    pub(super) fn may_keep(&mut self, found: &Stat) -> bool {
        self.kept.insert((found.st_dev, found.st_ino))
    }
}

impl FirstName {
    /// Notes that its file is not as it should be.
    pub(super) fn failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
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

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn make(&self, session: &Session) -> Result<(), Errno> {
        let mut way = Vec::new();
        let mut names: Vec<&[u8]> = self.first.path.split(|&byte| byte == b'/').collect();
        let name = names.pop().ok_or(Errno::INVAL)?;
        for step in names {
            let dir = way.last().unwrap_or(self.root.dir()).dir(step)?;
            way.push(dir);
        }
        let dir = way.last().unwrap_or(self.root.dir());
        let own = self.target.dir().stat(&self.name);
        if own.is_ok() && session.is_in_place() && self.first.failed.load(Ordering::Relaxed) {
            self.left_as_it_is(session);
            return Ok(());
        }
        let first = dir.stat(name)?;
        if own.is_ok_and(|own| (own.st_dev, own.st_ino) == (first.st_dev, first.st_ino)) {
            return Ok(());
        }
        let link = |as_name: &[u8]| {
            self.target.make(as_name, |target| linkat(dir, name, target, as_name, AtFlags::empty()))
        };
        if own.is_ok() && session.is_in_place() {
            link(&self.staged)?;
            session.replace(&self.target, &self.staged, &self.name)?;
        } else {
            link(&self.name)?;
        }
        session.has_changed();
        Ok(())
    }

    /// What there is of it is better than a link to a file that is not what it should be.
    fn left_as_it_is(&self, session: &Session) {
        self.target.lacks();
        let first = String::from_utf8_lossy(&self.first.path);
        let message =
            format!("left as it was: {first}, of which it is a further name, could not be restored");
        session.recorder.problem(Problem::new("file.not_restored", self.path(), message));
    }
}
