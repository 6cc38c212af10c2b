//! Reads trees, makes directories, and gathers files into batches.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use holdfast_model::Problem;
use holdfast_vault::{BlobId, Error as VaultError, Node, NodeKind, Reader, Tree};
use rustix::io::Errno;
use tokio::runtime::Handle;

use super::batch::{Batch, Leaving};
use super::file::OpenFiles;
use super::ground::{self, Ground, Known};
use super::links::FirstNames;
use super::names::{LOOKAHEAD, Names};
use super::siblings::Siblings;
use super::spared::LOST_FOUND;
use super::staged;
use super::target::Target;
use super::{Plan, Session};
use crate::error::{Error, Result};
use crate::files::MAX_DEPTH;

/// Stack of the walking thread: directories may be nested [`MAX_DEPTH`] deep.
pub(super) const STACK: usize = 64 << 20;

/// A walk under way.
pub(super) struct Walk {
    pub(super) reader: Reader,
    pub(super) runtime: Handle,
    pub(super) session: Arc<Session>,
    /// The target's root, whatever directory below it is restored into.
    pub(super) root: Arc<Target>,
    batches: SyncSender<Batch>,
    pub(super) batch: Batch,
    directories: usize,
    pub(super) first_names: FirstNames,
    /// The trees of a walk by difference, until names were looked for that it does not come by.
    differing: Option<Differing>,
}

/// A tree that goes to a directory which holds another.
struct Differing {
    tree: BlobId,
    base: BlobId,
    target: Arc<Target>,
}

/// A directory and what is to come to be in it.
pub(super) struct Visit {
    pub(super) names: Names,
    pub(super) ground: Ground,
    pub(super) depth: usize,
}

impl Visit {
    pub(super) fn node(&self, position: usize) -> &Node {
        self.names.node(position)
    }
}

