//! Rounds in which every side captures the volume in each of its states, in an order that rotates.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::holdfast::Blocks;
use super::image::{Image, are_in, bytes_of};
use super::storage::{Storage, Told};
use crate::bench::measure::{Cost, cost_of};
use crate::bench::tree::Vocabulary;
use crate::bench::vault::floor;
use crate::bench::vault::place::Place;
use crate::bench::vault::program::Program;

/// Blocks of 4 KiB that are written at random, for the whole volume.
const RANDOM_BLOCKS: usize = 2_560;
const FULL: u64 = super::SIZE;

/// What is measured, in the order in which it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Into an empty repository.
    First,
    /// Again, with so many thousandths of the volume changed in runs of 1 MiB.
    Changed(u32),
    /// Again, with random blocks of 4 KiB changed.
    Random,
    /// Into an empty file; Holdfast alone.
    Restore,
}

/// All steps.
pub const STEPS: [Step; 6] =
    [Step::First, Step::Changed(1), Step::Changed(10), Step::Changed(100), Step::Random, Step::Restore];

impl Step {
    /// Its name in results.
    pub fn key(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Changed(1) => "changed_0.1",
            Self::Changed(10) => "changed",
            Self::Changed(_) => "changed_10",
            Self::Random => "random_4k",
            Self::Restore => "restore",
        }
    }

    /// Whether a side takes it: a plain copy knows no changes, and peers restore in the benchmark of files.
    fn is_for(self, side: &str) -> bool {
        match self {
            Self::First => true,
            Self::Changed(_) | Self::Random => side != "floor",
            Self::Restore => side == "holdfast",
        }
    }
}

/// One side's step in one round.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// What it cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Seconds that it then took until everything was on disk.
    pub sync_seconds: f64,
    /// Bytes of the repository afterwards.
    pub stored: u64,
    /// Bytes that had changed.
    pub changed: u64,
    /// Seconds that the storage was asked what to read, before what it cost.
    pub asked_seconds: f64,
    /// Bytes that were read of the volume, as Holdfast says.
    pub read: Option<u64>,
    /// Bytes of an extent, as Holdfast says.
    pub extent: Option<u64>,
}

impl Sample {
    /// Seconds from the first question to the end of the program.
    pub fn seconds(&self) -> f64 {
        self.asked_seconds + self.cost.seconds
    }
}

/// Measurements by step and side.
pub type Samples = BTreeMap<(Step, &'static str), Vec<Sample>>;

/// All rounds.
pub struct Rounds<'a> {
    ground: &'a Path,
    seed: u64,
    words: &'a Vocabulary,
    own: &'a Blocks,
    sides: Vec<&'a dyn Program>,
    /// What was measured so far.
    pub samples: Samples,
}

impl<'a> Rounds<'a> {
    /// Rounds of these sides.
    pub fn new(
        ground: &'a Path,
        seed: u64,
        words: &'a Vocabulary,
        own: &'a Blocks,
        peers: &'a [Box<dyn Program>],
    ) -> Self {
        let sides = peers.iter().map(AsRef::as_ref).chain([own as &dyn Program]).collect();
        Self { ground, seed, words, own, sides, samples: Samples::new() }
    }

    /// One round: fresh places, then every step by every side.
    pub fn run(&mut self, round: usize, image: &mut Image, storage: &mut Storage) -> Result<()> {
        let places: Vec<Place> = self
            .sides
            .iter()
            .map(|side| Place::fresh(self.ground, side.name(), None))
            .collect::<Result<_>>()?;
        for (side, place) in self.sides.iter().zip(&places) {
            side.create(place)?;
        }
        for (number, step) in STEPS.into_iter().enumerate() {
            let seed = self.seed.wrapping_add(1 + (round * STEPS.len() + number) as u64);
            let turn = self.turn(step, seed, image, storage)?;
            for offset in 0..self.sides.len() {
                let chosen = (offset + round) % self.sides.len();
                if step.is_for(self.sides[chosen].name()) {
                    self.step(&turn, round, chosen, &places[chosen], image)?;
                }
            }
        }
        Ok(())
    }

