//! Where files and devices hold data, and how zeros are kept from taking room.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, FallocateFlags, SeekFrom};
use rustix::io::Errno;

/// The next piece with data at or after `at`: where it begins and ends. What knows no holes, as
/// most block devices, calls everything up to `size` data.
pub(crate) fn next_data(fd: BorrowedFd<'_>, at: u64, size: u64) -> (u64, u64) {
    let data = match fs::seek(fd, SeekFrom::Data(at)) {
        Ok(data) => data.clamp(at, size),
        // No data from here to the end.
        Err(Errno::NXIO) => return (size, size),
        Err(_) => return (at, size),
    };
    // A piece that ends where it begins is none; a hole made meanwhile looks like that.
    let end = fs::seek(fd, SeekFrom::Hole(data)).ok().filter(|hole| *hole > data);
    (data, end.unwrap_or(size).min(size))
}

/// Whether all bytes are zero; usually decided by the first ones.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<64>();
    blocks.iter().all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

/// Makes zeros of what is there, without room for them; `false` where that is not known.
pub(crate) fn punch(fd: impl AsFd, offset: u64, length: u64) -> Result<bool, Errno> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    loop {
        return match fs::fallocate(&fd, flags, offset, length) {
            Err(Errno::INTR) => continue,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            other => other.map(|()| true),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn data_is_found_between_holes_and_becomes_one_again() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 << 20).unwrap();
        file.write_all_at(&[7; 65_536], 1 << 20).unwrap();
        let find = |at| next_data(file.as_fd(), at, 4 << 20);
        assert_eq!(find(0), (1 << 20, (1 << 20) + 65_536));
        assert_eq!(find(2 << 20), (4 << 20, 4 << 20));
        assert_eq!(punch(&file, 1 << 20, 65_536), Ok(true));
        assert_eq!(find(0), (4 << 20, 4 << 20));
    }

    #[test]
    fn one_bit_anywhere_is_not_zero() {
        let mut bytes = vec![0; 1000];
        assert!(is_zero(&bytes) && is_zero(&[]));
        for at in [0, 63, 64, 959, 999] {
            bytes[at] = 1;
            assert!(!is_zero(&bytes), "{at}");
            bytes[at] = 0;
        }
    }
}
