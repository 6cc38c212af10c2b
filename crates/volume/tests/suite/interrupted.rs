//! Restores in place that are killed at any moment: the next one completes them.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::listing::{assert_same, list};
use crate::support::mutation::touch;
use crate::support::{Bench, PASSWORD, Stored, delta, exact, noise, restore_snapshot, store};
use holdfast_vault::{Repository, RepositoryPassword, SnapshotId};
use holdfast_volume::files::{Compare, RestoreMode, RestoreOptions};

/// Variables that tell the process of its own what to do.
const VAULT: &str = "HOLDFAST_TEST_VAULT";
const TARGET: &str = "HOLDFAST_TEST_TARGET";
const SNAPSHOT: &str = "HOLDFAST_TEST_SNAPSHOT";
const BASE: &str = "HOLDFAST_TEST_BASE";

/// How often each mode is killed, at moments spread over the time that a run takes.
const KILLS: u32 = 8;

fn before(volume: &Path) {
    fs::create_dir_all(volume.join("many")).unwrap();
    fs::create_dir_all(volume.join("turns/into/a-file")).unwrap();
    fs::write(volume.join("turns/into/a-file/x"), noise(1, 10_000)).unwrap();
    for n in 0..60u64 {
        fs::write(volume.join(format!("many/f{n}")), noise(n, 50_000)).unwrap();
        fs::write(volume.join(format!("goes-{n}")), noise(n, 1_000)).unwrap();
    }
    fs::write(volume.join("large"), noise(99, 24 << 20)).unwrap();
    fs::hard_link(volume.join("many/f0"), volume.join("link-of-f0")).unwrap();
    fs::write(volume.join("turns-into-a-dir"), "x").unwrap();
    symlink("a", volume.join("symlink")).unwrap();
}

fn after(volume: &Path) {
    for n in 0..60u64 {
        if n % 2 == 0 {
            fs::write(volume.join(format!("many/f{n}")), noise(n + 1000, 60_000)).unwrap();
        }
        fs::remove_file(volume.join(format!("goes-{n}"))).unwrap();
        fs::write(volume.join(format!("comes-{n}")), noise(n + 2000, 30_000)).unwrap();
    }
    let large = fs::OpenOptions::new().write(true).open(volume.join("large")).unwrap();
    for piece in 0..8 {
        large.write_all_at(b"changed", piece * (3 << 20)).unwrap();
    }
    fs::remove_dir_all(volume.join("turns/into/a-file")).unwrap();
    fs::write(volume.join("turns/into/a-file"), noise(5, 2 << 20)).unwrap();
    fs::hard_link(volume.join("large"), volume.join("link-of-large")).unwrap();
    fs::remove_file(volume.join("turns-into-a-dir")).unwrap();
    fs::create_dir(volume.join("turns-into-a-dir")).unwrap();
    fs::write(volume.join("turns-into-a-dir/x"), noise(6, 700_000)).unwrap();
    fs::remove_file(volume.join("symlink")).unwrap();
    symlink("b", volume.join("symlink")).unwrap();
    touch(&volume.join("large"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_in_place_survives_being_killed() {
    let bench = Bench::new().await;
    before(&bench.volume());
    let (first, was) = (bench.capture(None).await, list(&bench.volume()));
    after(&bench.volume());
    let (second, is) = (bench.capture(Some(&first)).await, list(&bench.volume()));
    bench.restore(&first).await;
    let begun = Instant::now();
    run(&bench, &second, None).wait().unwrap();
    let whole = begun.elapsed();
    assert_same(&is, &list(&bench.target()));
    for (base, options) in [(None, exact(Compare::Times)), (Some(&first), delta(&first))] {
        for moment in (1..=KILLS).map(|n| whole * n / (KILLS + 1)) {
            let back = bench.restore_with(&first, exact(Compare::Content)).await.unwrap();
            assert_eq!(back.findings.problem_count, 0, "{:?}", back.findings);
            assert_same(&was, &list(&bench.target()));
            killed(&bench, &second, base, moment);
            // Once more, and not to its end, as a node that keeps failing does.
            killed(&bench, &second, base, moment / 2);
            let done = bench.restore_with(&second, options.clone()).await.unwrap();
            assert_eq!(done.findings.problem_count, 0, "{:?}", done.findings);
            assert_same(&is, &list(&bench.target()));
        }
    }
}

fn killed(bench: &Bench, stored: &Stored, base: Option<&Stored>, moment: Duration) {
    let mut run = run(bench, stored, base);
    std::thread::sleep(moment); // the moment of the kill, not a wait for anything
    run.kill().unwrap();
    run.wait().unwrap();
}

fn run(bench: &Bench, stored: &Stored, base: Option<&Stored>) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "interrupted::restores_as_it_is_told", "--ignored"]);
    command.env(VAULT, bench.vault()).env(TARGET, bench.target()).env(SNAPSHOT, stored.id.to_string());
    command.envs(base.map(|base| (BASE, base.id.to_string())));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that is killed by another test"]
async fn restores_as_it_is_told() {
    let Some(vault) = std::env::var_os(VAULT) else { return };
    let password = RepositoryPassword::new(PASSWORD);
    let repository = Repository::open(store(Path::new(&vault)), &password).await.unwrap();
    let id = |name: &str| std::env::var(name).ok().map(|id| id.parse::<SnapshotId>().unwrap());
    let options = match id(BASE) {
        None => exact(Compare::Times),
        Some(base) => {
            let base = repository.snapshot(&base).await.unwrap().tree;
            RestoreOptions { mode: RestoreMode::Delta { base }, ..exact(Compare::Times) }
        }
    };
    let snapshot = repository.snapshot(&id(SNAPSHOT).unwrap()).await.unwrap();
    let target = std::env::var_os(TARGET).unwrap();
    restore_snapshot(&repository, &snapshot, Path::new(&target), options).await.unwrap();
}
