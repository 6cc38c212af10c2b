//! Reads back what was restored and compares it with the snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_vault::{BlobId, Node, NodeKind, Reader, Tree};
use rayon::prelude::*;
use rustix::fs::{self, Advice};
use rustix::io::Errno;
use tokio::runtime::Handle;

use super::attributes::is_device;
use super::existing::Layout;
use super::ground;
use super::names::{LOOKAHEAD, Names};
use super::spared::LOST_FOUND;
use super::{Plan, Session, Verify};
use crate::error::{Error, Result};
use crate::files::beneath::Dir;
use crate::files::place::Place;
use crate::files::select::Chosen;
use crate::files::{MAX_DEPTH, stat};
use crate::restored::Verified;

/// A verification under way.
pub(super) struct Verification<'a> {
    reader: &'a Reader,
    runtime: &'a Handle,
    session: &'a Session,
    entries: AtomicU64,
    bytes: AtomicU64,
    different: AtomicU64,
}

/// A directory of the target and what should be in it.
struct Visit<'v> {
    dir: &'v Dir,
    place: &'v Place<'v>,
    names: Names,
    /// What need not be looked at, because the target is known to hold it.
    base: Option<Names>,
}

impl<'a> Verification<'a> {
    pub(super) fn new(reader: &'a Reader, runtime: &'a Handle, session: &'a Session) -> Self {
        let [entries, bytes, different] = [0; 3].map(AtomicU64::new);
        Self { reader, runtime, session, entries, bytes, different }
    }

    /// Verifies what the plan has put into `dir`.
    pub(super) fn run(self, plan: &Plan, dir: &Dir) -> Result<Verified> {
        let tree = self.runtime.block_on(self.reader.tree(&plan.tree))?;
        let base = match (self.session.options.verify, plan.base) {
            (Verify::Touched, Some(base)) => self.runtime.block_on(self.reader.tree(&base)).ok(),
            _ => None,
        };
        let base = base.map(|tree| Names::new(&tree));
        self.directory(&Visit { dir, place: &Place::ROOT, names: Names::new(&tree), base })?;
        let [entries, bytes, different] =
            [self.entries, self.bytes, self.different].map(AtomicU64::into_inner);
        Ok(Verified { entries, bytes, different })
    }

