//! What is on a volume: written here and there, as a file system does, and changed in place.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::bench::tree::{Kind, Random, Vocabulary};

/// What is allocated is allocated in pieces of this length.
const PIECE: u64 = 16 << 20;
/// What changes, changes in runs of this length
const RUN: u64 = 1 << 20;
/// that begin at any block of a file system.
const BLOCK: u64 = 4096;

const KINDS: [Kind; 5] = [Kind::Text, Kind::Records, Kind::Binary, Kind::Packed, Kind::Pages];

/// A volume as its users see it, a device, and as its storage does, a sparse file.
pub struct Image {
    device: File,
    path: PathBuf,
    size: u64,
    /// Where its pieces begin.
    pieces: Vec<u64>,
}

impl Image {
    /// Writes to a device of `size` bytes without content; `path` is the file behind it.
    pub fn generate(
        device: &Path,
        path: PathBuf,
        size: u64,
        allocated: u64,
        words: &Vocabulary,
        seed: u64,
    ) -> Result<Self> {
        let device = File::options().write(true).open(device).context("cannot open the volume")?;
        let mut random = Random::new(seed);
        let mut slots: Vec<u64> = (0..size / PIECE).map(|slot| slot * PIECE).collect();
        shuffle(&mut slots, &mut random);
        slots.truncate((allocated / PIECE) as usize);
        ensure!(!slots.is_empty(), "the scale is too small for one piece of {PIECE} bytes");
        slots.sort_unstable();
        let image = Self { device, path, size, pieces: slots };
        for piece in &image.pieces {
            let mut content = Vec::with_capacity(PIECE as usize);
            while content.len() < PIECE as usize {
                let kind = KINDS[random.below(KINDS.len())];
                let length = random.length(64 << 10, 4 << 20).min(PIECE as usize - content.len());
                words.content(kind, length, &mut random, &mut content);
            }
            image.device.write_all_at(&content, *piece)?;
        }
        image.device.sync_all()?;
        Ok(image)
    }

    /// The file behind the device.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that were ever written.
    pub fn allocated(&self) -> u64 {
        self.pieces.len() as u64 * PIECE
    }

    /// Reads what has data from the file behind the device, past which it was written: whoever reads the file finds it
    /// in memory.
    pub fn warm(&self) -> Result<()> {
        let file = File::open(&self.path).context("cannot open the image")?;
        let mut buffer = vec![0; PIECE as usize];
        self.pieces.iter().try_for_each(|piece| Ok(file.read_exact_at(&mut buffer, *piece)?))
    }

    /// Overwrites `part` of the volume's bytes in runs of 1 MiB; returns what changed, as a driver would say it.
    pub fn change_runs(&mut self, part: f64, words: &Vocabulary, seed: u64) -> Result<Vec<Range<u64>>> {
        let mut random = Random::new(seed);
        let shift = random.below((RUN / BLOCK) as usize) as u64 * BLOCK;
        let in_piece =
            |start: &u64| (0..PIECE / RUN - 1).map(|run| run * RUN + start + shift).collect::<Vec<_>>();
        let mut starts: Vec<u64> = self.pieces.iter().flat_map(in_piece).collect();
        shuffle(&mut starts, &mut random);
        let count = ((self.size as f64 * part / RUN as f64).round() as usize).clamp(1, starts.len());
        starts.truncate(count);
        self.overwrite(starts, RUN, words, &mut random)
    }

    /// Overwrites `count` blocks of 4 KiB anywhere in what is allocated; returns what changed.
    pub fn change_blocks(&mut self, count: usize, words: &Vocabulary, seed: u64) -> Result<Vec<Range<u64>>> {
        let mut random = Random::new(seed);
        let any = |random: &mut Random| {
            let piece = self.pieces[random.below(self.pieces.len())];
            piece + random.below((PIECE / BLOCK) as usize) as u64 * BLOCK
        };
        let starts = (0..count).map(|_| any(&mut random)).collect();
        self.overwrite(starts, BLOCK, words, &mut random)
    }

    fn overwrite(
        &self,
        mut starts: Vec<u64>,
        length: u64,
        words: &Vocabulary,
        random: &mut Random,
    ) -> Result<Vec<Range<u64>>> {
        starts.sort_unstable();
        starts.dedup();
        let mut changed: Vec<Range<u64>> = Vec::new();
        let mut content = Vec::new();
        for start in starts {
            content.clear();
            words.content(KINDS[random.below(KINDS.len())], length as usize, random, &mut content);
            self.device.write_all_at(&content, start).context("cannot write to the volume")?;
            match changed.last_mut() {
                Some(last) if last.end == start => last.end += length,
                _ => changed.push(start..start + length),
            }
        }
        self.device.sync_all()?;
        Ok(changed)
    }
}

fn shuffle(values: &mut [u64], random: &mut Random) {
    for last in (1..values.len()).rev() {
        values.swap(last, random.below(last + 1));
    }
}

/// Whether all bytes of `parts` are in `ranges`; both are in order and have gaps between them.
pub fn are_in(parts: &[Range<u64>], ranges: &[Range<u64>]) -> bool {
    parts.iter().all(|part| {
        let at = ranges.partition_point(|range| range.end < part.end);
        ranges.get(at).is_some_and(|range| range.start <= part.start)
    })
}

/// Bytes of ranges.
pub fn bytes_of(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_have_changed_is_what_has() {
        let (dir, words) = (tempfile::tempdir().unwrap(), Vocabulary::new(1));
        let path = dir.path().join("volume");
        File::create_new(&path).unwrap().set_len(8 * PIECE).unwrap();
        let mut image = Image::generate(&path, path.clone(), 8 * PIECE, 2 * PIECE, &words, 7).unwrap();
        assert_eq!((image.size(), image.allocated()), (8 * PIECE, 2 * PIECE));
        let before = std::fs::read(image.path()).unwrap();
        let mut changed = image.change_runs(0.03, &words, 8).unwrap();
        assert_eq!(bytes_of(&changed), 4 * RUN);
        changed.extend(image.change_blocks(20, &words, 9).unwrap());
        let after = std::fs::read(image.path()).unwrap();
        for (number, (before, after)) in before.chunks(4096).zip(after.chunks(4096)).enumerate() {
            let at = number as u64 * 4096;
            let said = changed.iter().any(|range| range.contains(&at));
            assert!(said || before == after, "byte {at} changed and nobody said so");
        }
    }

    #[test]
    fn a_part_that_was_not_named_is_found() {
        let ranges = [0..10, 20..30];
        assert!(are_in(&[0..10, 22..25, 29..30], &ranges));
        for part in [9..11, 12..13, 19..21, 30..31] {
            assert!(!are_in(std::slice::from_ref(&part), &ranges), "{part:?}");
        }
    }
}
