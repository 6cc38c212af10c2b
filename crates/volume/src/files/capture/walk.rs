//! Walks directories and stores their trees.

use std::sync::{Mutex, PoisonError};

use holdfast_model::hook::LatePath;
use holdfast_vault::{BlobId, BlobKind, Node, NodeKind, Tree, Writer};
use rayon::prelude::*;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::Gate;
use super::exclude::Excludes;
use super::late::{self, LatePlan, Names, OpenDirs};
use super::links::HardLinks;
use super::parent::{ParentDir, ParentTree};
use crate::error::{Error, Result};
use crate::files::beneath::{Dir, Entries};
use crate::files::place::Place;
use crate::files::{MAX_DEPTH, Progress, stat, xattr};
use crate::findings::{Findings, Recorder};

/// A capture under way.
pub(super) struct Walk<'a> {
    pub(super) writer: &'a Writer,
    pub(super) parent: Option<&'a ParentTree>,
    excludes: Excludes,
    gate: &'a dyn Gate,
    pub(super) progress: &'a Progress,
    pub(super) recorder: Recorder,
    pub(super) links: HardLinks,
    open: Mutex<OpenDirs>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// What became of one entry.
pub(super) enum Slot {
    /// Nothing is stored.
    Nothing,
    /// The parent directory's node at this position, unchanged.
    Same(usize),
    /// A new node.
    New(Box<Node>),
    /// A directory, not walked yet.
    Directory,
}

/// A directory whose entries are done.
enum Subtree {
    Stored(BlobId),
    /// It waits for a late path.
    Open,
}

/// What is known of a directory before its entries are looked at.
struct Visit<'a> {
    dir: &'a Dir,
    place: &'a Place<'a>,
    parent: Option<&'a ParentDir>,
    late: Option<&'a LatePlan>,
}

/// Directories of the parent snapshot are asked for so many at a time.
const LOOKAHEAD: usize = 64;

impl<'a> Walk<'a> {
    pub(super) fn new(
        writer: &'a Writer,
        parent: Option<&'a ParentTree>,
        excludes: Excludes,
        gate: &'a dyn Gate,
        progress: &'a Progress,
    ) -> Self {
        Self {
            writer,
            parent,
            excludes,
            gate,
            progress,
            recorder: Recorder::default(),
            links: HardLinks::default(),
            open: Mutex::default(),
            buffers: Mutex::default(),
        }
    }

    pub(super) fn into_findings(self) -> Findings {
        self.recorder.into_findings()
    }

    /// Captures everything below the root and returns the root's tree.
    pub(super) fn volume(&self, root: &Dir, plan: Option<&LatePlan>, late: &[LatePath]) -> Result<BlobId> {
        let parent = self.parent.and_then(ParentTree::root);
        let visit = Visit { dir: root, place: &Place::ROOT, parent: parent.as_ref(), late: plan };
        if let Subtree::Stored(tree) = self.directory(&visit)? {
            return Ok(tree);
        }
        self.gate.late()?;
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for path in late {
            if let Some(node) = self.late_path(root, parent.as_ref(), path)? {
                open.graft(&late::destination(path), node);
            }
        }
        match open.close(self.writer)? {
            Some(tree) => Ok(tree),
            None => Ok(self.writer.tree(&Tree::default())?),
        }
    }

    /// Walks from the root to one late path and captures what is there now.
    fn late_path(&self, root: &Dir, parent: Option<&ParentDir>, path: &LatePath) -> Result<Option<Node>> {
        let names = late::names(&path.path);
        let Some((name, above)) = names.split_last() else { return Ok(None) };
        let missing = |error: Errno| {
            let message = format!("this late path cannot be read: {}", std::io::Error::from(error));
            self.recorder.problem(
                Place::ROOT
                    .entry(path.path.as_bytes())
                    .problem("volume.late_missing", message)
                    .hint("check the hook's late paths against the volume"),
            );
            Ok(None)
        };
        let mut way = Vec::new();
        let mut parent = parent.cloned();
        for step in above {
            let at = way.last().unwrap_or(root);
            match at.dir(step) {
                Ok(dir) => way.push(dir),
                Err(error) => return missing(error),
            }
            parent = parent.as_ref().and_then(|dir| self.parent_below(dir, step));
        }
        let dir = way.last().unwrap_or(root);
        let now = match dir.stat(name) {
            Ok(now) => now,
            Err(error) => return missing(error),
        };
        let place = Place::ROOT.entry(path.path.as_bytes());
        let visit = Visit { dir, place: &place, parent: parent.as_ref(), late: None };
        self.late_entry(&visit, name, &now)
    }

