//! Decides for a regular file what of it is kept, what is written in place, and what is made anew.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use holdfast_model::Problem;
use holdfast_vault::{BlobId, Node, NodeKind};
use rustix::fs::{self, Stat};
use rustix::io::Errno;

use super::existing::{self, Layout, Wanted};
use super::file::{self, RestoredFile};
use super::ground::{self, Known};
use super::links::{FirstName, Name};
use super::staged;
use super::target::Target;
use super::walk::{Visit, Walk};
use crate::error::Result;
use crate::files::stat;

/// A file on its way into a batch.
struct Coming<'v> {
    target: &'v Arc<Target>,
    visit: &'v Visit,
    position: usize,
    first: Option<Arc<FirstName>>,
}

impl Coming<'_> {
    fn node(&self) -> &Node {
        self.visit.node(self.position)
    }

    /// Where it is made while something else is in its place.
    fn staged_name(&self) -> Vec<u8> {
        staged::name_for(&self.node().name, &self.visit.names)
    }

    fn restored(&self, layout: &Layout, wanted: &[(BlobId, u64)]) -> RestoredFile {
        let tree = self.visit.names.tree();
        RestoredFile::new(self.target, tree, self.position, layout.size, wanted.len())
            .first_of(self.first.clone())
    }
}

impl Walk {
    /// Gathers a file, or completes it at once where its content is there. The inner error concerns
    /// it alone.
    pub(super) fn file(
        &mut self,
        target: &Arc<Target>,
        visit: &Visit,
        position: usize,
        known: Known<'_>,
    ) -> Result<Result<(), Errno>> {
        let node = visit.node(position);
        if node.links > 1 {
            self.find_siblings();
        }
        let beside = || staged::name_for(&node.name, &visit.names);
        let first = match self.first_names.name(&self.root, target, node, beside) {
            Name::Only => None,
            Name::First(first) => Some(first),
            Name::Further(link) => {
                self.session.progress.entry(0);
                self.batch.link(link);
                return Ok(Ok(()));
            }
        };
        let coming = Coming { target, visit, position, first };
        let done = match known {
            Known::Unseen => self.unseen(&coming),
            Known::Absent => self.absent(&coming),
            Known::Present(found) => self.present(&coming, &found),
            Known::Held(base) => self.held(&coming, base),
        };
        if let (Err(_), Some(first)) = (&done, &coming.first) {
            first.failed();
        }
        Ok(done)
    }

    fn absent(&mut self, coming: &Coming<'_>) -> Result<(), Errno> {
        let node = coming.node();
        if node.blobs().is_empty() {
            file::make_empty(&self.session, coming.target, node)?;
            self.session.progress.entry(0);
            self.session.has_changed();
            return Ok(());
        }
        let layout = self.layout(coming);
        self.batch.file(coming.restored(&layout, &layout.blobs), &layout.blobs);
        Ok(())
    }

    /// A file of which an earlier run may have left a part in its place.
    fn unseen(&mut self, coming: &Coming<'_>) -> Result<(), Errno> {
        let node = coming.node();
        let found = match coming.target.is_fresh() || node.blobs().is_empty() {
            true => None,
            false => existing::candidate(coming.target, &node.name),
        };
        let Some(fd) = found else { return self.absent(coming) };
        let layout = self.layout(coming);
        let wanted = layout.missing(&fd, || self.session.stopped());
        self.batch.file(coming.restored(&layout, &wanted).in_place(), &wanted);
        Ok(())
    }

    /// A file that takes the place of something else when it is complete; an earlier run may have
    /// left a part of it.
    fn anew(&mut self, coming: &Coming<'_>) -> Result<(), Errno> {
        let (name, layout) = (coming.staged_name(), self.layout(coming));
        match existing::candidate(coming.target, &name) {
            Some(fd) => {
                let wanted = layout.missing(&fd, || self.session.stopped());
                self.batch.file(coming.restored(&layout, &wanted).staged(name).in_place(), &wanted);
            }
            None => {
                self.batch.file(coming.restored(&layout, &layout.blobs).staged(name), &layout.blobs);
            }
        }
        Ok(())
    }

