//! A mover that is given a block device, from its instructions to what is in the vault.
//!
//! A program of its own: a mover sets the umask of its process.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test; of what tests share this uses a part"
)]

#[path = "suite/support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use holdfast_vault::{BlobKind, SnapshotId};
use holdfast_volume::blocks::Reading;
use holdfast_volume::mover::{self, CaptureReport};
use serde_json::{Value, json};
use support::blocks::Image;
use support::{Bench, PASSWORD, noise};

const MIB: u64 = 1 << 20;

/// Runs `holdfast mover …` in this process.
fn command(arguments: &[&str]) -> ExitCode {
    mover::main(arguments.iter().map(OsString::from).collect())
}

/// A mover with this work, told to begin as soon as it listens.
async fn run(bench: &Bench, work: Value) -> ExitCode {
    let (spec, gate) = (bench.dir.path().join("spec.json"), bench.dir.path().join("gate"));
    let instructions = json!({
        "version": 1,
        "run": "r1",
        "repository": {
            "url": format!("file://{}", bench.vault().display()),
            "prefix": "",
            "credentials": {},
            "password": PASSWORD,
        },
        "work": work,
    });
    std::fs::write(&spec, instructions.to_string()).unwrap();
    let _ = std::fs::remove_file(&gate);
    let told = gate.clone();
    let mover = tokio::task::spawn_blocking(move || {
        command(&["run", spec.to_str().unwrap(), gate.to_str().unwrap()])
    });
    for _ in 0..600 {
        if mover.is_finished() || command(&["signal", told.to_str().unwrap(), "begin"]) == ExitCode::SUCCESS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    mover.await.unwrap()
}

fn capture(image: &Image, mode: Value) -> Value {
    json!({
        "namespace": "shop", "claim": "disk", "path": image.path, "mode": mode,
        "cluster": "a", "tags": [], "patienceSeconds": 60,
    })
}

/// The newest snapshot with its report.
async fn newest(bench: &Bench) -> (SnapshotId, CaptureReport) {
    let snapshots = bench.repository.snapshots().await.unwrap();
    let (id, snapshot) = snapshots.into_iter().max_by_key(|(_, snapshot)| snapshot.time).unwrap();
    let reader = bench.repository.reader().await.unwrap();
    let root = reader.tree(&snapshot.tree).await.unwrap();
    let report = root.get(b"capture.json").unwrap().blobs()[0];
    let json = reader.blob(BlobKind::Data, &report).await.unwrap();
    (id, serde_json::from_slice(&json).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mover_captures_a_device_then_what_changed_and_restores_it() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 8 * MIB);
    image.write(0, &noise(1, 3 << 20));
    let work = json!({"capture": capture(&image, json!({"blocks": "whole"}))});
    assert_eq!(run(&bench, work).await, ExitCode::SUCCESS);
    let (first, report) = newest(&bench).await;
    let blocks = report.blocks.unwrap();
    assert_eq!((report.entries, report.bytes, blocks.allocated), (1, 8 * MIB, 3 * MIB));

    image.write(5 * MIB, &noise(2, 1000));
    let ranges = bench.dir.path().join("ranges");
    std::fs::write(&ranges, format!("{} 1000\nend\n", 5 * MIB)).unwrap();
    let mut work = capture(&image, json!({"blocks": {"changed": ranges}}));
    work["parent"] = json!(first);
    assert_eq!(run(&bench, json!({ "capture": work })).await, ExitCode::SUCCESS);
    let (second, report) = newest(&bench).await;
    let blocks = report.blocks.unwrap();
    assert_eq!((blocks.reading, report.bytes_read), (Reading::Changed, 128 << 10));
    assert!(report.findings.notes.is_empty(), "{:?}", report.findings);

    let onto = Image::new(bench.dir.path(), "onto", 8 * MIB);
    onto.write(0, &noise(3, 8 << 20));
    let volume = json!({
        "namespace": "shop", "claim": "disk", "snapshot": second, "path": onto.path,
        "mode": {"blocks": {"before": "unknown", "verify": true}},
    });
    let work = json!({"restore": {"volumes": [volume], "devices": false, "setuid": false}});
    assert_eq!(run(&bench, work).await, ExitCode::SUCCESS);
    assert!(onto.content() == image.content());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_of_files_or_ranges_that_are_not_there_make_a_mover_read_everything() {
    let bench = Bench::new().await;
    std::fs::write(bench.volume().join("f"), "x").unwrap();
    let files = bench.capture(None).await;
    let image = Image::new(bench.dir.path(), "image", MIB);
    image.write(0, &noise(1, MIB as usize));
    let mut work = capture(&image, json!({"blocks": {"changed": "/nowhere/ranges"}}));
    work["parent"] = json!(files.id);
    assert_eq!(run(&bench, json!({ "capture": work })).await, ExitCode::SUCCESS);
    let (_, report) = newest(&bench).await;
    assert_eq!((report.blocks.unwrap().reading, report.bytes_read), (Reading::Whole, MIB));
    assert_eq!(report.findings.notes.len(), 2, "{:?}", report.findings.notes);
    assert!(report.findings.notes.iter().any(|note| note.contains("no block device")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_device_can_be_left_out_or_come_late() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", MIB);
    let mut work = capture(&image, json!({"blocks": "whole"}));
    work["excludes"] = json!(["cache"]);
    assert_eq!(run(&bench, json!({ "capture": work })).await, ExitCode::from(1));
    assert!(bench.repository.snapshots().await.unwrap().is_empty());
}
