//! The image file of a volume: written here and there, as a file system does, and changed in place.

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

/// A sparse file.
pub struct Image {
    path: PathBuf,
    file: File,
    size: u64,
    /// Where its pieces begin.
    pieces: Vec<u64>,
}

impl Image {
    /// Makes one in a directory of its own.
    pub fn generate(
        directory: &Path,
        size: u64,
        allocated: u64,
        words: &Vocabulary,
        seed: u64,
    ) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join("volume.img");
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        file.set_len(size)?;
        let mut random = Random::new(seed);
        let mut slots: Vec<u64> = (0..size / PIECE).map(|slot| slot * PIECE).collect();
        shuffle(&mut slots, &mut random);
        slots.truncate((allocated / PIECE) as usize);
        ensure!(!slots.is_empty(), "the scale is too small for one piece of {PIECE} bytes");
        let mut image = Self { path, file, size, pieces: slots };
        image.pieces.sort_unstable();
        for number in 0..image.pieces.len() {
            let mut content = Vec::with_capacity(PIECE as usize);
            while content.len() < PIECE as usize {
                let kind = KINDS[random.below(KINDS.len())];
                let length = random.length(64 << 10, 4 << 20).min(PIECE as usize - content.len());
                words.content(kind, length, &mut random, &mut content);
            }
            image.file.write_all_at(&content, image.pieces[number])?;
        }
        Ok(image)
    }

    /// Its file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is.
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
            self.file.write_all_at(&content, start).context("cannot write to the volume")?;
            match changed.last_mut() {
                Some(last) if last.end == start => last.end += length,
                _ => changed.push(start..start + length),
            }
        }
        self.file.sync_all()?;
        Ok(changed)
    }
}

fn shuffle(values: &mut [u64], random: &mut Random) {
    for last in (1..values.len()).rev() {
        values.swap(last, random.below(last + 1));
    }
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
        let mut image = Image::generate(&dir.path().join("data"), 8 * PIECE, 2 * PIECE, &words, 7).unwrap();
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
}
