//! A block volume into a vault: what its storage says has data, then what it says has changed, then random writes;
//! beside restic and kopia, which read the volume's image file, and a copy of that.

mod holdfast;
mod image;
mod rounds;
mod storage;
mod verdict;

use anyhow::{Context, Result};
use holdfast_testbed::{Cache, Part};
use serde_json::json;

use super::report::Report;
use super::tree::Vocabulary;
use super::vault::floor::Floor;
use super::vault::kopia::Kopia;
use super::vault::program::Program;
use super::vault::restic::Restic;
use super::{Arguments, enclosure};
use crate::stage;
use holdfast::Blocks;
use image::Image;
use rounds::Rounds;
use storage::Storage;

/// What is particular to this benchmark.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Peers to leave out: floor, restic, kopia
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    without_peer: Vec<String>,
}

/// Bytes of the volume,
const SIZE: u64 = 20 << 30;
/// and of what was ever written to it.
const ALLOCATED: u64 = 4 << 30;

/// Measures and judges.
pub fn run(options: &Options, arguments: &Arguments, mut report: Report) -> Result<Report> {
    report.bench = "blocks";
    let ground = enclosure::ground()?;
    let words = Vocabulary::new(arguments.seed);
    let scaled = |bytes: u64| (bytes as f64 * arguments.scale) as u64;
    let size = scaled(SIZE).next_multiple_of(1 << 20);
    let mut storage = Storage::start(&ground, size)?;
    let (device, path) = (storage.device().to_owned(), storage.image()?);
    eprintln!("    generating a volume of {} MiB at {}", size >> 20, path.display());
    let image = Image::generate(&device, path, size, scaled(ALLOCATED), &words, arguments.seed);
    let mut image = image.context("cannot generate the volume")?;
    let own = Blocks::new(arguments.program()?, device, ground.join("ranges"));
    let peers = peers(&options.without_peer)?;
    for side in peers.iter().map(AsRef::as_ref).chain([&own as &dyn Program]) {
        report.versions.insert(side.name().to_owned(), side.version()?);
    }
    report.work = json!({
        "size": image.size(),
        "allocated": image.allocated(),
        "holdfast_reads": "the device, past the page cache, where the SnapshotMetadata service of the testbed's driver says so",
        "service": "asked at the driver's socket before each capture; the time for that counts",
        "peers_read": "the image file behind the device, from a warm page cache",
        "file_system": "the volume in the driver's btrfs; for every side in every round a new xfs on a loop device, synced between steps",
    });
    let mut rounds = Rounds::new(&ground, arguments.seed, &words, &own, &peers);
    for round in 0..arguments.runs {
        report.note_load();
        rounds.run(round, &mut image, &mut storage)?;
    }
    verdict::judge(&mut report, &rounds.samples)?;
    // It has the device open.
    drop(image);
    storage.stop()?;
    Ok(report)
}

fn peers(without: &[String]) -> Result<Vec<Box<dyn Program>>> {
    let (cache, reporter) = (Cache::of_user()?, stage::reporter());
    let program = |part: Part| -> Result<_> { Ok(part.build(&cache, &reporter)?.bin(part.name())) };
    let mut peers: Vec<Box<dyn Program>> = Vec::new();
    if !without.iter().any(|name| name == "floor") {
        peers.push(Box::new(Floor));
    }
    if !without.iter().any(|name| name == "restic") {
        peers.push(Box::new(Restic::new(program(Part::Restic)?)));
    }
    if !without.iter().any(|name| name == "kopia") {
        peers.push(Box::new(Kopia::new(program(Part::Kopia)?)));
    }
    Ok(peers)
}
