//! Block devices in the vault: what stock restic makes of them, and what is done with snapshots
//! that are damaged or made to do harm.

use std::path::Path;

use crate::support::blocks::{Image, Stored, capture, ranges, restore, run};
use crate::support::restic::Restic;
use crate::support::{Bench, noise};
use holdfast_vault::{BlobId, Node, NodeKind, Snapshot, Tree, Writer, WriterOptions};
use holdfast_volume::blocks::{Before, RestoreOptions, SEGMENT, Source};
use proptest::prelude::*;

const EXTENT: usize = 128 << 10;
const MIB: u64 = 1 << 20;

fn options(before: Before) -> RestoreOptions {
    RestoreOptions { before, sync: false, ..RestoreOptions::default() }
}

/// What stock restic restored, put together again.
fn assembled(volume: &Path, to: &Path) {
    let mut segments: Vec<_> =
        std::fs::read_dir(volume).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.is_dir());
    segments.sort();
    let mut whole = std::fs::File::create(to).unwrap();
    for segment in segments {
        let mut data = std::fs::File::open(segment.join("data")).unwrap();
        std::io::copy(&mut data, &mut whole).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_restic_checks_restores_and_compares_a_device() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", SEGMENT + 3 * MIB + 17);
    for offset in [5, 3 * MIB, SEGMENT - MIB, SEGMENT + 2 * MIB] {
        image.write(offset, &noise(offset, MIB as usize));
    }
    let first = capture(&bench.repository, &image.path, None, Source::Whole).await.unwrap();
    image.write(SEGMENT + 100, &noise(9, 10));
    let source = Source::Changed(ranges([SEGMENT..SEGMENT + 4096]));
    let second = capture(&bench.repository, &image.path, Some(&first), source).await.unwrap();
    let restic = Restic::on(&bench.vault());
    restic.check();
    let target = bench.target().display().to_string();
    restic.run(["restore", &second.id.to_string(), "--sparse", "--target", &target]);
    let again = bench.dir.path().join("again");
    assembled(&bench.target().join("volume"), &again);
    run("cmp", &[image.path.to_str().unwrap(), again.to_str().unwrap()]);
    let diff = restic.run(["diff", &first.id.to_string(), &second.id.to_string()]);
    assert!(diff.contains("/volume/00000001/data") && !diff.contains("/volume/00000000"), "{diff}");
    let described = restic.run(["dump", &second.id.to_string(), "/volume/device.json"]);
    assert!(described.contains(&format!("\"size\":{}", image.size())), "{described}");
    // Directories are written exactly as restic would write them.
    restic.run(["rewrite", "--exclude", "/volume/device.json", &second.id.to_string()]);
    restic.check();
}

/// Stores whatever is made of a right volume directory.
async fn forged(bench: &Bench, make: impl FnOnce(&Writer) -> Tree + Send + 'static) -> Snapshot {
    let writer = bench.repository.writer(WriterOptions::default()).await.unwrap();
    let storing = writer.clone();
    let store = move || {
        let tree = make(&storing);
        let mut volume = Node::new("volume", NodeKind::Dir);
        volume.subtree = Some(storing.tree(&tree).unwrap());
        storing.tree(&Tree { nodes: vec![volume] }).unwrap()
    };
    let root = tokio::task::spawn_blocking(store).await.unwrap();
    let snapshot = Snapshot::new(crate::support::now(), root);
    writer.commit(snapshot.clone()).await.unwrap();
    writer.close().await.unwrap();
    snapshot
}

fn file(writer: &Writer, name: &str, content: &[u8], size: u64, times: usize) -> Node {
    let mut node = Node::new(name, NodeKind::File);
    node.content = Some(vec![writer.data(content).unwrap(); times]);
    node.size = size;
    node
}

fn directory(writer: &Writer, name: &str, nodes: Vec<Node>) -> Node {
    let mut node = Node::new(name, NodeKind::Dir);
    node.subtree = Some(writer.tree(&Tree { nodes }).unwrap());
    node
}

fn description(writer: &Writer, json: &str) -> Node {
    file(writer, "device.json", json.as_bytes(), json.len() as u64, 1)
}

/// A device of two extents, described by `json`, its segment's file having `size` bytes in
/// `times` extents of `length`.
fn device(writer: &Writer, json: &str, size: u64, length: usize, times: usize) -> Tree {
    let data = file(writer, "data", &vec![7; length], size, times);
    Tree { nodes: vec![directory(writer, "00000000", vec![data]), description(writer, json)] }
}

