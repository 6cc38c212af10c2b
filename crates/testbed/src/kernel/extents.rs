//! Where the data of a file is on its disk.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::vec;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use crate::error::{At, Result};

/// Documentation/filesystems/fiemap.rst of the kernel.
const FIEMAP: Opcode = opcode::read_write::<Header>(b'f', 11);
const SYNC: u32 = 1;
const LAST: u32 = 0x1;
const UNWRITTEN: u32 = 0x800;
/// Unknown, delayed, encoded (compressed), encrypted, not aligned, inline, in a tail: nothing that can be compared.
const UNCERTAIN: u32 = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400;

/// How many extents are asked for at once.
const BATCH: usize = 256;

/// A part of a file that has data. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Where its start is on the disk; `None` if that says nothing about its data.
    pub(crate) place: Option<u64>,
}

/// The extents of a file, front to back. What is allocated but was never written reads as a hole does, and is one.
#[derive(Debug)]
pub(crate) struct Extents {
    file: File,
    path: PathBuf,
    batch: vec::IntoIter<RawExtent>,
    /// Where the next batch begins, unless there is none.
    next: Option<u64>,
}

impl Extents {
    /// Those of `file`, which was opened at `path`, from the byte `start` on.
    pub(crate) fn of(file: File, path: &Path, start: u64) -> Self {
        Self { file, path: path.to_owned(), batch: Vec::new().into_iter(), next: Some(start) }
    }

    /// Asks for the next batch.
    fn advance(&mut self, start: u64) -> Result<()> {
        let mut request = Request::from(start);
        fiemap(&self.file, &mut request).at("find the blocks of", &self.path)?;
        let count = usize::try_from(request.header.mapped).unwrap_or(BATCH).min(BATCH);
        let batch = &request.extents[..count];
        self.next = batch.last().filter(|last| last.flags & LAST == 0).map(|last| last.logical + last.length);
        self.batch = Vec::from(batch).into_iter();
        Ok(())
    }
}

impl Iterator for Extents {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(raw) = self.batch.find(|raw| raw.flags & UNWRITTEN == 0) {
                return Some(Ok(raw.extent()));
            }
            let start = self.next.take()?;
            if let Err(error) = self.advance(start) {
                return Some(Err(error));
            }
        }
    }
}

/// `struct fiemap`.
#[repr(C)]
#[derive(Default)]
struct Header {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct RawExtent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

impl RawExtent {
    fn extent(&self) -> Extent {
        let place = (self.flags & UNCERTAIN == 0).then_some(self.physical);
        Extent { start: self.logical, end: self.logical + self.length, place }
    }
}

/// A request with room for its answer.
#[repr(C)]
struct Request {
    header: Header,
    extents: [RawExtent; BATCH],
}

impl Request {
    /// For extents at and behind `start`.
    fn from(start: u64) -> Self {
        let count = u32::try_from(BATCH).unwrap_or(0);
        let header = Header { start, length: u64::MAX - start, flags: SYNC, count, ..Header::default() };
        Self { header, extents: [RawExtent::default(); BATCH] }
    }
}

#[allow(unsafe_code, reason = "no crate has this request")]
fn fiemap(file: &File, request: &mut Request) -> rustix::io::Result<()> {
    // SAFETY: the request is laid out as the kernel's, and says itself how many extents there is room for.
    unsafe { ioctl(file, Updater::<FIEMAP, Request>::new(request)) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn many_extents_are_found_with_the_holes_between_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let file = File::create_new(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        let written: Vec<u64> = (0..600).map(|n| n * 65536 + 8192).collect();
        for at in &written {
            file.write_all_at(&[7; 4096], *at).unwrap();
        }
        let file = File::open(&path).unwrap();
        let found = Extents::of(file, &path, 0).collect::<Result<Vec<_>>>().unwrap();
        let starts: Vec<u64> = found.iter().map(|extent| extent.start).collect();
        assert_eq!(starts, written);
        assert!(found.iter().all(|extent| extent.end - extent.start == 4096 && extent.place.is_some()));
    }
}
