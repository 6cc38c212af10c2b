//! Cutting one file into chunks.

use std::io::Read;
use std::sync::Arc;

use super::Writer;
use super::chunks::{self, Job, Parts};
use crate::chunk::{Cutter, MIN_CHUNK};
use crate::error::{Error, Result};
use crate::id::BlobId;

/// How much is read at once.
const READ: usize = 256 << 10;

/// A stored file: what goes into its node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileContent {
    /// Its data blobs, in order.
    pub ids: Vec<BlobId>,
    /// Its length in bytes.
    pub size: u64,
}

/// Cuts one file into chunks and stores them.
///
/// A file shorter than 512 KiB is one blob, stored in the caller's thread; chunks of longer ones
/// go to the writer's threads. Dropping it without [`finish`](FileWriter::finish) leaves blobs that
/// nothing refers to.
pub struct FileWriter {
    writer: Writer,
    parts: Arc<Parts>,
    cutter: Cutter,
    /// All of it is initialised; the chunk so far is its first `filled` bytes.
    buffer: Vec<u8>,
    filled: usize,
    size: u64,
}

impl FileWriter {
    pub(super) fn new(writer: Writer) -> Self {
        let buffer = writer.session.chunks.buffer();
        Self { writer, parts: Arc::default(), cutter: Cutter::default(), buffer, filled: 0, size: 0 }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::WriterStopped`]
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.room();
            let length = bytes.len().min(room.len());
            room[..length].copy_from_slice(&bytes[..length]);
            self.advance(length)?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Appends all that `source` gives, without a copy in between; returns how much that was.
    ///
    /// # Errors
    /// [`Error::Io`] from the source, [`Error::WriterStopped`]
    pub fn read_from(&mut self, source: &mut dyn Read) -> Result<u64> {
        let before = self.size;
        loop {
            match source.read(self.room()) {
                Ok(0) => return Ok(self.size - before),
                Ok(length) => self.advance(length)?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("reading a file", error)),
            }
        }
    }

    /// Appends a hole: `length` zero bytes. Long ones cost one shared blob of 512 KiB.
    ///
    /// # Errors
    /// [`Error::WriterStopped`]
    pub fn zeros(&mut self, length: u64) -> Result<()> {
        let mut rest = length;
        if rest >= MIN_CHUNK as u64 {
            self.cut(self.filled)?;
            let id = self.writer.core.zero_chunk()?;
            // A file has fewer chunks than addresses.
            self.parts.append(id, (rest / MIN_CHUNK as u64) as usize);
            self.size += rest - rest % MIN_CHUNK as u64;
            rest %= MIN_CHUNK as u64;
        }
        while rest > 0 {
            let room = self.room();
            let length = room.len().min(rest as usize);
            room[..length].fill(0);
            self.advance(length)?;
            rest -= length as u64;
        }
        Ok(())
    }

    /// Length so far in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the file and waits for its last chunk.
    ///
    /// # Errors
    /// [`Error::WriterStopped`]
    pub fn finish(mut self) -> Result<FileContent> {
        if self.filled > 0 {
            let job = self.job(self.filled, Vec::new());
            self.writer.session.chunks.run(job);
            self.filled = 0;
        }
        let ids = self.writer.session.chunks.wait(&self.parts)?;
        Ok(FileContent { ids, size: self.size })
    }

    /// Room for the next bytes; never empty, as a chunk is cut before it outgrows the buffer.
    fn room(&mut self) -> &mut [u8] {
        if self.filled == self.buffer.len() {
            chunks::grow(&mut self.buffer);
        }
        let end = self.buffer.len().min(self.filled + READ);
        &mut self.buffer[self.filled..end]
    }

    /// Takes note of `length` more bytes, and cuts where the content says so.
    fn advance(&mut self, length: usize) -> Result<()> {
        self.filled += length;
        self.size += length as u64;
        while let Some(length) = self.cutter.find(&self.writer.core.gear, &self.buffer[..self.filled]) {
            self.cut(length)?;
        }
        Ok(())
    }

    /// Ends the chunk after `length` bytes; what follows begins the next one.
    fn cut(&mut self, length: usize) -> Result<()> {
        self.cutter = Cutter::default();
        if length == 0 {
            return Ok(());
        }
        self.writer.core.expect_running()?;
        let mut next = self.writer.session.chunks.buffer();
        let rest = self.filled - length;
        while next.len() < rest {
            chunks::grow(&mut next);
        }
        next[..rest].copy_from_slice(&self.buffer[length..self.filled]);
        self.filled = rest;
        let job = self.job(length, next);
        self.writer.session.chunks.submit(job);
        Ok(())
    }

    fn job(&mut self, length: usize, next: Vec<u8>) -> Job {
        let buffer = std::mem::replace(&mut self.buffer, next);
        Job { buffer, length, place: self.parts.reserve(), file: Arc::clone(&self.parts) }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.writer.session.chunks.give_back(buffer);
        }
    }
}
