//! kill −9 at any moment: the next command ends Completed and sends little again.

use std::time::{Duration, Instant};

use holdfast_testbed::{FaultProxy, Faults};

use crate::program::Program;
use crate::shop::Shop;
use crate::stand::{Stand, kubectl};
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
    stand.retire(&[name]);
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
        let mut run = program.start(&["restore", &latest, "--to", "b", "--allow-privileged", "--wait"]);
        std::thread::sleep(moment); // the moment of the kill, not a wait for anything
        run.kill().expect("the run is ours to kill");
        run.wait().expect("it ends");
    }
    let report =
        program.ok(&["restore", &latest, "--to", "b", "--allow-privileged", "--wait", "-o", "json"]).json();
    assert_eq!(report["outcome"], "Completed", "{report:#}");
    assert_eq!(Shop::at(&stand.b, name).ledger(i64::MAX), wanted);
    nothing_temporary_is_left(stand, &program, name);
    stand.retire(&[name]);
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

const MIB: u64 = 1 << 20;
/// What cannot be compressed and has to be sent once.
const PAYLOAD: u64 = 200 * MIB;

/// The process and its mover are killed in mid-upload. Of what had been sent ten seconds before, nine
/// tenths are not sent again.
#[test]
fn what_was_uploaded_before_a_kill_is_not_sent_again() {
    let stand = Stand::get();
    let line = FaultProxy::start(&stand.s3.address().ip().to_string(), stand.s3.address()).expect("a line");
    let mut program = Program::new(stand, "resumed");
    program.endpoint = line.endpoint();
    let shop = Shop::deploy(&stand.a, "resumed");
    let write = format!("head -c {PAYLOAD} /dev/urandom > /data/payload");
    shop.kubectl(&["exec", "db-0", "-c", "postgres", "--", "sh", "-c", &write]);
    program.init_vault();
    program.add("resumed", &shop.application());

    line.set(Faults { bandwidth: Some(8 * MIB), ..Faults::default() });
    let mut run = program.start(&["backup", "resumed", "--context", "a"]);
    let mut samples = Vec::new();
    let bound = Instant::now() + Duration::from_secs(90);
    while line.sent() < 150 * MIB {
        assert!(
            Instant::now() < bound,
            "only {} bytes were sent; see the evidence of `resumed`",
            line.sent()
        );
        samples.push((Instant::now(), line.sent()));
        std::thread::sleep(Duration::from_millis(250));
    }
    run.kill().expect("the run is ours to kill");
    let killed = Instant::now();
    run.wait().expect("it ends");
    let movers = ["-n", "holdfast-system", "-l", "holdfast.dev/part=mover"];
    let subject = "jsonpath={range .items[*]}{.metadata.name} {.metadata.annotations.holdfast\\.dev/subject}{'\\n'}{end}";
    let jobs = kubectl(&stand.a, &[&["get", "jobs", "-o", subject], &movers[..]].concat());
    let job = jobs.lines().find_map(|line| line.strip_suffix(" resumed/data-db-0")).expect("its mover");
    let of_job = format!("job-name={job}");
    kubectl(
        &stand.a,
        &["delete", "pods", "-n", "holdfast-system", "-l", &of_job, "--force", "--grace-period=0"],
    );
    let before = samples.iter().rev().find(|(at, _)| killed - *at >= Duration::from_secs(10));
    let uploaded = before.expect("a sample of ten seconds before the kill").1;

    line.set(Faults::default());
    std::thread::sleep(Duration::from_secs(2)); // what was on the line arrives
    let base = line.sent();
    let point = program.ok(&["backup", "resumed", "--context", "a", "--wait", "-o", "json"]).json();
    assert_eq!(point["outcome"], "Completed", "{point:#}");
    let again = line.sent() - base;
    let fresh = (PAYLOAD + 12 * MIB).saturating_sub(uploaded / 10 * 9);
    assert!(
        again <= fresh,
        "{uploaded} bytes had been uploaded; {again} were sent by the second run, at most {fresh} may be"
    );
    let check = program.restic("resumed", &["check", "--read-data"]);
    assert!(check.stdout.contains("no errors were found"), "{check:#?}");
    nothing_temporary_is_left(stand, &program, "resumed");
    stand.retire(&["resumed"]);
}
