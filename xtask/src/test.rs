//! Every test, with all that the scenarios on real clusters need built first.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use holdfast_testbed::{Cache, KUBERNETES, Part, host};

use crate::stage::Stages;
use crate::workspace::{build_tests, cargo, run};
use crate::{fuzz, image};

/// How long each fuzz target runs in a long test.
const FUZZ_EACH: Duration = Duration::from_secs(60);

#[derive(Debug, Default, clap::Args)]
pub struct Arguments {
    /// Also run what is too slow for every change: second makes and versions, very large data, long races, fuzzing
    #[arg(long)]
    long: bool,
    /// Only this package
    #[arg(short, long)]
    package: Option<String>,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// Runs the tests and prints the time of each stage.
pub fn run_all(arguments: &Arguments) -> Result<()> {
    let mut stages = Stages::default();
    stages_of(arguments, &mut stages)?;
    stages.print();
    Ok(())
}

/// The stages of a test run, added to `stages`.
pub fn stages_of(arguments: &Arguments, stages: &mut Stages) -> Result<()> {
    let cache = Cache::of_user()?;
    stages.run("servers and tools", || parts(arguments.long, &cache))?;
    let programs = stages.run("programs", build_tests)?;
    let archive = stages.run("image", || image::write(&programs.join("holdfast"), &image::default_path()))?;
    stages.run("tests", || run(&mut command(arguments, &cache, &programs, &archive)?))?;
    if arguments.long {
        stages.run("fuzzing", || fuzz::run_all(FUZZ_EACH))?;
    }
    Ok(())
}

/// Builds what the tests run against, unless the cache has it.
fn parts(long: bool, cache: &Cache) -> Result<()> {
    let report = crate::stage::reporter();
    host::prepare(&report)?;
    let mut parts = Part::of_site(KUBERNETES);
    parts.extend([Part::VersityGw, Part::Kwok, Part::Restic]);
    parts.extend([Part::CsiProvisioner, Part::CsiSnapshotter, Part::SnapshotDefinitions, Part::CsiSanity]);
    if long {
        parts.extend([Part::Minio, Part::Kubernetes("1.35.4".into()), Part::FakeGcs, Part::Azurite]);
    }
    for part in parts {
        part.build(cache, &report)?;
    }
    Ok(())
}

fn command(
    arguments: &Arguments,
    cache: &Cache,
    programs: &Path,
    archive: &Path,
) -> Result<std::process::Command> {
    // All that fails is shown, not only what failed first.
    let mut command = cargo(&["test", "--no-fail-fast"]);
    match &arguments.package {
        Some(package) => command.args(["--package", package]),
        None => command.arg("--workspace"),
    };
    command
        .env("HOLDFAST_BIN", programs.join("holdfast"))
        .env("HOLDFAST_TESTBED_BIN", programs.join("holdfast-testbed"))
        .env("HOLDFAST_IMAGE", archive)
        .env("HOLDFAST_RESTIC", Part::Restic.build(cache, &crate::stage::reporter())?.bin("restic"));
    command.arg("--");
    command.args(&arguments.filter);
    if arguments.long {
        command.arg("--include-ignored");
    }
    Ok(command)
}
