//! Reads trees, makes what has no content, and gathers files into batches.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use holdfast_model::Problem;
use holdfast_vault::{BlobId, BlobKind, Node, NodeKind, Reader, Tree};
use rustix::fs::{Mode, mknodat, symlinkat};
use rustix::io::Errno;
use tokio::runtime::Handle;

use super::Session;
use super::attributes::is_device;
use super::batch::{Batch, Leaving};
use super::existing::{self, Wanted};
use super::file::{self, OpenFiles, RestoredFile};
use super::links::FirstNames;
use super::target::Target;
use crate::error::{Error, Result};
use crate::files::MAX_DEPTH;

/// Stack of the walking thread: directories may be nested [`MAX_DEPTH`] deep.
pub(super) const STACK: usize = 64 << 20;

/// Trees are asked for so many at a time.
const LOOKAHEAD: usize = 64;

/// A walk under way.
pub(super) struct Walk {
    reader: Reader,
    runtime: Handle,
    session: Arc<Session>,
    root: Arc<Target>,
    batches: SyncSender<Batch>,
    batch: Batch,
    directories: usize,
    first_names: FirstNames,
}

impl Walk {
    pub(super) fn new(
        reader: Reader,
        runtime: Handle,
        session: Arc<Session>,
        root: Arc<Target>,
        batches: SyncSender<Batch>,
    ) -> Self {
        let directories = OpenFiles::directories();
        let (batch, first_names) = (Batch::default(), FirstNames::default());
        Self { reader, runtime, session, root, batches, batch, directories, first_names }
    }

    /// Walks everything below `tree`. `root_node` gives the root's own attributes.
    pub(super) fn run(mut self, tree: &BlobId, root_node: Option<&Node>) -> Result<()> {
        let root = Arc::clone(&self.root);
        let tree = self.runtime.block_on(self.reader.tree(tree))?;
        self.directory(&root, &tree, 0)?;
        if let Some(node) = root_node {
            self.session.progress.entry(0);
            self.batch.leave(Leaving { target: root, node: node.clone() });
        }
        self.hand_over()
    }

    fn directory(&mut self, target: &Arc<Target>, tree: &Arc<Tree>, depth: usize) -> Result<()> {
        let mut below = Vec::new();
        let mut names = Names::new(tree);
        for (position, node) in tree.nodes.iter().enumerate() {
            if self.session.stopped() {
                return Err(Error::Stopped);
            }
            if !names.is_new(node) {
                let problem =
                    Problem::new("file.duplicate", target.show(&node.name), "occurs twice in its directory");
                self.session.recorder.problem(problem.hint("the repository was written by a faulty program"));
            } else if node.kind == NodeKind::Dir {
                below.push(node);
            } else if let Err(error) = self.entry(target, tree, position)? {
                self.session.entry_failed(error, || target.show(&node.name))?;
            }
            if self.batch.is_full(self.directories) {
                self.hand_over()?;
            }
        }
        for group in below.chunks(LOOKAHEAD) {
            self.directories(target, group, depth)?;
        }
        Ok(())
    }

    fn directories(&mut self, above: &Arc<Target>, group: &[&Node], depth: usize) -> Result<()> {
        let ids: Vec<BlobId> = group.iter().filter_map(|node| node.subtree).collect();
        let mut trees = self.runtime.block_on(self.reader.trees(&ids)).into_iter();
        for node in group {
            let path = || above.show(&node.name);
            let target = match above.enter(&node.name) {
                Ok(target) => Arc::new(target),
                Err(error) => {
                    // Its tree was asked for all the same.
                    let _ = node.subtree.and_then(|_| trees.next());
                    self.session.entry_failed(error, path)?;
                    continue;
                }
            };
            self.batch.entered();
            self.session.progress.entry(0);
            match node.subtree.and_then(|_| trees.next()) {
                Some(Ok(tree)) if depth < MAX_DEPTH => self.directory(&target, &tree, depth + 1)?,
                Some(Ok(_)) => {
                    let message = format!("nested deeper than {MAX_DEPTH} directories");
                    self.session.recorder.problem(Problem::new("file.too_deep", path(), message));
                }
                Some(Err(error)) => {
                    let message = format!("its entries are not restored: {error}");
                    self.session.recorder.problem(Problem::new("file.damaged", path(), message));
                }
                None => {
                    let message = "a directory without entries, not even none";
                    self.session.recorder.problem(Problem::new("file.damaged", path(), message));
                }
            }
            self.batch.leave(Leaving { target, node: (*node).clone() });
        }
        Ok(())
    }

