//! Reads the content of one open file into the repository, holes without reading them.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use holdfast_vault::Error as VaultError;
use rustix::fs::Stat;
use rustix::io::{Errno, pread};

use super::links::Content;
use super::walk::Walk;
use crate::error::Error;
use crate::files::stat;
use crate::sparse;

/// Files up to this size are read at once and stored as one blob: the least size of a chunk.
const SMALL: u64 = 512 * 1024;

/// Why a file's content could not be stored.
pub(super) enum ReadError {
    /// The capture cannot go on.
    Fatal(Error),
    /// Only this file is affected.
    File(Errno),
}

impl From<Errno> for ReadError {
    fn from(error: Errno) -> Self {
        ReadError::File(error)
    }
}

impl From<VaultError> for ReadError {
    fn from(error: VaultError) -> Self {
        match error {
            // The source of a `read_from` is the file; the writer's own failures come as others.
            VaultError::Io { source, .. } => {
                ReadError::File(Errno::from_io_error(&source).unwrap_or(Errno::IO))
            }
            error => ReadError::Fatal(error.into()),
        }
    }
}

/// Stores the content, up to the size the file had when it was opened: one that is appended to
/// for ever ends nevertheless.
pub(super) fn read(walk: &Walk<'_>, fd: impl AsFd, now: &Stat) -> Result<Content, ReadError> {
    let size = stat::size(now);
    if size == 0 {
        return Ok((Vec::new(), 0));
    }
    let allocated = u64::try_from(now.st_blocks).unwrap_or(0).saturating_mul(512);
    if size <= SMALL && allocated > 0 {
        return small(walk, fd.as_fd(), size as usize);
    }
    large(walk, fd.as_fd(), size, allocated < size)
}

fn small(walk: &Walk<'_>, fd: BorrowedFd<'_>, size: usize) -> Result<Content, ReadError> {
    walk.with_buffer(|buffer| {
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        let mut filled = 0;
        while filled < size {
            match pread(fd, &mut buffer[filled..size], filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        walk.progress.moved(filled as u64);
        let ids = if filled == 0 { Vec::new() } else { vec![walk.writer.data(&buffer[..filled])?] };
        Ok((ids, filled as u64))
    })
}

fn large(walk: &Walk<'_>, fd: BorrowedFd<'_>, size: u64, sparse: bool) -> Result<Content, ReadError> {
    let mut file = walk.writer.file();
    let mut at = 0;
    while at < size {
        let (data, end) = if sparse { sparse::next_data(fd, at, size) } else { (at, size) };
        if data > at {
            file.zeros(data - at)?;
        }
        at = data;
        let mut source = Extent { fd, at: data, end };
        let read = file.read_from(&mut source)?;
        walk.progress.moved(read);
        at += read;
        if at < end {
            // The file was cut short while it was read.
            break;
        }
    }
    let content = file.finish()?;
    Ok((content.ids, content.size))
}

/// A piece of a file as a source of bytes.
struct Extent<'f> {
    fd: BorrowedFd<'f>,
    at: u64,
    end: u64,
}

impl Read for Extent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        let read = pread(self.fd, &mut buffer[..len], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