/// A directory that is entered next: its node, what is there, and what the target holds of it.
struct Next<'v> {
    node: &'v Node,
    known: Known<'v>,
    tree: Option<Result<Arc<Tree>, VaultError>>,
    base: Option<Arc<Tree>>,
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
        Self { reader, runtime, session, root, batches, batch, directories, first_names, differing: None }
    }

    /// Walks everything of the plan that goes into `target`.
    pub(super) fn run(mut self, plan: &Plan, target: &Arc<Target>) -> Result<()> {
        let tree = self.runtime.block_on(self.reader.tree(&plan.tree))?;
        if self.session.options.select.is_some() {
            self.search(target, tree)?;
            return self.hand_over();
        }
        let base = match &plan.base {
            // Without it everything is compared, which is slow but right.
            Some(base) => self.runtime.block_on(self.reader.tree(base)).ok(),
            None => None,
        };
        if let (Some(id), Some(_)) = (plan.base, &base) {
            self.differing = Some(Differing { tree: plan.tree, base: id, target: Arc::clone(target) });
        }
        let ground = self.ground(target, base).map_err(|error| self.session.fatal(error))?;
        let visit = Visit { ground, names: Names::new(&tree), depth: 0 };
        let extras = self.directory(target, &visit)?;
        if plan.node.is_some() {
            self.session.progress.entry(0);
        }
        self.batch.leave(Leaving { target: Arc::clone(target), node: plan.node.clone(), extras });
        self.hand_over()
    }

    /// What is known of a directory that was entered, of which the target may be known to hold `base`.
    pub(super) fn ground(&self, target: &Target, base: Option<Arc<Tree>>) -> Result<Ground, Errno> {
        if target.is_fresh() {
            return Ok(Ground::Empty);
        }
        if let Some(base) = base {
            return Ok(Ground::Holds(Names::new(&base)));
        }
        if !self.session.is_in_place() {
            return Ok(Ground::Unseen);
        }
        target.dir().entries().map(Ground::Listed)
    }

    /// Restores everything in a directory. What is returned is to be removed from it at the end.
    fn directory(&mut self, target: &Arc<Target>, visit: &Visit) -> Result<Vec<Vec<u8>>> {
        self.entries(target, visit, 0..visit.names.len())?;
        let extras = visit.ground.extras(&visit.names);
        Ok(extras.filter(|name| self.session.is_to_go(target, name)).map(<[u8]>::to_vec).collect())
    }

    /// Restores the entries of a directory at these positions, with all below them.
    pub(super) fn entries(
        &mut self,
        target: &Arc<Target>,
        visit: &Visit,
        positions: impl Iterator<Item = usize>,
    ) -> Result<()> {
        let mut below = Vec::new();
        for position in positions {
            if self.session.stopped() {
                return Err(Error::Stopped);
            }
            let node = visit.node(position);
            if !visit.names.is_first(position) {
                let problem =
                    Problem::new("file.duplicate", target.show(&node.name), "occurs twice in its directory");
                self.session.recorder.problem(problem.hint("the repository was written by a faulty program"));
            } else if node.kind == NodeKind::Dir {
                below.push(position);
            } else {
                self.entry(target, visit, position)?;
            }
            if self.batch.is_full(self.directories) {
                self.hand_over()?;
            }
        }
        below.chunks(LOOKAHEAD).try_for_each(|group| self.directories(target, visit, group))
    }

    /// Restores one entry that is not a directory, unless it is known to be there as it should be.
    fn entry(&mut self, target: &Arc<Target>, visit: &Visit, position: usize) -> Result<()> {
        let node = visit.node(position);
        let done = match visit.ground.known(target, &node.name) {
            Ok(Known::Held(base)) if ground::is_same(base, node) => return Ok(()),
            Ok(known) => {
                self.clear_up(target, visit, node);
                self.bring(target, visit, position, known)?
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            target.lacks();
            self.session.entry_failed(error, || target.show(&node.name))?;
        }
        Ok(())
    }

    /// Has what a run that was cut short made to take the entry's place removed, unless it is used now.
    /// Where a directory is listed, it is among the extras.
    fn clear_up(&mut self, target: &Arc<Target>, visit: &Visit, node: &Node) {
        if !matches!(visit.ground, Ground::Holds(_)) {
            return;
        }
        let name = staged::name_for(&node.name, &visit.names);
        if target.dir().stat(&name).is_ok() {
            self.batch.leftover(target, name);
        }
    }

    /// Looks once for the names of inodes that a walk by difference passes over.
    pub(super) fn find_siblings(&mut self) {
        let Some(Differing { tree, base, target }) = self.differing.take() else { return };
        let stopped = || self.session.stopped();
        let siblings = Siblings { reader: &self.reader, runtime: &self.runtime, stopped: &stopped };
        let found = siblings.find(tree, base);
        self.first_names.stand(&target, found.siblings);
        if let Some(path) = found.unread {
            let message = "cannot be read, and may have names of files that have new ones elsewhere: those \
                           may have become files of their own";
            self.session.recorder.problem(Problem::new("file.damaged", target.show(&path), message));
        }
    }

    fn directories(&mut self, above: &Arc<Target>, visit: &Visit, group: &[usize]) -> Result<()> {
        let mut next = Vec::new();
        for &position in group {
            let node = visit.node(position);
            match visit.ground.known(above, &node.name) {
                Ok(Known::Held(base)) if ground::is_same(base, node) => {}
                Ok(known) if self.is_lost_found(above, node, &known) => {}
                Ok(known) => next.push(Next { node, known, tree: None, base: None }),
                Err(error) => {
                    above.lacks();
                    self.session.entry_failed(error, || above.show(&node.name))?;
                }
            }
        }
        self.fetch(&mut next);
        next.into_iter().try_for_each(|next| self.descend(above, next, visit.depth + 1))
    }

    /// Fetches the trees of the directories that are entered next.
    fn fetch(&self, next: &mut [Next<'_>]) {
        let wanted: Vec<BlobId> = next.iter().filter_map(|next| next.node.subtree).collect();
        let held: Vec<BlobId> = next.iter().filter_map(Next::held).collect();
        let mut trees = self.runtime.block_on(self.reader.trees(&wanted)).into_iter();
        let mut bases = self.runtime.block_on(self.reader.trees(&held)).into_iter();
        for next in next {
            next.tree = next.node.subtree.and_then(|_| trees.next());
            next.base = next.held().and_then(|_| bases.next()).and_then(std::result::Result::ok);
        }
    }

    fn descend(&mut self, above: &Arc<Target>, next: Next<'_>, depth: usize) -> Result<()> {
        let Next { node, known, tree, base } = next;
        let tree = self.readable(tree, || above.show(&node.name), depth);
        if tree.is_none() && self.session.is_in_place() {
            // What is there makes way only for what can be had.
            above.lacks();
            return Ok(());
        }
        let entered = match known.is_directory() {
            true => above.reenter(&node.name),
            false => above.enter(&node.name),
        };
        let target = match entered {
            Ok(target) => Arc::new(target),
            Err(Errno::XDEV) if tree.as_ref().is_some_and(|tree| tree.nodes.is_empty()) => {
                let reason = "another file system is mounted here; it is left as it is";
                self.session.recorder.excluded(above.show(&node.name), reason);
                return Ok(());
            }
            Err(error) => {
                above.lacks();
                return self.session.entry_failed(error, || above.show(&node.name));
            }
        };
        if target.is_fresh() {
            self.session.has_changed();
        }
        self.batch.entered();
        self.session.progress.entry(0);
        let extras = match (tree, self.ground(&target, base)) {
            (Some(tree), Ok(ground)) => {
                self.directory(&target, &Visit { ground, names: Names::new(&tree), depth })?
            }
            (None, _) => Vec::new(),
            (Some(_), Err(error)) => {
                target.lacks();
                self.session.entry_failed(error, || target.to_string())?;
                Vec::new()
            }
        };
        self.batch.leave(Leaving { target, node: Some(node.clone()), extras });
        Ok(())
    }

    /// A directory's tree; what keeps it from being read is recorded.
    pub(super) fn readable(
        &self,
        tree: Option<Result<Arc<Tree>, VaultError>>,
        path: impl Fn() -> String,
        depth: usize,
    ) -> Option<Arc<Tree>> {
        let problem = match tree {
            Some(Ok(tree)) if depth <= MAX_DEPTH => return Some(tree),
            Some(Ok(_)) => {
                let message = format!("nested deeper than {MAX_DEPTH} directories");
                Problem::new("file.too_deep", path(), message)
            }
            Some(Err(error)) => {
                let message = format!("its entries are not restored: {error}");
                Problem::new("file.damaged", path(), message)
            }
            None => Problem::new("file.damaged", path(), "a directory without entries, not even none"),
        };
        self.session.recorder.problem(problem);
        None
    }

    /// Whether it is the directory for fsck that the target's own file system has.
    fn is_lost_found(&self, above: &Target, node: &Node, known: &Known<'_>) -> bool {
        let is_there = matches!(known, Known::Present(_) | Known::Held(_));
        is_there && above.is_root() && node.name == LOST_FOUND
    }

    pub(super) fn hand_over(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        // The receiver is gone only if it failed, and its error is the one to tell.
        self.batches.send(batch).map_err(|_| Error::Stopped)
    }
}

impl Next<'_> {
    /// The tree that the target is known to hold there.
    fn held(&self) -> Option<BlobId> {
        match self.known {
            Known::Held(base) if base.kind == NodeKind::Dir => base.subtree,
            _ => None,
        }
    }
}
