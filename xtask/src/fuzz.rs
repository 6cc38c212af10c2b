//! Fuzzing: everything that reads bytes of others is fed hostile ones, guided by coverage.
//!
//! The targets are in `fuzz/targets`, with seeds in `fuzz/seeds` and inputs that once failed in
//! `fuzz/regressions`. What is learnt is kept in the cache, so that each run goes on from the last.

use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use holdfast_testbed::Cache;

use crate::workspace::{cargo, root, run as run_command, target};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only these targets
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// Run one input again, to see what is wrong with it
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// What makes rustc count which parts of a program an input reaches. Memory is safe already; what
/// is looked for are panics, overflows, endless loops and memory without bound.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Memory that one target may use, in MiB.
const MEMORY: u32 = 1024;
/// No input may take longer than this.
const LONGEST: Duration = Duration::from_secs(10);

/// Builds the targets and runs them.
pub fn run(arguments: &Arguments) -> Result<()> {
    let all = names()?;
    for name in &arguments.targets {
        ensure!(all.contains(name), "there is no fuzz target `{name}`; there are: {}", all.join(", "));
    }
    let chosen = if arguments.targets.is_empty() { &all } else { &arguments.targets };
    let programs = build()?;
    if let Some(input) = &arguments.input {
        let [name] = chosen.as_slice() else { bail!("name the one target that `--input` is for") };
        return run_command(Command::new(programs.join(name)).arg(input));
    }
    each(&programs, chosen, Duration::from_secs(arguments.seconds))
}

/// Builds all targets and runs each for so long.
pub fn run_all(length: Duration) -> Result<()> {
    each(&build()?, &names()?, length)
}

/// Runs the targets, one on each processor: an input is fed on one alone.
fn each(programs: &Path, names: &[String], length: Duration) -> Result<()> {
    let cache = Cache::of_user()?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let learnt = cache.root().join("fuzz").join(name);
            if let Err(error) = one(&programs.join(name), name, &learnt, length) {
                eprintln!("{error:#}");
                failed.push(name.as_str());
            }
        }
        failed
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.flatten().collect()
    });
    ensure!(failed.is_empty(), "inputs were found that break: {}", failed.join(", "));
    Ok(())
}

fn one(program: &Path, name: &str, learnt: &Path, length: Duration) -> Result<()> {
    let artifacts = target().join("fuzz-found").join(name);
    for dir in [learnt, &artifacts] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let log_path = artifacts.join("log");
    let log = fs::File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
    let mut command = Command::new(program);
    command.arg(learnt).stdout(log.try_clone()?).stderr(log);
    let kept = ["seeds", "regressions"].map(|kind| root().join("fuzz").join(kind).join(name));
    command.args(kept.iter().filter(|dir| dir.is_dir()));
    command
        .arg(format!("-max_total_time={}", length.as_secs()))
        .arg(format!("-timeout={}", LONGEST.as_secs()))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-verbosity=0", "-print_funcs=0", "-print_final_stats=1"]);
    let ended = run_command(&mut command);
    let said = fs::read_to_string(&log_path).unwrap_or_default();
    if let Err(error) = ended {
        let last: Vec<&str> = said.lines().rev().take(30).collect();
        last.iter().rev().for_each(|line| eprintln!("    {line}"));
        let again = format!("run it again with `cargo xtask fuzz {name} --input FILE`");
        return Err(
            error.context(format!("fuzz target `{name}`: the input is in {}; {again}", artifacts.display()))
        );
    }
    let stat = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim();
    eprintln!(
        "    {name:<16} {:>10} inputs, {:>5} MiB at most",
        stat("stat::number_of_executed_units:"),
        stat("stat::peak_rss_mb:")
    );
    Ok(())
}

/// Names of the targets.
fn names() -> Result<Vec<String>> {
    let dir = root().join("fuzz/targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Builds all targets and gives the directory they are in.
fn build() -> Result<PathBuf> {
    let (target, host) = (target().join("fuzz"), host()?);
    let mut command = cargo(&["build", "--release", "--quiet", "--locked", "--manifest-path"]);
    command.arg(root().join("fuzz/Cargo.toml"));
    // With `--target`, build scripts and macros are built without the instrumentation.
    command.args(["--target", &host]).env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &target);
    eprintln!("building the fuzz targets");
    run_command(&mut command)?;
    Ok(target.join(host).join("release"))
}

/// What this machine is called by rustc.
fn host() -> Result<String> {
    let said =
        Command::new("rustc").args(["--print", "host-tuple"]).output().context("cannot start rustc")?;
    ensure!(said.status.success(), "`rustc --print host-tuple` ended with {}", said.status);
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}
