//! Bytes of content on their way into a file.

use std::os::fd::OwnedFd;

use rustix::io::{Errno, pwrite};

use crate::sparse;

/// Zeros from this length on become holes.
const HOLE: usize = 32 * 1024;

/// Puts bytes into a file, zeros as a hole; `false` if nothing had to be written. What is fresh has
/// nothing but holes yet.
pub(super) fn put(fd: &OwnedFd, offset: u64, bytes: &[u8], is_fresh: bool) -> Result<bool, Errno> {
    if is_hole(bytes) && (is_fresh || sparse::punch(fd, offset, bytes.len() as u64)?) {
        return Ok(false);
    }
    write_all(fd, offset, bytes)?;
    Ok(true)
}

fn is_hole(bytes: &[u8]) -> bool {
    bytes.len() >= HOLE && sparse::is_zero(bytes)
}

fn write_all(fd: &OwnedFd, mut offset: u64, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match pwrite(fd, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
