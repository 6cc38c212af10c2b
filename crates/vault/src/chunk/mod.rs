//! Where files are cut: content-defined chunking by a keyed gear hash.
//!
//! The gear hash of FastCDC (Xia et al., USENIX ATC 2016) with normalised chunking; the table is
//! derived from the repository's secret polynomial, so chunk lengths tell nothing to who cannot
//! read `config`. Readers do not care where chunks were cut.

use sha2::{Digest, Sha256};

/// No chunk but the last is shorter.
pub(crate) const MIN_CHUNK: usize = 512 << 10;
/// From this length on a cut becomes sixteen times as likely.
const NORMAL_CHUNK: usize = 1 << 20;
/// No chunk is longer.
pub(crate) const MAX_CHUNK: usize = 8 << 20;
/// The hash depends on this many bytes before a cut.
const WINDOW: usize = 64;
/// Before [`NORMAL_CHUNK`] one position in 2^22 is a cut, afterwards one in 2^18. Only the high
/// bits depend on the whole window.
const STRICT_MASK: u64 = ((1 << 22) - 1) << 42;
const LOOSE_MASK: u64 = ((1 << 18) - 1) << 46;

/// The table of one repository.
pub(crate) struct Gear(Box<[u64; 256]>);

impl Gear {
    /// The table derived from a repository's chunker polynomial.
    pub(crate) fn new(polynomial: u64) -> Self {
        let entry = |byte: u8| {
            let mut hash = Sha256::new();
            hash.update(b"holdfast gear 1");
            hash.update(polynomial.to_be_bytes());
            hash.update([byte]);
            let digest: [u8; 32] = hash.finalize().into();
            digest[..8].iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
        };
        let mut table = Box::new([0; 256]);
        for (byte, slot) in (0..=255).zip(table.iter_mut()) {
            *slot = entry(byte);
        }
        Self(table)
    }
}

/// Finds the end of one chunk after the other while its bytes arrive.
#[derive(Default)]
pub(crate) struct Cutter {
    hash: u64,
    examined: usize,
}

impl Cutter {
    /// Looks for the end of the chunk that begins with `chunk`, which holds what was passed before
    /// and more. `Some(length)` ends it and makes ready for the next one.
    pub(crate) fn find(&mut self, gear: &Gear, chunk: &[u8]) -> Option<usize> {
        let found = self.scan(gear, chunk);
        if found.is_some() {
            *self = Self::default();
        }
        found
    }

    fn scan(&mut self, gear: &Gear, chunk: &[u8]) -> Option<usize> {
        if chunk.len() < MIN_CHUNK {
            return None;
        }
        if self.examined == 0 {
            // Zeros in a file are cut as the holes of sparse files are, and stored once.
            if is_zero(&chunk[..MIN_CHUNK]) {
                return Some(MIN_CHUNK);
            }
            self.examined = MIN_CHUNK - WINDOW;
            self.roll(gear, &chunk[..MIN_CHUNK], 0);
        }
        let strict_end = chunk.len().min(NORMAL_CHUNK);
        let end = chunk.len().min(MAX_CHUNK);
        self.roll(gear, &chunk[..strict_end], STRICT_MASK)
            .or_else(|| self.roll(gear, &chunk[..end], LOOSE_MASK))
            .or((end == MAX_CHUNK).then_some(MAX_CHUNK))
    }

    /// Hashes on to the end of `chunk`, or to the first position where `mask` matches; a mask of 0
    /// never matches.
    fn roll(&mut self, gear: &Gear, chunk: &[u8], mask: u64) -> Option<usize> {
        let start = self.examined.min(chunk.len());
        let mut hash = self.hash;
        for (at, &byte) in chunk[start..].iter().enumerate() {
            hash = (hash << 1).wrapping_add(gear.0[usize::from(byte)]);
            if hash & mask == 0 && mask != 0 {
                return Some(start + at + 1);
            }
        }
        self.hash = hash;
        self.examined = self.examined.max(chunk.len());
        None
    }
}

/// Whether all bytes are zero; usually decided by the first word.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<64>();
    blocks.iter().all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// xorshift64*, so that the data of the tests is the same everywhere.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let words = std::iter::repeat_with(|| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes()
        });
        words.flatten().take(length).collect()
    }

    /// Lengths of all chunks of `data` when it arrives in pieces of `piece` bytes.
    fn cut(gear: &Gear, data: &[u8], piece: usize) -> Vec<usize> {
        let (mut lengths, mut start, mut cutter) = (Vec::new(), 0, Cutter::default());
        for end in (piece..data.len() + piece).step_by(piece).map(|end| end.min(data.len())) {
            while let Some(length) = cutter.find(gear, &data[start..end]) {
                lengths.push(length);
                start += length;
            }
        }
        lengths.push(data.len() - start);
        lengths
    }

    #[test]
    fn cuts_do_not_depend_on_how_the_data_arrives() {
        let gear = Gear::new(0x3D_A335_8B4D_C173);
        let data = noise(1, 24 << 20);
        let whole = cut(&gear, &data, data.len());
        for piece in [1 << 20, 262_144, 99_991] {
            assert_eq!(cut(&gear, &data, piece), whole, "{piece}");
        }
    }

    #[test]
    fn lengths_keep_their_bounds_and_average() {
        let lengths = cut(&Gear::new(7), &noise(2, 96 << 20), 1 << 20);
        let inner = &lengths[..lengths.len() - 1];
        assert!(inner.iter().all(|length| (MIN_CHUNK..=MAX_CHUNK).contains(length)));
        let average = inner.iter().sum::<usize>() / inner.len();
        assert!((900 << 10..1_400 << 10).contains(&average), "{average}");
    }

    #[test]
    fn a_changed_beginning_does_not_move_later_cuts() {
        let gear = Gear::new(7);
        let data = noise(3, 32 << 20);
        let altered: Vec<u8> = [b"an insertion", &data[..]].concat();
        let positions = |lengths: Vec<usize>, shift: usize| -> Vec<usize> {
            lengths
                .iter()
                .scan(0, |at, length| {
                    *at += length;
                    Some(*at - shift)
                })
                .collect()
        };
        let before = positions(cut(&gear, &data, 1 << 20), 0);
        let after = positions(cut(&gear, &altered, 1 << 20), 12);
        let common = after.iter().filter(|at| before.contains(at)).count();
        assert!(common + 4 >= before.len(), "{common} of {}", before.len());
    }

    #[test]
    fn another_repository_cuts_elsewhere() {
        let data = noise(4, 8 << 20);
        assert_ne!(cut(&Gear::new(1), &data, 1 << 20), cut(&Gear::new(2), &data, 1 << 20));
    }

    #[test]
    fn zeros_are_cut_into_equal_pieces_and_dull_data_at_the_maximum() {
        let gear = Gear::new(9);
        assert_eq!(cut(&gear, &vec![0; 3 * MIN_CHUNK + 5], 100_000), [MIN_CHUNK, MIN_CHUNK, MIN_CHUNK, 5]);
        let dull = cut(&gear, &vec![1; MAX_CHUNK + 7], 1 << 20);
        assert!(dull.iter().all(|&length| length <= MAX_CHUNK));
        assert_eq!(dull.iter().sum::<usize>(), MAX_CHUNK + 7);
    }
}
