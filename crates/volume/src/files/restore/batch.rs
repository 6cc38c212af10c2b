//! Files that are fetched together, and what follows when they are done.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_model::Problem;
use holdfast_vault::{BlobId, Node, Reader};
use rustix::io::Errno;
use tokio::runtime::Handle;

use super::Session;
use super::file::{RestoredFile, not_restored};
use super::links::HardLink;
use super::target::Target;
use crate::error::{Error, Result};

/// Where a blob goes.
#[derive(Clone, Copy)]
struct Span {
    id: BlobId,
    file: u32,
    offset: u64,
}

/// A directory all of whose entries are in this batch or an earlier one.
pub(super) struct Leaving {
    pub(super) target: Arc<Target>,
    /// What it is to be; `None` if that is no business of the restore.
    pub(super) node: Option<Node>,
    /// Entries that are to be removed from it.
    pub(super) extras: Vec<Vec<u8>>,
}

/// Some files, in the order of the walk.
#[derive(Default)]
pub(super) struct Batch {
    contents: Contents,
    links: Vec<HardLink>,
    leftovers: Vec<(Arc<Target>, Vec<u8>)>,
    leaving: Vec<Leaving>,
    directories: usize,
}

#[derive(Default)]
struct Contents {
    files: Vec<RestoredFile>,
    spans: Vec<Span>,
}

/// Blobs, or files, per batch: up to some gigabytes to fetch. A pack is read anew for every batch that needs something
/// of it, in more and smaller stretches the more batches there are. Two batches of small files, with what is known of
/// each of them, are some hundred megabytes.
const SPANS: usize = 64 * 1024;

impl Batch {
    pub(super) fn is_full(&self, directories: usize) -> bool {
        self.contents.spans.len() >= SPANS
            || self.contents.files.len() + self.links.len() >= SPANS
            || self.directories >= directories
    }

    /// Adds a file and the offsets of the blobs it lacks.
    pub(super) fn file(&mut self, file: RestoredFile, wanted: &[(BlobId, u64)]) {
        let index = u32::try_from(self.contents.files.len()).unwrap_or(u32::MAX);
        let span = |&(id, offset): &(BlobId, u64)| Span { id, file: index, offset };
        self.contents.spans.extend(wanted.iter().map(span));
        self.contents.files.push(file);
    }

    pub(super) fn link(&mut self, link: HardLink) {
        self.links.push(link);
    }

    /// Adds a name that a run which was cut short has left, and that goes unless a file of this batch uses it.
    pub(super) fn leftover(&mut self, target: &Arc<Target>, name: Vec<u8>) {
        self.leftovers.push((Arc::clone(target), name));
    }

    /// Counts a directory that files of this batch will hold open.
    pub(super) fn entered(&mut self) {
        self.directories += 1;
    }

    pub(super) fn leave(&mut self, leaving: Leaving) {
        self.leaving.push(leaving);
    }

    /// Fetches and writes the files, makes the links between them, and completes directories.
    pub(super) fn run(self, reader: &Reader, runtime: &Handle, session: &Arc<Session>) -> Result<()> {
        let Batch { mut contents, links, leftovers, leaving, .. } = self;
        contents.spans.sort_unstable_by_key(|span| (span.id, span.file, span.offset));
        contents.fetch(reader, runtime, session)?;
        for link in links {
            if let Err(error) = link.make(session) {
                link.target().lacks();
                session.entry_failed(error, || link.path())?;
            }
        }
        for (target, name) in leftovers {
            session.remove_extras(&target, &[name])?;
        }
        leaving.iter().try_for_each(|leaving| leaving.complete(session))
    }
}

impl Leaving {
    /// Removes what is to go, and sets the directory's attributes, its time of change above all.
    fn complete(&self, session: &Session) -> Result<()> {
        let Leaving { target, node, extras } = self;
        session.remove_extras(target, extras)?;
        if let Some(node) = node {
            let done = match session.is_in_place() && !target.is_fresh() {
                true => session.correct_dir(target, node),
                false => session.dir_attributes(target, node).map(|()| true),
            };
            match done {
                Ok(true) => session.has_changed(),
                Ok(false) => {}
                Err(error) => session.entry_failed(error, || target.to_string())?,
            }
        }
        target.left();
        Ok(())
    }
}

impl Contents {
    fn fetch(self, reader: &Reader, runtime: &Handle, session: &Arc<Session>) -> Result<()> {
        if self.spans.is_empty() {
            return self.complete_all(session);
        }
        let mut wanted: Vec<BlobId> = self.spans.iter().map(|span| span.id).collect();
        wanted.dedup();
        let contents = Arc::new(self);
        let fatal = Arc::new(Mutex::new(None));
        let sink = {
            let (contents, session, fatal) = (Arc::clone(&contents), Arc::clone(session), Arc::clone(&fatal));
            move |id: &BlobId, bytes: &[u8]| {
                contents.put(&session, id, bytes).map_err(|error| {
                    fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    io::Error::other("the restore cannot go on")
                })
            }
        };
        let fetched = runtime.block_on(reader.fetch_all(wanted, sink));
        if let Some(error) = fatal.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        for (id, error) in fetched?.failed {
            contents.damaged(session, &id, &error);
        }
        contents.complete_all(session)
    }

    fn put(&self, session: &Session, id: &BlobId, bytes: &[u8]) -> Result<()> {
        if session.stopped() {
            return Err(Error::Stopped);
        }
        for span in self.spans_of(id) {
            self.files[span.file as usize]
                .write(session, span.offset, bytes)
                .map_err(|error| session.fatal(error))?;
        }
        Ok(())
    }

    fn spans_of(&self, id: &BlobId) -> impl Iterator<Item = &Span> {
        let start = self.spans.partition_point(|span| span.id < *id);
        self.spans[start..].iter().take_while(move |span| span.id == *id)
    }

    fn damaged(&self, session: &Session, id: &BlobId, error: &holdfast_vault::Error) {
        for span in self.spans_of(id) {
            let message = format!("its bytes from {} on are not restored: {error}", span.offset);
            let file = &self.files[span.file as usize];
            file.lacks();
            let path = file.path();
            session.recorder.problem(
                Problem::new("file.damaged", path, message)
                    .hint("restore this file from another copy or point"),
            );
        }
    }

    /// Files without any blob to wait for, and those that a damaged blob keeps from completion.
    fn complete_all(&self, session: &Session) -> Result<()> {
        for file in self.files.iter().filter(|file| file.is_unfinished()) {
            file.complete(session).map_err(|error| session.fatal(error))?;
        }
        if session.is_in_place() && !self.files.is_empty() {
            session.sync()?;
            for file in &self.files {
                file.stamp().or_else(|error| session.entry_failed(error, || file.path()))?;
            }
        }
        Ok(())
    }
}

impl Session {
    /// Records an entry that could not be made, or ends the restore if no other could be either.
    pub(super) fn entry_failed(&self, error: Errno, path: impl FnOnce() -> String) -> Result<()> {
        if self.stopped() {
            return Err(Error::Stopped);
        }
        if super::is_fatal(error) {
            return Err(self.fatal(error));
        }
        self.recorder.problem(not_restored(path(), error));
        Ok(())
    }
}
