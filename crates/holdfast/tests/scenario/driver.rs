//! A CSI driver that refuses or breaks off for a while: it costs time, and what is temporary goes all the same.

use std::time::{Duration, Instant};

use holdfast_testbed::csi::Trouble;
use holdfast_testbed::{CSI_CLASS, Site};
use serde_json::Value;

use crate::program::Program;
use crate::snapshots::{deploy_on, nothing_is_left_at, volumes};
use crate::stand::{Stand, apply, image, kubectl, until};
use crate::storage::{deploy_disk, program_at, read_of_disk, write_disk};

const LIMIT: Duration = Duration::from_secs(120);

/// A site whose driver is told to refuse.
fn hard(shared: &Stand, name: &str) -> Site {
    shared.block_on(async { Site::builder(name).csi().image(image()).start().await.expect("a site") })
}

fn refuse(site: &Site, methods: &[&str]) {
    let refused = methods.iter().map(|method| (*method).to_owned()).collect();
    site.trouble_csi(&Trouble { refused, ..Trouble::default() }).expect("the driver is told");
}

/// Waits until a claim of ours is to go and does not.
fn stuck(site: &Site, part: &str) {
    let labels = format!("holdfast.dev/part={part}");
    let deleted = "jsonpath={.items[*].metadata.deletionTimestamp}";
    let claims = ["get", "pvc", "-n", "holdfast-system", "-l", &labels, "-o", deleted];
    until(site, LIMIT, &claims, |said| !said.is_empty());
    std::thread::sleep(Duration::from_secs(6)); // how long it stays so
    assert!(!kubectl(site, &claims).trim().is_empty(), "nothing was refused");
}

#[test]
#[ignore = "long: what is given up is waited for"]
fn long_a_driver_that_refuses_for_a_while_leaves_nothing() {
    let shared = Stand::get();
    let site = hard(shared, "hard");
    deploy_on(&site, "stuck", CSI_CLASS);
    let (program, _line) = program_at(shared, &site, "stuck");
    unmounting_is_refused_after_a_backup(&site, &program);
    unmounting_is_refused_at_a_hand_over(&site, &program);
    deleting_is_refused_for_longer_than_a_backup_waits(&site, &program);
    shared.block_on(site.stop()).expect("the site goes");
}

fn unmounting_is_refused_after_a_backup(site: &Site, program: &Program) {
    refuse(site, &["NodeUnpublishVolume", "DeleteVolume", "DeleteSnapshot"]);
    let mut run = program.start(&["backup", "stuck", "--context", "hard"]);
    stuck(site, "view");
    refuse(site, &[]);
    assert!(run.wait().expect("it ends").success(), "see the evidence of `stuck`");
    nothing_is_left_at(site);
}

fn unmounting_is_refused_at_a_hand_over(site: &Site, program: &Program) {
    refuse(site, &["NodeUnpublishVolume"]);
    let restore = ["restore", "stuck/latest", "--to", "hard", "--namespace-map", "stuck=free"];
    let mut run = program.start(&restore);
    stuck(site, "claim");
    refuse(site, &[]);
    assert!(run.wait().expect("it ends").success(), "see the evidence of `stuck`");
    let counted = kubectl(site, &["exec", "-n", "free", "deploy/counter", "--", "cat", "/two/n"]);
    assert!(counted.trim().parse::<u64>().is_ok(), "{counted}");
    nothing_is_left_at(site);
}

/// The point is whole, and what the storage still has is told by name.
fn deleting_is_refused_for_longer_than_a_backup_waits(site: &Site, program: &Program) {
    refuse(site, &["DeleteVolume"]);
    let said = program.ok(&["backup", "stuck", "--context", "hard", "-o", "json"]);
    assert_eq!(said.json()["outcome"], "Completed", "{said:?}");
    let views = "jsonpath={.items[?(@.spec.claimRef.namespace==\"holdfast-system\")].metadata.name}";
    let views = kubectl(site, &["get", "pv", "-o", views]);
    assert_eq!(views.split_whitespace().count(), 2, "{views}");
    for view in views.split_whitespace() {
        assert!(said.stderr.contains(view), "{view} is not in\n{}", said.stderr);
    }
    assert!(said.stderr.contains("stuck/one") && said.stderr.contains("stuck/two"), "{}", said.stderr);
    refuse(site, &[]);
    nothing_is_left_at(site);
}

/// A stream that breaks off is taken up where it was; one that always does is not trusted, and all is read.
#[test]
#[ignore = "long: a site of its own, and a driver that is asked again and again"]
fn long_a_driver_that_breaks_off_what_it_tells_is_asked_again_or_not_believed() {
    let shared = Stand::get();
    let site = hard(shared, "mumbling");
    apply(&site, "{apiVersion: v1, kind: Namespace, metadata: {name: broken}}");
    deploy_disk(&site, "broken");
    // Ranges apart from each other: a stream that breaks tells one of them.
    for at in [3, 100, 200, 300, 400, 500, 600, 700] {
        write_disk(&site, "broken", at, 2);
    }
    let (program, _line) = program_at(shared, &site, "broken");
    let backup = |broken_streams: u32| {
        site.trouble_csi(&Trouble { broken_streams, ..Trouble::default() }).expect("the driver is told");
        let begun = Instant::now();
        let point = program.ok(&["backup", "broken", "--context", "mumbling", "-o", "json"]).json();
        assert_eq!(point["outcome"], "Completed", "{point:#}");
        (point, begun.elapsed())
    };
    let (point, _) = backup(2);
    let read = read_of_disk(&point);
    assert!((16..=32).contains(&read), "{read} MiB read of 16 that are allocated");
    assert!(!findings(&program, &point).contains("all of the volume was read"));
    assert_restored(&site, &program, "again");

    let (point, took) = backup(5);
    assert!(took > Duration::from_secs(10), "the driver was not asked again: {took:?}");
    let said = findings(&program, &point);
    assert!(said.contains("all of the volume was read") && said.contains("the stream breaks off"), "{said}");
    assert_restored(&site, &program, "whole");
    nothing_is_left_at(&site);
    shared.block_on(site.stop()).expect("the site goes");
}

/// What the mover wrote of its capture.
fn findings(program: &Program, point: &Value) -> String {
    let disk = volumes(point).iter().find(|volume| volume["claim"] == "disk").expect("the disk");
    let snapshot = disk["snapshot"].as_str().expect("its snapshot");
    program.restic("broken", &["dump", snapshot, "/capture.json"]).stdout
}

fn assert_restored(site: &Site, program: &Program, namespace: &str) {
    let map = format!("broken={namespace}");
    program.ok(&["restore", "broken/latest", "--to", "mumbling", "--namespace-map", &map]);
    let digest = |namespace: &str| {
        kubectl(site, &["exec", "-n", namespace, "deploy/user", "--", "sh", "-c", "md5sum < /dev/disk"])
    };
    assert_eq!(digest("broken"), digest(namespace));
    kubectl(site, &["delete", "namespace", namespace, "--wait=false"]);
}
