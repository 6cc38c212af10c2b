//! kill −9 at any moment: the next command ends Completed and sends little again.

use std::time::Duration;

use crate::program::Program;
use crate::shop::Shop;
use crate::stand::Stand;
use crate::walk::nothing_temporary_is_left;

/// A seeded spread of moments, so that a failure can be repeated.
fn moments(count: u32, longest: Duration) -> impl Iterator<Item = Duration> {
    (0..count).map(move |n| longest * (n * 7919 % count + 1) / (count + 1))
}

fn backups_survive(name: &str, kills: u32) {
    let stand = Stand::get();
    let program = Program::new(stand, name);
    let shop = Shop::deploy(&stand.a, name);
    shop.order(100_000);
    program.init_vault();
    program.add(name, &shop.application());
    for moment in moments(kills, Duration::from_secs(6)) {
        let mut run = program.start(&["backup", name, "--context", "a", "--wait"]);
        std::thread::sleep(moment); // the moment of the kill, not a wait for anything
        run.kill().expect("the run is ours to kill");
        run.wait().expect("it ends");
    }
    let point = program.ok(&["backup", name, "--context", "a", "--wait", "-o", "json"]).json();
    assert_eq!(point["outcome"], "Completed", "{point:#}");
    assert_eq!(
        shop.query("select count(*) from pg_replication_slots"),
        "0",
        "a dead run still holds the database"
    );
    let check = program.restic(name, &["check", "--read-data"]);
    assert!(check.stdout.contains("no errors were found"), "{check:#?}");
    nothing_temporary_is_left(stand, &program, name);
}

fn restores_survive(name: &str, kills: u32) {
    let stand = Stand::get();
    let program = Program::new(stand, name);
    let shop = Shop::deploy(&stand.a, name);
    shop.order(50_000);
    let wanted = shop.ledger(i64::MAX);
    program.init_vault();
    program.add(name, &shop.application());
    program.ok(&["backup", name, "--context", "a"]);
    let latest = format!("{name}/latest");
    for moment in moments(kills, Duration::from_secs(8)) {
        let mut run = program.start(&["restore", &latest, "--to", "b", "--wait"]);
        std::thread::sleep(moment); // the moment of the kill, not a wait for anything
        run.kill().expect("the run is ours to kill");
        run.wait().expect("it ends");
    }
    let report = program.ok(&["restore", &latest, "--to", "b", "--wait", "-o", "json"]).json();
    assert_eq!(report["outcome"], "Completed", "{report:#}");
    assert_eq!(Shop::at(&stand.b, name).ledger(i64::MAX), wanted);
    nothing_temporary_is_left(stand, &program, name);
}

#[test]
fn a_backup_survives_being_killed() {
    backups_survive("killed-backup", 4);
}

#[test]
fn a_restore_survives_being_killed() {
    restores_survive("killed-restore", 4);
}

#[test]
#[ignore = "long: twenty kills each"]
fn long_a_backup_survives_twenty_kills() {
    backups_survive("killed-backup-long", 20);
}

#[test]
#[ignore = "long: twenty kills each"]
fn long_a_restore_survives_twenty_kills() {
    restores_survive("killed-restore-long", 20);
}
