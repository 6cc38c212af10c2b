//! Captures one entry that is not a directory.

use holdfast_vault::{BlobKind, ExtendedAttribute, Node, NodeKind};
use rustix::fs::{self, FileType, Stat};
use rustix::io::Errno;

use super::content::{self, ReadError};
use super::parent::ParentDir;
use super::walk::{Slot, Walk};
use crate::error::Result;
use crate::files::beneath::Dir;
use crate::files::place::Place;
use crate::files::{stat, xattr};

impl Walk<'_> {
    /// Captures the entry `name` of `dir`; [`Slot::Directory`] if it turns out to be one.
    pub(super) fn entry(
        &self,
        dir: &Dir,
        place: &Place<'_>,
        name: &[u8],
        kind: FileType,
        parent: Option<&ParentDir>,
    ) -> Result<Slot> {
        let known = parent.and_then(|dir| dir.position(name).map(|at| (at, &dir.tree.nodes[at])));
        if kind == FileType::RegularFile && known.is_none() {
            // Its attributes are asked for when it is open.
            return self.file(dir, place, name);
        }
        let now = match dir.stat(name) {
            Ok(now) => now,
            Err(error) => return Ok(self.lost(place, error)),
        };
        if let Some((at, node)) = known
            && self.is_current(node, &now)
            && node.blobs().iter().all(|id| self.writer.has(BlobKind::Data, id))
        {
            self.progress.entry(node.size);
            return Ok(Slot::Same(at));
        }
        match stat::kind(&now) {
            NodeKind::Dir => Ok(Slot::Directory),
            NodeKind::File => self.file(dir, place, name),
            NodeKind::Socket => {
                self.recorder.excluded(place.to_string(), "a socket has no content; its owner makes it anew");
                Ok(Slot::Nothing)
            }
            NodeKind::Irregular => {
                self.recorder
                    .problem(place.problem("file.unknown_type", "is of a type that is not known here"));
                Ok(Slot::Nothing)
            }
            NodeKind::Symlink => Ok(self.link(dir, place, name, &now)),
            NodeKind::Fifo | NodeKind::Device | NodeKind::CharDevice => {
                Ok(self.special(dir, place, name, stat::node(name, &now)))
            }
        }
    }

    fn link(&self, dir: &Dir, place: &Place<'_>, name: &[u8], now: &Stat) -> Slot {
        match dir.read_link(name) {
            Ok(target) => {
                let mut node = stat::node(name, now);
                node.link_target = target;
                self.special(dir, place, name, node)
            }
            Err(error) => self.lost(place, error),
        }
    }

    fn special(&self, dir: &Dir, place: &Place<'_>, name: &[u8], mut node: Node) -> Slot {
        node.extended_attributes = match xattr::of_entry(dir, name) {
            Err(Errno::NOENT) => return self.lost(place, Errno::NOENT),
            read => read.unwrap_or_else(|error| self.no_attributes(place, error)),
        };
        self.progress.entry(0);
        Slot::New(Box::new(node))
    }

    fn file(&self, dir: &Dir, place: &Place<'_>, name: &[u8]) -> Result<Slot> {
        let fd = match dir.file(name) {
            Ok(fd) => fd,
            Err(error) => return Ok(self.lost(place, error)),
        };
        let before = match fs::fstat(&fd) {
            Ok(before) => before,
            Err(error) => return Ok(self.lost(place, error)),
        };
        if stat::kind(&before) != NodeKind::File {
            // Swapped between the two looks at it.
            return Ok(self.lost(place, Errno::LOOP));
        }
        let content = match self.links.find(&before) {
            Some(known) => (known.0.clone(), known.1),
            None => match content::read(self, &fd, &before) {
                Ok(content) => content,
                Err(ReadError::Fatal(error)) => return Err(error),
                Err(ReadError::File(error)) => return Ok(self.lost(place, error)),
            },
        };
        let mut node = stat::node(name, &before);
        node.extended_attributes =
            xattr::of_open(&fd).unwrap_or_else(|error| self.no_attributes(place, error));
        if fs::fstat(&fd).is_ok_and(|after| !is_untouched(&before, &after)) {
            self.recorder.changed(place.to_string());
        } else {
            self.links.remember(&before, &content);
        }
        (node.content, node.size) = (Some(content.0), content.1);
        self.progress.entry(node.size);
        Ok(Slot::New(Box::new(node)))
    }

    /// An entry that could not be read: gone, changed its nature under the walk, or a problem.
    pub(super) fn lost(&self, place: &Place<'_>, error: Errno) -> Slot {
        match error {
            Errno::NOENT => self.recorder.vanished(),
            // A link, a socket or a file where another type was a moment ago.
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::INVAL => {
                self.recorder.changed(place.to_string())
            }
            _ => self.unreadable(place, error),
        }
        Slot::Nothing
    }

    pub(super) fn unreadable(&self, place: &Place<'_>, error: Errno) {
        let message = format!("cannot be read: {}", std::io::Error::from(error));
        let hint = match error {
            Errno::ACCESS | Errno::PERM => "the mover needs the capability DAC_READ_SEARCH on this volume",
            Errno::IO => "check the health of the storage below this volume",
            Errno::MFILE | Errno::NFILE => "raise the limit of open files on the node",
            _ => "",
        };
        self.recorder.problem(place.problem("file.unreadable", message).hint(hint));
    }

    pub(super) fn no_attributes(&self, place: &Place<'_>, error: Errno) -> Vec<ExtendedAttribute> {
        let message = format!("extended attributes cannot be read: {}", std::io::Error::from(error));
        self.recorder.problem(place.problem("file.attributes", message));
        Vec::new()
    }
}

/// Nothing has written to the file between the two looks.
fn is_untouched(before: &Stat, after: &Stat) -> bool {
    before.st_size == after.st_size
        && (before.st_mtime, before.st_mtime_nsec) == (after.st_mtime, after.st_mtime_nsec)
        && (before.st_ctime, before.st_ctime_nsec) == (after.st_ctime, after.st_ctime_nsec)
}
