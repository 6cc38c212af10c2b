//! What of a file is there already, from an earlier run that was cut short.

use std::os::fd::OwnedFd;

use holdfast_vault::{BlobId, Node, NodeKind};
use rustix::fs;
use rustix::io::{Errno, pread};

use super::target::Target;
use crate::files::stat;

/// Blobs of a file with their offsets.
pub(super) type Wanted = Vec<(BlobId, u64)>;

/// Opens the file that is at the node's name, if it can be completed in place: a regular file
/// with no other name, since a write would be seen through that.
pub(super) fn candidate(target: &Target, node: &Node) -> Option<OwnedFd> {
    let found = target.dir().stat(&node.name).ok()?;
    if stat::kind(&found) != NodeKind::File || found.st_nlink != 1 {
        return None;
    }
    let fd = target.dir().existing(&node.name).ok()?;
    // What was opened need not be what was looked at.
    let opened = fs::fstat(&fd).ok()?;
    (stat::kind(&opened) == NodeKind::File && opened.st_nlink == 1).then_some(fd)
}

/// The blobs that the file does not hold at their place. All of it is read and compared by hash:
/// after a crash of the node a file's times say nothing about its content.
pub(super) fn missing(fd: &OwnedFd, wanted: Wanted, lengths: &[u64], stopped: impl Fn() -> bool) -> Wanted {
    let mut buffer = Vec::new();
    let mut missing = Vec::new();
    for ((id, offset), &length) in wanted.into_iter().zip(lengths) {
        if stopped() || !holds(fd, &id, offset, length, &mut buffer) {
            missing.push((id, offset));
        }
    }
    missing
}

fn holds(fd: &OwnedFd, id: &BlobId, offset: u64, length: u64, buffer: &mut Vec<u8>) -> bool {
    let Ok(length) = usize::try_from(length) else { return false };
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
    BlobId::of(&buffer[..length]) == *id
}