    /// Changes the volume for a step, and has its storage say what is to be read.
    fn turn(&self, step: Step, seed: u64, image: &mut Image, storage: &mut Storage) -> Result<Turn> {
        let changed = match step {
            Step::First | Step::Restore => Vec::new(),
            Step::Changed(part) => image.change_runs(f64::from(part) / 1000.0, self.words, seed)?,
            Step::Random => {
                let count = (RANDOM_BLOCKS as f64 * image.size() as f64 / FULL as f64) as usize;
                image.change_blocks(count.max(1), self.words, seed)?
            }
        };
        let told = match step {
            Step::First => storage.allocated()?,
            Step::Restore => Told { ranges: Vec::new(), seconds: 0.0 },
            Step::Changed(_) | Step::Random => storage.changed()?,
        };
        ensure!(are_in(&changed, &told.ranges), "the storage does not name all that changed");
        self.own.know(&told.ranges)?;
        image.warm()?;
        Ok(Turn { step, changed: bytes_of(&changed), told: bytes_of(&told.ranges), asked: told.seconds })
    }

    fn step(&mut self, turn: &Turn, round: usize, side: usize, place: &Place, image: &Image) -> Result<()> {
        let (step, side) = (turn.step, self.sides[side]);
        let directory = image.path().parent().context("the image is in a directory")?;
        let mut job = match step {
            Step::Restore => side.restore(place, image.path())?,
            _ => side.backup(place, directory)?,
        };
        place.sync()?;
        let (cost, said) = std::thread::scope(|scope| {
            if let Some(meanwhile) = job.meanwhile.take() {
                scope.spawn(meanwhile);
            }
            cost_of(&mut job.command, &[0])
        })?;
        let begun = Instant::now();
        place.sync()?;
        let sync_seconds = begun.elapsed().as_secs_f64();
        side.said(place, &said)?;
        let is_own = side.name() == self.own.name() && step != Step::Restore;
        let report = if is_own { self.own.report(place)? } else { serde_json::Value::Null };
        let asked_seconds = if is_own { turn.asked } else { 0.0 };
        let (read, extent) = (report["blocks"]["read"].as_u64(), report["blocks"]["extentSize"].as_u64());
        eprintln!(
            "    round {}: {:<11} {:<9} {:>6.1} s, synced after {:>4.1} s, {:>6.1} s cpu, {:>5.0} MiB, read {}",
            round + 1,
            step.key(),
            side.name(),
            cost.seconds,
            sync_seconds,
            cost.cpu_seconds,
            cost.peak_rss_mib,
            read.map_or("all".to_owned(), |read| {
                let (read, told, changed) = (read >> 10, turn.told >> 10, turn.changed >> 10);
                format!("{read} KiB of {told} KiB named in {asked_seconds:.3} s, {changed} KiB changed")
            }),
        );
        let stored = if side.name() == "floor" { 0 } else { place.stored()? };
        let changed = turn.changed;
        let sample = Sample { cost, sync_seconds, stored, changed, asked_seconds, read, extent };
        self.samples.entry((step, side.name())).or_default().push(sample);
        if side.name() == "floor" {
            floor::forget(place)?;
        }
        if step == Step::Restore {
            ensure!(is_same(image.path(), &place.restored())?, "{} restored something else", side.name());
            eprintln!("    {} restored every byte", side.name());
            std::fs::remove_file(place.restored())?;
        }
        Ok(())
    }
}

/// A step with what was done before it.
struct Turn {
    step: Step,
    /// Bytes that changed.
    changed: u64,
    /// Bytes that the storage named.
    told: u64,
    /// Seconds that it was asked.
    asked: f64,
}

fn is_same(left: &Path, right: &Path) -> Result<bool> {
    let (mut left, mut right) = (File::open(left)?, File::open(right)?);
    let (mut ours, mut theirs) = (vec![0; 4 << 20], vec![0; 4 << 20]);
    loop {
        let length = left.read(&mut ours)?;
        if length == 0 {
            return Ok(right.read(&mut theirs)? == 0);
        }
        if right.read_exact(&mut theirs[..length]).is_err() || ours[..length] != theirs[..length] {
            return Ok(false);
        }
    }
}