    fn late_entry(&self, visit: &Visit<'_>, name: &[u8], now: &Stat) -> Result<Option<Node>> {
        let slot = match stat::kind(now) {
            NodeKind::Dir => {
                let parent = visit.parent.and_then(|dir| self.parent_below(dir, name));
                self.subdirectory(visit, visit.place, name, parent.as_ref(), None)?
            }
            _ => self.entry(visit.dir, visit.place, name, FileType::Unknown, visit.parent)?,
        };
        Ok(match slot {
            Slot::New(node) => Some(*node),
            Slot::Same(at) => visit.parent.map(|dir| dir.tree.nodes[at].clone()),
            Slot::Nothing | Slot::Directory => None,
        })
    }

    fn parent_below(&self, dir: &ParentDir, name: &[u8]) -> Option<ParentDir> {
        let subtree = dir.tree.nodes[dir.position(name)?].subtree;
        self.parent?.directories(&[subtree]).pop().flatten()
    }

    fn directory(&self, visit: &Visit<'_>) -> Result<Subtree> {
        let entries = match visit.dir.entries() {
            Ok(entries) => entries,
            Err(error) => {
                self.unreadable(visit.place, error);
                return Ok(Subtree::Stored(self.writer.tree(&Tree::default())?));
            }
        };
        let mut slots = (0..entries.len())
            .into_par_iter()
            .with_min_len(32)
            .map(|at| self.visit(visit, &entries, at))
            .collect::<Result<Vec<Slot>>>()?;
        self.subdirectories(visit, &entries, &mut slots)?;
        self.store(visit, slots)
    }

    /// One entry, unless it is a directory: those come when all files here are done, so that a
    /// wide tree does not hold the descriptors of all its levels' files.
    fn visit(&self, visit: &Visit<'_>, entries: &Entries, at: usize) -> Result<Slot> {
        if self.gate.stopped() {
            return Err(Error::Stopped);
        }
        let (name, kind) = entries.get(at);
        let place = visit.place.entry(name);
        if visit.late.and_then(|plan| plan.entry(name)).is_some_and(|plan| plan.is_late) {
            return Ok(Slot::Nothing);
        }
        if self.excludes.matches(&place) {
            self.recorder.excluded(place.to_string(), "left out by an exclude pattern");
            return Ok(Slot::Nothing);
        }
        if kind == FileType::Directory {
            return Ok(Slot::Directory);
        }
        self.entry(visit.dir, &place, name, kind, visit.parent)
    }

    fn subdirectories(&self, visit: &Visit<'_>, entries: &Entries, slots: &mut [Slot]) -> Result<()> {
        let open: Vec<usize> = (0..slots.len()).filter(|&at| matches!(slots[at], Slot::Directory)).collect();
        for group in open.chunks(LOOKAHEAD) {
            let parents = self.parents_of(visit, entries, group);
            let done = group
                .par_iter()
                .zip(parents)
                .map(|(&at, parent)| {
                    let (name, _) = entries.get(at);
                    let place = visit.place.entry(name);
                    let late = visit.late.and_then(|plan| plan.entry(name));
                    Ok((at, self.subdirectory(visit, &place, name, parent.as_ref(), late)?))
                })
                .collect::<Result<Vec<_>>>()?;
            for (at, slot) in done {
                slots[at] = slot;
            }
        }
        Ok(())
    }

    fn parents_of(&self, visit: &Visit<'_>, entries: &Entries, group: &[usize]) -> Vec<Option<ParentDir>> {
        let (Some(trees), Some(parent)) = (self.parent, visit.parent) else { return vec![None; group.len()] };
        let subtree = |&at: &usize| parent.tree.nodes[parent.position(entries.get(at).0)?].subtree;
        trees.directories(&group.iter().map(subtree).collect::<Vec<_>>())
    }