const TWO_EXTENTS: &str = r#"{"version":1,"size":262144,"extentSize":131072,"allocated":0}"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_device_is_refused_before_anything_is_written() {
    type Make = fn(&Writer) -> Tree;
    let makes: [(&str, Make); 9] = [
        ("nothing", |_| Tree::default()),
        ("files", |w| Tree { nodes: vec![file(w, "passwd", b"x", 1, 1)] }),
        ("no segment", |w| Tree { nodes: vec![description(w, TWO_EXTENTS)] }),
        ("a foreign name", |w| {
            let mut tree = device(w, TWO_EXTENTS, 262_144, EXTENT, 2);
            tree.nodes.push(file(w, "zz", b"x", 1, 1));
            tree
        }),
        ("another number", |w| {
            let mut tree = device(w, TWO_EXTENTS, 262_144, EXTENT, 2);
            tree.nodes[0].name = b"00000001".to_vec();
            tree
        }),
        ("a newer form", |w| device(w, r#"{"version":2}"#, 262_144, EXTENT, 2)),
        ("a size beyond all sense", |w| {
            let json = r#"{"version":1,"size":18446744073709551615,"extentSize":131072,"allocated":0}"#;
            device(w, json, 262_144, EXTENT, 2)
        }),
        ("an extent of no power", |w| {
            device(w, r#"{"version":1,"size":10,"extentSize":7,"allocated":0}"#, 10, 7, 2)
        }),
        ("a description without end", |w| device(w, &" ".repeat(100_000), 262_144, EXTENT, 2)),
    ];
    for (what, make) in makes {
        let bench = Bench::new().await;
        let snapshot = forged(&bench, make).await;
        let target = Image::new(bench.dir.path(), "onto", 4 * MIB);
        target.write(0, b"as it was");
        let error = restore(&bench.repository, &snapshot, &target.path, options(Before::Unknown)).await;
        assert_eq!(error.err().map(|error| error.code()), Some("volume.no_volume"), "{what}");
        assert_eq!(target.read(0, 9), b"as it was");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_and_extents_of_other_lengths_are_named_and_not_written() {
    for (size, length, times) in
        [(262_144, EXTENT, 3), (262_144, EXTENT, 1), (1, EXTENT, 2), (u64::MAX, EXTENT, 2), (262_144, 5, 2)]
    {
        let bench = Bench::new().await;
        let snapshot = forged(&bench, move |w| device(w, TWO_EXTENTS, size, length, times)).await;
        let target = Image::new(bench.dir.path(), "onto", MIB);
        target.write(0, &noise(1, MIB as usize));
        let restored =
            restore(&bench.repository, &snapshot, &target.path, options(Before::Alike)).await.unwrap();
        assert!(restored.findings.problem_count > 0);
        assert_eq!(restored.findings.problems[0].code, "volume.damaged", "{:?}", restored.findings);
        assert_eq!(restored.bytes_written, 0);
        assert!(target.content() == noise(1, MIB as usize));
    }
}

fn packs(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { packs(&path) } else { vec![path] }).collect()
}

/// Captures noise and then breaks one byte of the largest pack.
async fn damaged(bench: &Bench) -> (Image, Stored) {
    let image = Image::new(bench.dir.path(), "image", 4 * MIB);
    image.write(0, &noise(1, 4 << 20));
    let stored = capture(&bench.repository, &image.path, None, Source::Whole).await.unwrap();
    let pack = packs(&bench.vault().join("data"))
        .into_iter()
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // Packs are not written to by anyone, so they are read-only.
    std::fs::remove_file(&pack).unwrap();
    std::fs::write(&pack, bytes).unwrap();
    (image, stored)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_extent_is_named_and_all_others_are_restored() {
    for before in [Before::Zeros, Before::Unknown, Before::Alike] {
        let bench = Bench::new().await;
        let (image, stored) = damaged(&bench).await;
        let target = Image::new(bench.dir.path(), "onto", 4 * MIB);
        if before != Before::Zeros {
            target.write(0, &vec![9; 4 << 20]);
        }
        let options = RestoreOptions { verify: true, ..options(before) };
        let restored = restore(&bench.repository, &stored.snapshot, &target.path, options).await.unwrap();
        let problems = &restored.findings.problems;
        assert_eq!((problems.len(), problems[0].code.as_str()), (1, "volume.damaged"), "{problems:?}");
        let (wanted, found) = (image.content(), target.content());
        let pairs = wanted.chunks(EXTENT).zip(found.chunks(EXTENT)).enumerate();
        let differing: Vec<(usize, u8)> =
            pairs.filter(|(_, (a, b))| a != b).map(|(number, (_, b))| (number, b[0])).collect();
        assert_eq!(differing.len(), 1, "{differing:?}");
        let (number, byte) = differing[0];
        assert_eq!(
            problems[0].subject,
            format!("bytes {} to {}", number * EXTENT, (number + 1) * EXTENT - 1)
        );
        assert_eq!(byte, if before == Before::Alike { 9 } else { 0 }, "{before:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_whose_trees_are_damaged_is_not_built_on() {
    let bench = Bench::new().await;
    let image = Image::new(bench.dir.path(), "image", 2 * MIB);
    image.write(0, &noise(1, 2 << 20));
    let described = format!("{{\"version\":1,\"size\":{},\"extentSize\":131072,\"allocated\":0}}", 2 * MIB);
    let snapshot = forged(&bench, move |w| device(w, &described, 2 * MIB, EXTENT, 3)).await;
    let stored = capture(&bench.repository, &image.path, None, Source::Whole).await.unwrap();
    let parent = Stored { snapshot, ..stored };
    let source = Source::Changed(ranges([0..1]));
    let child = capture(&bench.repository, &image.path, Some(&parent), source).await.unwrap();
    let notes = &child.captured.findings.notes;
    assert!(notes[0].contains("damaged") && notes[0].contains("3 extents"), "{notes:?}");
    let target = Image::new(bench.dir.path(), "onto", 2 * MIB);
    restore(&bench.repository, &child.snapshot, &target.path, options(Before::Zeros)).await.unwrap();
    assert!(target.content() == image.content());
}

/// One node of a hostile directory.
fn hostile_node() -> impl Strategy<Value = Node> {
    let name = prop_oneof![
        Just("00000000".to_owned()),
        Just("00000001".to_owned()),
        Just("device.json".to_owned()),
        Just("data".to_owned()),
        "[a-z]{1,8}",
    ];
    let kind = prop_oneof![Just(NodeKind::File), Just(NodeKind::Dir), Just(NodeKind::Symlink)];
    (name, kind, prop_oneof![Just(131_072u64), Just(262_144), any::<u64>()], 0..4usize).prop_map(
        |(name, kind, size, blobs)| {
            let mut node = Node::new(name, kind);
            node.size = size;
            node.content = Some(vec![BlobId::of(&[7; EXTENT]); blobs]);
            node
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_tree_makes_a_restore_panic_or_write_elsewhere(
        inner in prop::collection::vec(hostile_node(), 0..3),
        outer in prop::collection::vec(hostile_node(), 0..3),
        size in prop_oneof![Just(131_072u64), Just(262_144), Just(0), any::<u64>()],
        extent in prop_oneof![Just(131_072u32), Just(65_536), any::<u32>()],
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let bench = Bench::new().await;
            let json = format!(r#"{{"version":1,"size":{size},"extentSize":{extent},"allocated":9}}"#);
            let make = move |w: &Writer| {
                w.data(&[7; EXTENT]).unwrap();
                let unique = |mut nodes: Vec<Node>| {
                    nodes.sort_by(|a, b| a.name.cmp(&b.name));
                    nodes.dedup_by(|a, b| a.name == b.name);
                    Tree { nodes }
                };
                let below = w.tree(&unique(inner)).unwrap();
                let mut nodes = outer;
                for node in nodes.iter_mut().filter(|node| node.kind == NodeKind::Dir) {
                    node.subtree = Some(below);
                }
                nodes.insert(0, description(w, &json));
                unique(nodes)
            };
            let snapshot = forged(&bench, make).await;
            let target = Image::new(bench.dir.path(), "onto", MIB);
            target.write(262_144, &noise(5, 786_432));
            let before = options(Before::Alike);
            let _ = restore(&bench.repository, &snapshot, &target.path, before).await;
            assert!(target.size() == MIB && target.read(262_144, 786_432) == noise(5, 786_432));
        });
    }
}
