//! Benchmarks against what users would otherwise run, and against the floor that nothing can beat.
//!
//! ```text
//! enclosure   the measuring program is built for release and runs in a mount namespace of its own
//! filesystem  every round of every side gets a fresh xfs on a loop device
//! tree        seeded trees of files and seeded changes to them
//! measure     wall time, processor time and peak memory of a process
//! blocks      a block volume: first, changed ranges, random writes; against restic and kopia
//! standby     a warm standby on two real sites: how far behind, how long taking over takes
//! vault       files: first, unchanged, changed, restore; against restic, kopia and `cp -a`
//! volumes     many volumes of one application on a real site, side by side and one by one
//! objects     Secrets on a real API server; against a bare list and a bare create loop
//! restore     the plan of a restore of Secrets; against a bare list
//! report      the table a person reads and the JSON object a program reads
//! ```

mod blocks;
mod enclosure;
mod filesystem;
mod measure;
mod objects;
mod report;
mod standby;
mod tree;
mod vault;
mod volumes;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::workspace::{Profile, build_program};
use report::Report;

/// What to measure and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    bench: Bench,
    /// How often each side runs; medians count
    #[arg(long, global = true, default_value_t = 3, value_name = "N")]
    runs: usize,
    /// Part of the work to do, for a quick look; the result says so
    #[arg(long, global = true, default_value_t = 1.0, value_name = "FRACTION")]
    scale: f64,
    /// Seed of all generated data
    #[arg(long, global = true, default_value_t = 20_261_122, value_name = "NUMBER")]
    seed: u64,
    /// Measure this build of holdfast instead of building one
    #[arg(long, global = true, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Also store the result here
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Bench {
    /// 3.4 GiB in 47,000 files of realistic mix, against restic and kopia
    Vault(vault::Options),
    /// 200,000 small files, against restic and kopia
    VaultSmall(vault::Options),
    /// 1,000,000 small files, a tenth of them in one directory, against restic and kopia
    Files(vault::FilesOptions),
    /// 20 GiB of a block volume with 4 GiB allocated, against restic and kopia reading its image
    Blocks(blocks::Options),
    /// 20 volumes of 64 MiB in one application, side by side against one after the other
    VolumesMany,
    /// A warm standby on two sites: how far behind it is, and how long taking over takes
    Standby(standby::Options),
    /// 31,000 Secrets, against a bare list and a bare create loop
    Objects(objects::Options),
    /// 10,000 to 100,000 objects, spread and in one namespace: does time stay linear, does memory stay flat?
    ObjectsScale,
    /// The plan of restoring 30,000 Secrets of which one in ten has changed, against a bare list
    Restore(objects::RestoreOptions),
}

impl Arguments {
    /// The program to measure, built if none was named.
    fn program(&self) -> Result<PathBuf> {
        match &self.program {
            Some(program) => std::path::absolute(program).context("where is the program?"),
            None => Ok(build_program(Profile::Release)?.join("holdfast")),
        }
    }
}

/// Runs one benchmark and prints its result; missing a bar is a result, not an error.
pub fn run(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.runs > 0, "--runs takes a positive number");
    ensure!(arguments.scale > 0.0 && arguments.scale <= 10.0, "--scale takes a number above 0 and up to 10");
    if !enclosure::is_inside() {
        return enclosure::enter();
    }
    let report = Report::new(arguments);
    let report = match &arguments.bench {
        Bench::Vault(options) => vault::run(vault::Work::Mix, options, arguments, report)?,
        Bench::VaultSmall(options) => vault::run(vault::Work::Small, options, arguments, report)?,
        Bench::Files(options) => vault::run_files(options, arguments, report)?,
        Bench::Blocks(options) => blocks::run(options, arguments, report)?,
        Bench::VolumesMany => volumes::run(arguments, report)?,
        Bench::Standby(options) => standby::run(options, arguments, report)?,
        Bench::Objects(options) => objects::run(options, arguments, report)?,
        Bench::ObjectsScale => objects::run_scale(arguments, report)?,
        Bench::Restore(options) => objects::run_restore(options, arguments, report)?,
    };
    report.finish(arguments.json.as_deref())
}
