//! A block volume into a vault: all of it, then what a driver says has changed, then random writes; beside restic
//! and kopia, which read the volume's image file.

mod holdfast;
mod image;
mod rounds;
mod verdict;

use anyhow::{Context, Result};
use holdfast_testbed::{Cache, Part};
use serde_json::json;

use super::filesystem::{Device, FileSystem, sync};
use super::report::Report;
use super::tree::Vocabulary;
use super::vault::kopia::Kopia;
use super::vault::program::Program;
use super::vault::restic::Restic;
use super::{Arguments, enclosure};
use crate::stage;
use holdfast::Blocks;
use image::Image;
use rounds::Rounds;

/// What is particular to this benchmark.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Peers to leave out: restic, kopia
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    without_peer: Vec<String>,
    /// Read the image file, whose holes are known, instead of the loop device over it
    #[arg(long)]
    read_image: bool,
}

/// Bytes of the volume,
const SIZE: u64 = 20 << 30;
/// and of what was ever written to it.
const ALLOCATED: u64 = 4 << 30;

/// Measures and judges.
pub fn run(options: &Options, arguments: &Arguments, mut report: Report) -> Result<Report> {
    report.bench = "blocks";
    let ground = enclosure::ground()?;
    let disk = FileSystem::fresh(&ground, "source")?;
    let words = Vocabulary::new(arguments.seed);
    let scaled = |bytes: u64| (bytes as f64 * arguments.scale) as u64;
    eprintln!("    generating a volume of {} MiB", scaled(SIZE) >> 20);
    let mut image =
        Image::generate(&disk.path().join("data"), scaled(SIZE), scaled(ALLOCATED), &words, arguments.seed)
            .context("cannot generate the volume")?;
    sync(disk.path())?;
    let device = Device::over(image.file())?;
    let read = if options.read_image { image.path().to_owned() } else { device.path().to_owned() };
    let own = Blocks::new(arguments.program()?, read, disk.path().join("ranges"));
    let peers = peers(&options.without_peer)?;
    for side in peers.iter().map(AsRef::as_ref).chain([&own as &dyn Program]) {
        report.versions.insert(side.name().to_owned(), side.version()?);
    }
    report.work = json!({
        "size": image.size(),
        "allocated": image.allocated(),
        "holdfast_reads": if options.read_image { "the image file" } else { "a loop device over the image file" },
        "peers_read": "the image file",
        "file_system": "xfs on a loop device; new for every side in every round, synced between steps",
    });
    let mut rounds = Rounds::new(&ground, arguments.seed, &words, &own, &peers);
    for round in 0..arguments.runs {
        report.note_load();
        rounds.run(round, &mut image)?;
    }
    verdict::judge(&mut report, &rounds.samples)?;
    Ok(report)
}

fn peers(without: &[String]) -> Result<Vec<Box<dyn Program>>> {
    let (cache, reporter) = (Cache::of_user()?, stage::reporter());
    let program = |part: Part| -> Result<_> { Ok(part.build(&cache, &reporter)?.bin(part.name())) };
    let mut peers: Vec<Box<dyn Program>> = Vec::new();
    if !without.iter().any(|name| name == "restic") {
        peers.push(Box::new(Restic::new(program(Part::Restic)?)));
    }
    if !without.iter().any(|name| name == "kopia") {
        peers.push(Box::new(Kopia::new(program(Part::Kopia)?)));
    }
    Ok(peers)
}
