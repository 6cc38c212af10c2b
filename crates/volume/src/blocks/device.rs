//! An open block device or image file.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, Advice, FileType, Mode, OFlags, SeekFrom};
use rustix::io::{Errno, pread, pwrite};

use super::extents::ExtentSet;
use super::geometry::Geometry;
use crate::error::{Error, Result};
use crate::sparse;

/// Direct reads go to addresses that are multiples of this, which suits every device.
const ALIGNMENT: usize = 4096;

/// A device or regular file, open for reading and perhaps for writing.
pub(super) struct Device {
    path: String,
    size: u64,
    /// Reads past the page cache where that is possible: what a mounted file system has written to
    /// a device need not be in the device's own pages.
    reads: OwnedFd,
    writes: Option<OwnedFd>,
}

/// Memory that a device can be read into.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(super) fn new(length: usize) -> Self {
        let bytes = vec![0; length + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { bytes, start }
    }

    /// The first `length` bytes, which must not be more than it was made for.
    pub(super) fn first(&mut self, length: usize) -> &mut [u8] {
        &mut self.bytes[self.start..][..length]
    }
}

impl Device {
    /// Opens it for reading.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (reads, kind) = open(path, OFlags::RDONLY)?;
        Self::new(path, reads, kind, None)
    }

    /// Opens it for reading and writing; a device that is mounted or otherwise claimed is refused.
    pub(super) fn open_for_writing(path: &Path) -> Result<Self> {
        let (reads, kind) = open(path, OFlags::RDONLY)?;
        // On a device, and without CREATE, this claims it.
        let flags = if kind == FileType::BlockDevice { OFlags::EXCL } else { OFlags::empty() };
        let (writes, again) = open(path, OFlags::RDWR | flags)?;
        if again != kind {
            return Err(unusable(path, io::Error::other("it was replaced while it was opened")));
        }
        Self::new(path, reads, kind, Some(writes))
    }

    fn new(path: &Path, buffered: OwnedFd, kind: FileType, writes: Option<OwnedFd>) -> Result<Self> {
        let size = fs::seek(writes.as_ref().unwrap_or(&buffered), SeekFrom::End(0));
        let size = size.map_err(|error| unusable(path, error))?;
        let reads = match kind {
            FileType::BlockDevice => {
                open(path, OFlags::RDONLY | OFlags::DIRECT).map_or(buffered, |(direct, _)| direct)
            }
            _ => buffered,
        };
        Ok(Self { path: path.display().to_string(), size, reads, writes })
    }

    /// Bytes of it.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// As it is named in errors.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The extents that may hold anything but zeros.
    pub(super) fn data(&self, geometry: &Geometry) -> ExtentSet {
        let mut set = ExtentSet::none(geometry.extents());
        let mut at = 0;
        while at < geometry.size() {
            let (data, end) = sparse::next_data(self.reads.as_fd(), at, geometry.size());
            set.insert(geometry.covering(data..end));
            at = end;
        }
        set
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::Read`] with the first byte that cannot be had.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            let failed = |source: io::Error| Error::Read { path: self.path.clone(), offset: at, source };
            match pread(&self.reads, &mut buffer[filled..], at) {
                Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                // A long direct read fails as a whole; short ones find the place.
                Err(Errno::IO) if buffer.len() - filled > ALIGNMENT => {
                    let mut pieces = buffer[filled..].chunks_mut(ALIGNMENT).zip((at..).step_by(ALIGNMENT));
                    return pieces.try_for_each(|(piece, at)| self.read(piece, at));
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(())
    }

    /// Writes `bytes` at `offset`. What does not fit into the device is refused.
    pub(super) fn write(&self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        let fits = offset.checked_add(bytes.len() as u64).is_some_and(|end| end <= self.size);
        let Some(fd) = self.writes.as_ref().filter(|_| fits) else {
            return Err(self.not_written(offset, Errno::INVAL));
        };
        while !bytes.is_empty() {
            match pwrite(fd, bytes, offset) {
                Ok(0) => return Err(self.not_written(offset, Errno::IO)),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.not_written(offset, error)),
            }
        }
        Ok(())
    }

    /// Makes zeros of a range without writing them; `false` if the device cannot.
    pub(super) fn punch(&self, offset: u64, length: u64) -> Result<bool> {
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.size);
        match self.writes.as_ref().filter(|_| fits) {
            Some(fd) => sparse::punch(fd, offset, length).map_err(|error| self.not_written(offset, error)),
            None => Err(self.not_written(offset, Errno::INVAL)),
        }
    }

    /// Waits until all that was written is on stable storage.
    pub(super) fn sync(&self) -> Result<()> {
        match self.writes.as_ref().map(fs::fsync) {
            Some(Err(error)) => Err(self.not_written(0, error)),
            _ => Ok(()),
        }
    }

    /// Lets the next reads come from storage, after [`Device::sync`].
    pub(super) fn forget(&self) {
        // Where there are no pages to forget, or they stay, reading them is only worth less.
        let _ = fs::fadvise(&self.reads, 0, None, Advice::DontNeed);
    }

    fn not_written(&self, offset: u64, error: Errno) -> Error {
        let path = self.path.clone();
        match error {
            Errno::NOSPC | Errno::DQUOT => Error::Full { path, source: error.into() },
            _ => Error::Write { path, offset, source: error.into() },
        }
    }
}

/// Opens a path that the caller vouches for, and tells what it is if that can be used.
fn open(path: &Path, flags: OFlags) -> Result<(OwnedFd, FileType)> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = fs::open(path, flags, Mode::empty()).map_err(|error| unusable(path, error))?;
    let kind = fs::fstat(&fd).map_err(|error| unusable(path, error))?;
    match FileType::from_raw_mode(kind.st_mode) {
        kind @ (FileType::BlockDevice | FileType::RegularFile) => Ok((fd, kind)),
        _ => Err(unusable(path, io::Error::other("it is neither a block device nor a regular file"))),
    }
}

fn unusable(path: &Path, source: impl Into<io::Error>) -> Error {
    Error::Device { path: path.display().to_string(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_device_nor_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::mkfifoat(fs::CWD, dir.path().join("pipe"), Mode::RUSR).unwrap();
        for path in
            [dir.path().to_owned(), dir.path().join("pipe"), "/dev/null".into(), dir.path().join("no")]
        {
            assert_eq!(
                Device::open(&path).err().map(|error| error.code()),
                Some("volume.device"),
                "{path:?}"
            );
        }
    }

    #[test]
    fn nothing_is_written_beyond_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        std::fs::write(&path, [1; 100]).unwrap();
        let device = Device::open_for_writing(&path).unwrap();
        for (length, offset) in [(1, 100), (101, 0), (1, u64::MAX)] {
            assert_eq!(device.write(&vec![2; length], offset).unwrap_err().code(), "volume.write");
            assert_eq!(device.punch(offset, length as u64).unwrap_err().code(), "volume.write");
        }
        device.write(&[3; 10], 90).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 100);
        let error = Device::open(&path).unwrap().read(&mut [0; 11], 90).unwrap_err();
        assert!(matches!(error, Error::Read { offset: 100, .. }), "{error}");
    }

    #[test]
    fn buffers_are_aligned() {
        let mut buffer = Buffer::new(70_000);
        assert_eq!(buffer.first(70_000).as_ptr() as usize % ALIGNMENT, 0);
    }
}
