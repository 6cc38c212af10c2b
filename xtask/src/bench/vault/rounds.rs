//! Rounds in which every side does every step, one side after the other, in an order that rotates.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use tokio::runtime::Runtime;

use super::CHANGE;
use super::place::{Place, Server, Store};
use super::program::Program;
use crate::bench::filesystem::sync;
use crate::bench::measure::{Cost, cost_of};
use crate::bench::tree::{self, Entry, Vocabulary};

/// What is measured, in the order in which it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Into an empty repository.
    First,
    /// Again, with nothing changed.
    Unchanged,
    /// Again, with about 1 % of the bytes changed.
    Changed,
    /// Into an empty directory.
    Restore,
}

impl Step {
    /// All steps.
    pub const ALL: [Step; 4] = [Step::First, Step::Unchanged, Step::Changed, Step::Restore];

    /// Its name in results.
    pub fn key(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
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
}

/// Measurements by step and side.
pub type Samples = BTreeMap<(Step, &'static str), Vec<Sample>>;

/// Rounds about one store.
pub struct Rounds<'a> {
    /// Where file systems are mounted.
    pub ground: &'a Path,
    /// What is backed up.
    pub source: &'a Path,
    /// What its files are made of.
    pub words: &'a Vocabulary,
    /// What everything follows from.
    pub seed: u64,
    /// Where repositories are.
    pub store: Store,
    /// What is done in each.
    pub steps: &'static [Step],
    /// What was measured so far.
    pub samples: Samples,
}

impl Rounds<'_> {
    /// One round: fresh places, then every step by every side.
    pub fn run(&mut self, round: usize, sides: &[Box<dyn Program>], entries: &mut Vec<Entry>) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let server = match self.store {
            Store::Local => None,
            Store::S3 => Some(Server::start(&runtime, self.ground)?),
        };
        let places = self.places(&runtime, server.as_ref(), sides)?;
        for (side, place) in sides.iter().zip(&places) {
            side.create(place)?;
        }
        tree::warm(self.source)?;
        for &step in self.steps {
            if step == Step::Changed {
                let seed = self.seed.wrapping_add(1 + round as u64);
                let changed = tree::change(self.source, entries, self.words, seed, CHANGE)?;
                eprintln!("    changed {changed:?}");
                sync(self.source)?;
            }
            for turn in 0..sides.len() {
                let chosen = (turn + round) % sides.len();
                self.step(step, round, sides[chosen].as_ref(), &places[chosen])?;
            }
        }
        drop(places);
        server.map_or(Ok(()), |server| server.stop(&runtime))
    }

    fn places(
        &self,
        runtime: &Runtime,
        server: Option<&Server>,
        sides: &[Box<dyn Program>],
    ) -> Result<Vec<Place>> {
        let server = server.map(|server| (runtime, server));
        sides.iter().map(|side| Place::fresh(self.ground, side.name(), server)).collect()
    }

    fn step(&mut self, step: Step, round: usize, side: &dyn Program, place: &Place) -> Result<()> {
        let mut job = match step {
            Step::Restore => side.restore(place, self.source)?,
            _ => side.backup(place, self.source)?,
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
        let stored = if side.name() == "floor" { 0 } else { place.stored()? };
        eprintln!(
            "    {} round {}: {:<9} {:<9} {:>6.1} s, synced after {:>4.1} s, {:>6.1} s cpu, {:>5.0} MiB",
            self.store.name(),
            round + 1,
            step.key(),
            side.name(),
            cost.seconds,
            sync_seconds,
            cost.cpu_seconds,
            cost.peak_rss_mib
        );
        self.samples.entry((step, side.name())).or_default().push(Sample { cost, sync_seconds, stored });
        if step == Step::Restore {
            if round == 0 && side.name() != "floor" {
                self.verify(side, place)?;
            }
            place.clear()?;
        }
        Ok(())
    }

    fn verify(&self, side: &dyn Program, place: &Place) -> Result<()> {
        let found = tree::differences(self.source, &place.restored())?;
        ensure!(found.is_empty(), "{} restored something else:\n{}", side.name(), found.join("\n"));
        eprintln!("    {} restored every byte", side.name());
        Ok(())
    }
}