    fn subdirectory(
        &self,
        above: &Visit<'_>,
        place: &Place<'_>,
        name: &[u8],
        parent: Option<&ParentDir>,
        late: Option<&LatePlan>,
    ) -> Result<Slot> {
        if place.depth() > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} directories");
            self.recorder.problem(place.problem("file.too_deep", message));
            return Ok(Slot::Nothing);
        }
        let dir = match above.dir.dir(name) {
            Ok(dir) => dir,
            Err(Errno::XDEV) => return self.mount_point(above, place, name),
            Err(error) => return Ok(self.lost(place, error)),
        };
        let now = match dir.stat_self() {
            Ok(now) => now,
            Err(error) => return Ok(self.lost(place, error)),
        };
        let subtree = self.directory(&Visit { dir: &dir, place, parent, late })?;
        self.progress.entry(0);
        let known = above.parent.and_then(|above| above.position(name).map(|at| (at, &above.tree.nodes[at])));
        let current = known.filter(|(_, node)| self.is_current(node, &now));
        if let (Subtree::Stored(tree), Some((at, node))) = (&subtree, current)
            && node.subtree == Some(*tree)
        {
            return Ok(Slot::Same(at));
        }
        let mut node = stat::node(name, &now);
        node.extended_attributes = match current {
            Some((_, known)) => known.extended_attributes.clone(),
            None => xattr::of_open(&dir).unwrap_or_else(|error| self.no_attributes(place, error)),
        };
        node.subtree = match subtree {
            Subtree::Stored(tree) => Some(tree),
            Subtree::Open => None,
        };
        Ok(Slot::New(Box::new(node)))
    }

    /// Another file system is mounted here: it is not part of the volume.
    fn mount_point(&self, above: &Visit<'_>, place: &Place<'_>, name: &[u8]) -> Result<Slot> {
        self.recorder.excluded(place.to_string(), "another file system is mounted here");
        let now = match above.dir.stat(name) {
            Ok(now) => now,
            Err(error) => return Ok(self.lost(place, error)),
        };
        let mut node = stat::node(name, &now);
        node.subtree = Some(self.writer.tree(&Tree::default())?);
        self.progress.entry(0);
        Ok(Slot::New(Box::new(node)))
    }

    /// Stores the directory's tree, or keeps its entries if it waits for a late path.
    fn store(&self, visit: &Visit<'_>, slots: Vec<Slot>) -> Result<Subtree> {
        let stays_open = visit.late.is_some_and(|plan| plan.stays_open);
        if let Some(parent) = visit.parent.filter(|_| !stays_open)
            && slots.len() == parent.tree.nodes.len()
            && slots.iter().all(|slot| matches!(slot, Slot::Same(_)))
            && self.writer.has(BlobKind::Tree, &parent.id)
        {
            return Ok(Subtree::Stored(parent.id));
        }
        let known = |at: usize| visit.parent.map(|parent| parent.tree.nodes[at].clone());
        let nodes = slots
            .into_iter()
            .filter_map(|slot| match slot {
                Slot::New(node) => Some(*node),
                Slot::Same(at) => known(at),
                Slot::Nothing | Slot::Directory => None,
            })
            .collect();
        if stays_open {
            let at: Names = visit.place.components().into_iter().map(<[u8]>::to_vec).collect();
            self.open.lock().unwrap_or_else(PoisonError::into_inner).keep(at, nodes);
            return Ok(Subtree::Open);
        }
        Ok(Subtree::Stored(self.writer.tree(&Tree { nodes })?))
    }

    /// Whether the parent's node still describes the entry and all it refers to is in the vault.
    pub(super) fn is_current(&self, node: &Node, now: &Stat) -> bool {
        self.parent.is_some_and(|parent| parent.is_current(node, now))
    }

    /// Lends a buffer to `read` for as long as that takes.
    pub(super) fn with_buffer<T>(&self, read: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = kept.unwrap_or_default();
        let result = read(&mut buffer);
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        result
    }
}
