//! What of a file's content is in the target already.

use std::os::fd::OwnedFd;

use holdfast_vault::{BlobId, BlobKind, Node, NodeKind, Reader};
use rayon::prelude::*;
use rustix::fs;
use rustix::io::{Errno, pread};

use super::content;
use super::target::Target;
use crate::files::stat;

/// Blobs of a file that are read and compared at once; each has up to 8 MiB.
const AT_ONCE: usize = 8;

/// Blobs of a file with their offsets.
pub(super) type Wanted = Vec<(BlobId, u64)>;

/// Where the blobs of a file lie in it.
pub(super) struct Layout {
    /// Blobs and their offsets.
    pub(super) blobs: Wanted,
    /// Their lengths.
    pub(super) lengths: Vec<u64>,
    /// The sum of the lengths.
    pub(super) size: u64,
    /// Whether all of them are in the vault's index.
    pub(super) is_whole: bool,
}

impl Layout {
    /// The length of a blob that is in no index follows from the others and the file's size.
    pub(super) fn of(reader: &Reader, node: &Node) -> Self {
        let known: Vec<Option<u64>> =
            node.blobs().iter().map(|id| reader.size_of(BlobKind::Data, id)).collect();
        let mut rest = node.size.saturating_sub(known.iter().flatten().sum());
        let (mut blobs, mut lengths, mut offset) = (Vec::new(), Vec::new(), 0u64);
        for (id, length) in node.blobs().iter().zip(&known) {
            // Of several unknown ones the first takes it all.
            let length = length.unwrap_or_else(|| std::mem::take(&mut rest));
            blobs.push((*id, offset));
            lengths.push(length);
            offset = offset.saturating_add(length);
        }
        Self { blobs, lengths, size: offset, is_whole: known.iter().all(Option::is_some) }
    }

    /// The blobs that are not at the same place in a file that holds `base`.
    pub(super) fn beside(&self, base: &Layout) -> Wanted {
        if !base.is_whole {
            return self.blobs.clone();
        }
        // Both ascend by offset.
        let mut held = base.blobs.iter().peekable();
        let is_held = |(id, offset): &(BlobId, u64)| {
            while held.next_if(|(_, at)| at < offset).is_some() {}
            held.peek().is_some_and(|(of, at)| (of, at) == (id, offset))
        };
        let mut is_held = is_held;
        self.blobs.iter().filter(|blob| !is_held(blob)).copied().collect()
    }

    /// The blobs that the file does not hold at their place. All of it is read and compared by hash.
    pub(super) fn missing(&self, fd: &OwnedFd, stopped: impl Fn() -> bool + Sync) -> Wanted {
        let mut buffers: Vec<Vec<u8>> = vec![Vec::new(); AT_ONCE.min(self.blobs.len())];
        let mut missing = Vec::new();
        for (blobs, lengths) in self.blobs.chunks(AT_ONCE).zip(self.lengths.chunks(AT_ONCE)) {
            let look = |((blob, &length), buffer): ((&(BlobId, u64), &u64), &mut Vec<u8>)| {
                (stopped() || !holds(fd, blob, length, buffer)).then_some(*blob)
            };
            if let [only] = blobs {
                missing.extend(look(((only, &lengths[0]), &mut buffers[0])));
                continue;
            }
            let looks = blobs.par_iter().zip(lengths).zip(&mut buffers).map(look);
            missing.extend(looks.collect::<Vec<_>>().into_iter().flatten());
        }
        missing
    }

    /// Copies what one file holds of the content to another, and returns the rest.
    ///
    /// # Errors
    /// Whatever writing meets.
    pub(super) fn copy(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        stopped: impl Fn() -> bool,
    ) -> Result<Wanted, Errno> {
        let (mut missing, mut buffer) = (Vec::new(), Vec::new());
        for (blob, &length) in self.blobs.iter().zip(&self.lengths) {
            if stopped() || !holds(from, blob, length, &mut buffer) {
                missing.push(*blob);
            } else {
                content::put(to, blob.1, &buffer[..length as usize], true)?;
            }
        }
        Ok(missing)
    }
}

/// Opens the file that is at `name`, if it can be completed in place: a regular file with no other
/// name, since a write would be seen through that.
pub(super) fn candidate(target: &Target, name: &[u8]) -> Option<OwnedFd> {
    let found = target.dir().stat(name).ok()?;
    if stat::kind(&found) != NodeKind::File || found.st_nlink != 1 {
        return None;
    }
    let fd = target.dir().existing(name).ok()?;
    // What was opened need not be what was looked at.
    let opened = fs::fstat(&fd).ok()?;
    (stat::kind(&opened) == NodeKind::File && opened.st_nlink == 1).then_some(fd)
}

fn holds(fd: &OwnedFd, (id, offset): &(BlobId, u64), length: u64, buffer: &mut Vec<u8>) -> bool {
    read(fd, *offset, length, buffer) && BlobId::of(&buffer[..length as usize]) == *id
}

/// Reads a piece into the beginning of the buffer; `false` if the file does not have all of it.
pub(super) fn read(fd: &OwnedFd, offset: u64, length: u64, buffer: &mut Vec<u8>) -> bool {
    let Ok(length) = usize::try_from(length) else { return false };
    let has = fs::fstat(fd).map_or(0, |now| stat::size(&now));
    if offset.saturating_add(length as u64) > has {
        // A size that is absurd takes no memory.
        return false;
    }
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    let mut filled = 0;
    while filled < length {
        match pread(fd, &mut buffer[filled..length], offset + filled as u64) {
            Ok(0) => return false,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}
