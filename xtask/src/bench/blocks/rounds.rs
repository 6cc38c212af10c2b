//! Rounds in which every side captures the volume in each of its states, in an order that rotates.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::holdfast::Blocks;
use super::image::{Image, bytes_of};
use crate::bench::measure::{Cost, cost_of};
use crate::bench::tree::Vocabulary;
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
    /// Bytes that were read of the volume, as Holdfast says.
    pub read: Option<u64>,
    /// Bytes of an extent, as Holdfast says.
    pub extent: Option<u64>,
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
    pub fn run(&mut self, round: usize, image: &mut Image) -> Result<()> {
        self.own.anew()?;
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
            let changed = match step {
                Step::First | Step::Restore => Vec::new(),
                Step::Changed(part) => image.change_runs(f64::from(part) / 1000.0, self.words, seed)?,
                Step::Random => {
                    let count = (RANDOM_BLOCKS as f64 * image.size() as f64 / FULL as f64) as usize;
                    image.change_blocks(count.max(1), self.words, seed)?
                }
            };
            if !changed.is_empty() {
                self.own.changed(&changed)?;
            }
            for turn in 0..self.sides.len() {
                let chosen = (turn + round) % self.sides.len();
                if step != Step::Restore || self.sides[chosen].name() == self.own.name() {
                    self.step(step, round, chosen, &places[chosen], image, bytes_of(&changed))?;
                }
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        step: Step,
        round: usize,
        side: usize,
        place: &Place,
        image: &Image,
        changed: u64,
    ) -> Result<()> {
        let side = self.sides[side];
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
        let report = match side.name() == self.own.name() && step != Step::Restore {
            true => self.own.report(place)?,
            false => serde_json::Value::Null,
        };
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
            read.map_or("all".to_owned(), |read| format!("{} KiB of {} KiB", read >> 10, changed >> 10)),
        );
        let sample = Sample { cost, sync_seconds, stored: place.stored()?, changed, read, extent };
        self.samples.entry((step, side.name())).or_default().push(sample);
        if step == Step::Restore {
            ensure!(is_same(image.path(), &place.restored())?, "{} restored something else", side.name());
            eprintln!("    {} restored every byte", side.name());
            std::fs::remove_file(place.restored())?;
        }
        Ok(())
    }
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