    /// Something is in its place. A file with further names is never written in place, since they
    /// may not be meant; it keeps its inode if that holds what it should.
    fn present(&mut self, coming: &Coming<'_>, found: &Stat) -> Result<(), Errno> {
        if stat::kind(found) != NodeKind::File {
            return self.anew(coming);
        }
        let is_shared = found.st_nlink > 1;
        let may_stay = !is_shared || (coming.first.is_some() && self.first_names.may_keep(found));
        if may_stay && self.session.looks_same(coming.node(), found) {
            return self.keep(coming, found);
        }
        let layout = self.layout(coming);
        if !layout.is_whole {
            return self.leave(coming);
        }
        let Some(fd) = self.open(coming, is_shared)? else { return self.anew(coming) };
        let wanted = layout.missing(&fd, || self.session.stopped());
        if may_stay && wanted.is_empty() && stat::size(found) == layout.size {
            return self.keep(coming, found);
        }
        self.write(coming, &layout, wanted, (fd, is_shared))
    }

    /// The target holds the file `base` in its place, or, after a run that was cut short, something
    /// between that and what it should be.
    fn held(&mut self, coming: &Coming<'_>, base: &Node) -> Result<(), Errno> {
        let node = coming.node();
        let found = match Known::Held(base).looked_at(coming.target, &node.name)? {
            Known::Present(found) => found,
            _ => return self.absent(coming),
        };
        let size = stat::size(&found);
        let is_between = stat::kind(&found) == NodeKind::File && (size == base.size || size == node.size);
        if base.kind != NodeKind::File || !is_between {
            return self.present(coming, &found);
        }
        let is_shared = found.st_nlink > 1;
        let may_stay = !is_shared || (coming.first.is_some() && self.first_names.may_keep(&found));
        if may_stay && size == node.size && ground::has_same_content(base, node) {
            return self.keep(coming, &found);
        }
        let layout = self.layout(coming);
        if !layout.is_whole {
            return self.leave(coming);
        }
        let Some(fd) = self.open(coming, is_shared)? else { return self.present(coming, &found) };
        let wanted = layout.beside(&Layout::of(&self.reader, base));
        self.write(coming, &layout, wanted, (fd, is_shared))
    }

    /// The file that is there; `None` if it is another by now, or a program that is running.
    fn open(&self, coming: &Coming<'_>, is_shared: bool) -> Result<Option<OwnedFd>, Errno> {
        let (dir, name) = (coming.target.dir(), &coming.node().name);
        let opened = if is_shared { dir.file(name) } else { dir.existing(name) };
        let fd = match opened {
            Err(Errno::TXTBSY | Errno::LOOP | Errno::NOENT | Errno::NXIO | Errno::ISDIR) => return Ok(None),
            opened => opened?,
        };
        let now = fs::fstat(&fd)?;
        Ok((stat::kind(&now) == NodeKind::File && (now.st_nlink > 1) == is_shared).then_some(fd))
    }

    /// Has what it lacks written: in place, or beside what is there if that has further names.
    fn write(
        &mut self,
        coming: &Coming<'_>,
        layout: &Layout,
        wanted: Wanted,
        (fd, is_shared): (OwnedFd, bool),
    ) -> Result<(), Errno> {
        if !is_shared {
            self.batch.file(coming.restored(layout, &wanted).in_place(), &wanted);
            return Ok(());
        }
        let file = coming.restored(layout, &wanted).staged(coming.staged_name());
        let (file, wanted) = file.begun_from(&self.session, layout, &fd)?;
        self.batch.file(file, &wanted);
        Ok(())
    }

    /// Its content is there; its attributes may have to be corrected.
    fn keep(&self, coming: &Coming<'_>, found: &Stat) -> Result<(), Errno> {
        if self.session.correct(coming.target, coming.node(), found)? {
            self.session.has_changed();
        }
        self.session.progress.entry(coming.node().size);
        Ok(())
    }

    /// Its content cannot be had, and what is there is better than a part of it.
    fn leave(&self, coming: &Coming<'_>) -> Result<(), Errno> {
        coming.target.lacks();
        if let Some(first) = &coming.first {
            first.failed();
        }
        let message = "left as it was: not all of its content is in the vault";
        let problem = Problem::new("file.damaged", coming.target.show(&coming.node().name), message);
        self.session.recorder.problem(problem.hint("restore this file from another copy or point"));
        Ok(())
    }

    /// Where its blobs lie; a node that tells another size is named.
    fn layout(&self, coming: &Coming<'_>) -> Layout {
        let node = coming.node();
        let layout = Layout::of(&self.reader, node);
        if layout.size != node.size {
            let message = format!("is said to have {} bytes, but its content has {}", node.size, layout.size);
            let problem = Problem::new("file.size", coming.target.show(&node.name), message);
            self.session.recorder.problem(problem.hint("the content was restored as it is stored"));
        }
        layout
    }
}