    /// Makes or gathers one entry that is not a directory. The inner error concerns it alone.
    fn entry(
        &mut self,
        target: &Arc<Target>,
        tree: &Arc<Tree>,
        position: usize,
    ) -> Result<Result<(), Errno>> {
        let node = &tree.nodes[position];
        if is_device(node) && !self.session.options.devices {
            let problem = Problem::new("file.device", target.show(&node.name), "a device file, not restored");
            self.session
                .recorder
                .problem(problem.hint("an administrator can allow devices for this restore"));
            return Ok(Ok(()));
        }
        let made = match node.kind {
            NodeKind::File => return self.file(target, tree, position),
            NodeKind::Symlink => self.symlink(target, node),
            NodeKind::Fifo | NodeKind::Device | NodeKind::CharDevice => self.special(target, node),
            NodeKind::Socket => {
                let reason = "a socket has no content; its owner makes it anew";
                self.session.recorder.excluded(target.show(&node.name), reason);
                return Ok(Ok(()));
            }
            NodeKind::Irregular | NodeKind::Dir => {
                let message = "is of a type that is not known here";
                let problem = Problem::new("file.unknown_type", target.show(&node.name), message);
                self.session.recorder.problem(problem);
                return Ok(Ok(()));
            }
        };
        if made.is_ok() {
            self.session.progress.entry(0);
        }
        Ok(made)
    }

    fn symlink(&self, target: &Target, node: &Node) -> Result<(), Errno> {
        let name = node.name.as_slice();
        target.make(name, |dir| symlinkat(node.link_target.as_slice(), dir, name))?;
        self.session.link_attributes(target, node)
    }

    fn special(&self, target: &Target, node: &Node) -> Result<(), Errno> {
        let name = node.name.as_slice();
        let kind = match node.kind {
            NodeKind::Fifo => rustix::fs::FileType::Fifo,
            NodeKind::CharDevice => rustix::fs::FileType::CharacterDevice,
            _ => rustix::fs::FileType::BlockDevice,
        };
        target.make(name, |dir| mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, node.device))?;
        self.session.special_attributes(target, node)
    }

    fn file(&mut self, target: &Arc<Target>, tree: &Arc<Tree>, position: usize) -> Result<Result<(), Errno>> {
        let node = &tree.nodes[position];
        if let Some(link) = self.first_names.link(&self.root, target, node) {
            self.session.progress.entry(0);
            self.batch.link(link);
            return Ok(Ok(()));
        }
        if node.blobs().is_empty() {
            let made = file::make_empty(&self.session, target, node);
            if made.is_ok() {
                self.session.progress.entry(0);
            }
            return Ok(made);
        }
        let (wanted, lengths, size) = self.layout(node);
        if size != node.size {
            let message = format!("is said to have {} bytes, but its content has {size}", node.size);
            let problem = Problem::new("file.size", target.show(&node.name), message);
            self.session.recorder.problem(problem.hint("the content was restored as it is stored"));
        }
        let found = if target.is_fresh() { None } else { existing::candidate(target, node) };
        let (wanted, in_place) = match &found {
            Some(fd) => (existing::missing(fd, wanted, &lengths, || self.session.stopped()), true),
            None => (wanted, false),
        };
        let blobs = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        let file = RestoredFile::new(target, tree, position, size, blobs);
        self.batch.file(if in_place { file.in_place() } else { file }, &wanted);
        Ok(Ok(()))
    }

    /// Offsets and lengths of a file's blobs and the sum of the lengths. The length of a blob that
    /// is in no index follows from the others and the file's size.
    fn layout(&self, node: &Node) -> (Wanted, Vec<u64>, u64) {
        let (mut wanted, mut lengths) = (Vec::new(), Vec::new());
        let known: Vec<Option<u64>> =
            node.blobs().iter().map(|id| self.reader.size_of(BlobKind::Data, id)).collect();
        let mut rest = node.size.saturating_sub(known.iter().flatten().sum());
        let mut offset = 0u64;
        for (id, length) in node.blobs().iter().zip(known) {
            // Of several unknown ones the first takes it all.
            let length = length.unwrap_or_else(|| std::mem::take(&mut rest));
            wanted.push((*id, offset));
            lengths.push(length);
            offset = offset.saturating_add(length);
        }
        (wanted, lengths, offset)
    }

    fn hand_over(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        // The receiver is gone only if it failed, and its error is the one to tell.
        self.batches.send(batch).map_err(|_| Error::Stopped)
    }
}

/// Finds names that occur twice; free where the directory is in order, as it must be.
struct Names<'t>(Option<HashSet<&'t [u8]>>);

impl<'t> Names<'t> {
    fn new(tree: &'t Tree) -> Self {
        let in_order = tree.nodes.is_sorted_by(|a, b| a.name < b.name);
        Self((!in_order).then(HashSet::new))
    }

    fn is_new(&mut self, node: &'t Node) -> bool {
        self.0.as_mut().is_none_or(|seen| seen.insert(&node.name))
    }
}
