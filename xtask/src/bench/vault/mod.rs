//! Files into a vault and back: first, unchanged, changed and restore, beside restic, kopia and a plain copy.

pub(in crate::bench) mod floor;
pub(in crate::bench) mod holdfast;
pub(in crate::bench) mod kopia;
pub(in crate::bench) mod place;
pub(in crate::bench) mod program;
pub(in crate::bench) mod restic;
mod rounds;
mod verdict;

use std::path::Path;

use anyhow::{Context, Result};
use holdfast_testbed::{Cache, Part};
use serde_json::json;

use super::filesystem::{FileSystem, ensure_room, sync};
use super::report::Report;
use super::tree::{self, Entry, Vocabulary};
use super::{Arguments, enclosure};
use crate::stage;
use place::Store;
use program::Program;
use rounds::{Rounds, Samples, Step};

/// Which tree is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// 3.4 GiB in 47,000 files.
    Mix,
    /// 200,000 small files.
    Small,
    /// So many small files.
    Many(usize),
}

/// What is particular to benchmarks of files.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where repositories are
    #[arg(long, value_enum, value_delimiter = ',', default_value = "local,s3")]
    store: Vec<Store>,
    /// Sides to leave out: floor, restic, kopia, holdfast
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    without: Vec<String>,
}

/// What is particular to the benchmark of a great many files.
#[derive(Debug, Clone, clap::Args)]
pub struct FilesOptions {
    /// How many files
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    count: usize,
    /// Sides to leave out: floor, restic, kopia, holdfast
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    without: Vec<String>,
}

/// Measures a great many files into a directory, and judges.
pub fn run_files(options: &FilesOptions, arguments: &Arguments, report: Report) -> Result<Report> {
    let count = ((options.count as f64 * arguments.scale) as usize).max(10);
    let local = Options { store: vec![Store::Local], without: options.without.clone() };
    run(Work::Many(count), &local, arguments, report)
}

/// Part of the bytes that changes between two backups.
const CHANGE: f64 = 0.01;

/// How often the bytes find themselves on disk at most: as a copy, or in a repository, and restored, for each side.
const ROOM: u64 = 8;

/// Measures and judges.
pub fn run(work: Work, options: &Options, arguments: &Arguments, mut report: Report) -> Result<Report> {
    report.bench = work.name();
    let sides = sides(arguments, &options.without)?;
    for side in &sides {
        report.versions.insert(side.name().to_owned(), side.version()?);
    }
    let ground = enclosure::ground()?;
    let disk = FileSystem::fresh(&ground, "source")?;
    let source = disk.path().join("data");
    let words = Vocabulary::new(arguments.seed);
    let mut entries = generate(work, arguments, &source, &words)?;
    ensure_room(ROOM * tree::bytes_of(&entries))?;
    report.work = json!({
        "files": entries.len(),
        "bytes": tree::bytes_of(&entries),
        "page_cache": "warm: every file was read just before each round",
        "file_system": "xfs on a loop device; new for every side in every round, synced between steps",
    });
    for store in &options.store {
        let mut rounds = Rounds {
            ground: &ground,
            source: &source,
            words: &words,
            seed: arguments.seed,
            store: *store,
            steps: work.steps(),
            samples: Samples::new(),
        };
        for round in 0..arguments.runs {
            report.note_load();
            rounds.run(round, &sides, &mut entries)?;
        }
        verdict::judge(&mut report, *store, &rounds.samples)?;
    }
    verdict::hold(&mut report, work);
    Ok(report)
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Mix => "vault",
            Self::Small => "vault-small",
            Self::Many(_) => "files",
        }
    }

    fn steps(self) -> &'static [Step] {
        match self {
            Self::Mix | Self::Small => &Step::ALL,
            // What comes back, and how fast, is what the others measure.
            Self::Many(_) => &Step::ALL[..3],
        }
    }
}

fn generate(work: Work, arguments: &Arguments, source: &Path, words: &Vocabulary) -> Result<Vec<Entry>> {
    let entries = match work {
        Work::Mix => tree::mix(arguments.seed, arguments.scale),
        Work::Small => tree::small(arguments.seed, arguments.scale),
        Work::Many(count) => tree::many(arguments.seed, count),
    };
    let gib = tree::bytes_of(&entries) as f64 / f64::from(1 << 30);
    eprintln!("    generating {} files, {gib:.2} GiB", entries.len());
    tree::write(source, &entries, words).context("cannot generate the files")?;
    sync(source)?;
    Ok(entries)
}

/// All sides but those left out, the floor first.
fn sides(arguments: &Arguments, without: &[String]) -> Result<Vec<Box<dyn Program>>> {
    let (cache, reporter) = (Cache::of_user()?, stage::reporter());
    let wanted = |name: &str| !without.iter().any(|left_out| left_out == name);
    let program = |part: Part| -> Result<_> { Ok(part.build(&cache, &reporter)?.bin(part.name())) };
    let mut sides: Vec<Box<dyn Program>> = Vec::new();
    if wanted("floor") {
        sides.push(Box::new(floor::Floor));
    }
    if wanted("restic") {
        sides.push(Box::new(restic::Restic::new(program(Part::Restic)?)));
    }
    if wanted("kopia") {
        sides.push(Box::new(kopia::Kopia::new(program(Part::Kopia)?)));
    }
    if wanted("holdfast") {
        sides.push(Box::new(holdfast::Holdfast::new(arguments.program()?)));
    }
    Ok(sides)
}
