//! The line to the vault is narrow, breaks or is gone while snapshots are read.

use std::time::{Duration, Instant};

use holdfast_testbed::{CSI_CLASS, FaultProxy, Faults, HOST_ADDRESS};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::Program;
use crate::snapshots::{application, deploy_on, no_snapshot_is_left, volumes};
use crate::stand::{Stand, kubectl};

const MIB: u64 = 1 << 20;

/// The counter with something to send beside it, behind a line of its own.
fn behind_a_line(stand: &Stand, name: &str) -> (Program, FaultProxy) {
    let line = FaultProxy::start(HOST_ADDRESS, stand.s3.address()).expect("a line");
    let mut program = Program::new(stand, name);
    program.endpoint = line.endpoint();
    deploy_on(&stand.a, name, CSI_CLASS);
    let payload = "head -c 40000000 /dev/urandom > /one/payload; sync";
    kubectl(&stand.a, &["exec", "-n", name, "deploy/counter", "--", "sh", "-c", payload]);
    program.init_vault();
    program.add(name, &application(name, ""));
    (program, line)
}

/// Waits until so many bytes went to the vault since `before`.
fn sent(line: &FaultProxy, before: u64, bytes: u64) {
    let bound = Instant::now() + Duration::from_secs(60);
    while line.sent() < before + bytes {
        assert!(Instant::now() < bound, "only {} bytes were sent", line.sent() - before);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_line_that_breaks_while_a_snapshot_is_read_costs_time_and_nothing_else() {
    let stand = Stand::get();
    let (program, line) = behind_a_line(stand, "narrow");
    let narrow = Faults { latency: Duration::from_millis(30), bandwidth: Some(4 * MIB), ..Faults::default() };
    line.set(narrow);
    let before = line.sent();
    let mut run = program.start(&["backup", "narrow", "--context", "a"]);
    for megabytes in [8, 16] {
        sent(&line, before, megabytes * MIB);
        line.cut();
    }
    sent(&line, before, 20 * MIB);
    line.set(Faults { stall: true, ..narrow });
    std::thread::sleep(Duration::from_secs(5)); // nothing passes, nothing is closed
    line.set(Faults { refuse: true, ..narrow });
    line.cut();
    std::thread::sleep(Duration::from_secs(5)); // nobody answers
    line.set(Faults::default());
    assert!(run.wait().expect("it ends").success(), "see the evidence of `narrow`");
    let point = program.ok(&["point", "show", "narrow/latest", "-o", "json"]).json();
    assert_eq!(point["outcome"], "Completed", "{point:#}");
    assert!(volumes(&point).iter().all(|volume| volume["method"] == "snapshot"), "{point:#}");
    no_snapshot_is_left(stand, &program, "narrow");
    let check = program.restic("narrow", &["check", "--read-data"]);
    assert!(check.stdout.contains("no errors were found"), "{check:#?}");
    stand.retire(&["narrow"]);
}

/// Whoever does not want to wait for the vault gets away at once, and the storage keeps nothing.
#[test]
#[ignore = "long: what the line keeps from ending is waited for"]
fn a_backup_is_given_up_while_the_vault_is_away() {
    let stand = Stand::get();
    let (program, line) = behind_a_line(stand, "away");
    line.set(Faults { bandwidth: Some(4 * MIB), ..Faults::default() });
    let before = line.sent();
    let mut run = program.start(&["backup", "away", "--context", "a"]);
    sent(&line, before, 8 * MIB);
    line.set(Faults { refuse: true, ..Faults::default() });
    line.cut();
    std::thread::sleep(Duration::from_secs(3)); // the movers notice
    let begun = Instant::now();
    kill_process(Pid::from_child(&run), Signal::INT).expect("SIGINT is sent");
    assert_eq!(run.wait().expect("it ends").code(), Some(1), "see the evidence of `away`");
    assert!(begun.elapsed() < Duration::from_secs(60), "it took {:?}", begun.elapsed());
    no_snapshot_is_left(stand, &program, "away");
    line.set(Faults::default());
    let point = program.ok(&["backup", "away", "--context", "a", "-o", "json"]).json();
    assert_eq!(point["outcome"], "Completed", "{point:#}");
    no_snapshot_is_left(stand, &program, "away");
    stand.retire(&["away"]);
}