    fn directory(&self, visit: &Visit<'_>) -> Result<()> {
        let wanted: Vec<(&Node, Chosen)> = visit
            .names
            .nodes()
            .iter()
            .enumerate()
            .filter(|(position, node)| visit.names.is_first(*position) && !self.is_known(visit, node))
            .map(|(_, node)| (node, self.chosen(visit, node)))
            .filter(|(_, chosen)| *chosen != Chosen::No)
            .collect();
        let (below, entries): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|(node, _)| node.kind == NodeKind::Dir);
        entries.par_iter().filter(|(_, chosen)| *chosen == Chosen::All).try_for_each(|(node, _)| {
            self.entry(visit, node);
            if self.session.stopped() { Err(Error::Stopped) } else { Ok(()) }
        })?;
        for group in below.chunks(LOOKAHEAD) {
            self.directories(visit, group)?;
        }
        Ok(())
    }

    fn directories(&self, visit: &Visit<'_>, group: &[(&Node, Chosen)]) -> Result<()> {
        let base = |node: &Node| visit.base.as_ref().and_then(|base| base.get(&node.name)?.subtree);
        let wanted: Vec<BlobId> = group.iter().filter_map(|(node, _)| node.subtree).collect();
        let held: Vec<BlobId> = group.iter().filter_map(|(node, _)| base(node)).collect();
        let mut trees = self.runtime.block_on(self.reader.trees(&wanted)).into_iter();
        let mut bases = self.runtime.block_on(self.reader.trees(&held)).into_iter();
        for (node, chosen) in group {
            let place = visit.place.entry(&node.name);
            let tree = node.subtree.and_then(|_| trees.next()).and_then(std::result::Result::ok);
            let base = base(node).and_then(|_| bases.next()).and_then(std::result::Result::ok);
            // One that could not be read has been named by the restore.
            let Some(tree) = tree.filter(|_| place.depth() <= MAX_DEPTH) else { continue };
            self.descend(visit, &place, (node, *chosen), &tree, base)?;
        }
        Ok(())
    }

    fn descend(
        &self,
        above: &Visit<'_>,
        place: &Place<'_>,
        (node, chosen): (&Node, Chosen),
        tree: &Arc<Tree>,
        base: Option<Arc<Tree>>,
    ) -> Result<()> {
        match above.dir.dir(&node.name) {
            Ok(dir) => {
                if chosen == Chosen::All {
                    self.entries.fetch_add(1, Ordering::Relaxed);
                }
                let (names, base) = (Names::new(tree), base.map(|base| Names::new(&base)));
                self.directory(&Visit { dir: &dir, place, names, base })
            }
            // It is only a way, or another file system's, which is not the volume's.
            Err(_) if chosen == Chosen::Through => Ok(()),
            Err(Errno::XDEV) if tree.nodes.is_empty() => Ok(()),
            Err(error) => {
                self.differs(place, &format!("is not the directory that it should be: {}", said(error)));
                Ok(())
            }
        }
    }

    fn is_known(&self, visit: &Visit<'_>, node: &Node) -> bool {
        let is_held = |base: &Names| base.get(&node.name).is_some_and(|held| ground::is_same(held, node));
        let is_lost_found = visit.place.depth() == 0 && node.name == LOST_FOUND;
        let is_left_out = is_device(node) && !self.session.options.devices;
        let is_nothing = matches!(node.kind, NodeKind::Socket | NodeKind::Irregular);
        is_lost_found || is_left_out || is_nothing || visit.base.as_ref().is_some_and(is_held)
    }

    fn chosen(&self, visit: &Visit<'_>, node: &Node) -> Chosen {
        match &self.session.options.select {
            Some(selection) => selection.of(&visit.place.entry(&node.name).path()),
            None => Chosen::All,
        }
    }

    fn entry(&self, visit: &Visit<'_>, node: &Node) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        let place = visit.place.entry(&node.name);
        let found = match node.kind {
            NodeKind::File => self.file(visit.dir, node),
            NodeKind::Symlink => match visit.dir.read_link(&node.name) {
                Ok(target) if target == node.link_target => Ok(()),
                Ok(_) => Err("leads elsewhere".to_owned()),
                Err(error) => Err(format!("is not the symbolic link that it should be: {}", said(error))),
            },
            _ => match visit.dir.stat(&node.name) {
                Ok(found) if stat::kind(&found) == node.kind => Ok(()),
                Ok(_) => Err(format!("is no {}", node.kind.as_str())),
                Err(error) => Err(said(error)),
            },
        };
        if let Err(reason) = found {
            self.differs(&place, &reason);
        }
    }

    /// Reads a file from its storage: what of it is in memory is dropped first.
    fn file(&self, dir: &Dir, node: &Node) -> std::result::Result<(), String> {
        let cannot = |error: Errno| format!("cannot be read: {}", said(error));
        let fd = dir.file(&node.name).map_err(cannot)?;
        let found = fs::fstat(&fd).map_err(cannot)?;
        if stat::kind(&found) != NodeKind::File {
            return Err("is not the file that it should be".to_owned());
        }
        // Pages that somebody else has mapped may stay; there is no way to drop those.
        let _ = fs::fadvise(&fd, 0, None, Advice::DontNeed);
        let layout = Layout::of(self.reader, node);
        if stat::size(&found) != layout.size {
            return Err(format!("has {} bytes instead of {}", stat::size(&found), layout.size));
        }
        self.bytes.fetch_add(layout.size, Ordering::Relaxed);
        match layout.missing(&fd, || self.session.stopped()).first() {
            None => Ok(()),
            Some((_, offset)) => Err(format!("has other content, first at byte {offset}")),
        }
    }

    fn differs(&self, place: &Place<'_>, reason: &str) {
        self.different.fetch_add(1, Ordering::Relaxed);
        let message = format!("read back after the restore, it {reason}");
        let hint = "restore again; if it stays so, see the health of the storage and who else writes to it";
        self.session.recorder.problem(place.problem("file.differs", message).hint(hint));
    }
}

fn said(error: Errno) -> String {
    std::io::Error::from(error).to_string()
}
