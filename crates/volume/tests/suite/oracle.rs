//! Stock restic restores what we capture, and we restore what it captures.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::listing::{assert_same, list};
use crate::support::restic::Restic;
use crate::support::{Bench, all, exact, noise};
use holdfast_volume::files::{Compare, RestoreMode, RestoreOptions};
use proptest::prelude::*;

fn sample(root: &Path) {
    fs::create_dir_all(root.join("dir/deep/er")).unwrap();
    fs::write(root.join("dir/f"), noise(1, 3_000_000)).unwrap();
    fs::write(root.join("dir/deep/tiny"), "x").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::hard_link(root.join("dir/f"), root.join("hard")).unwrap();
    symlink("dir/f", root.join("link")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(20 << 20).unwrap();
    rustix::fs::setxattr(root.join("dir"), "user.x", b"y", rustix::fs::XattrFlags::empty()).unwrap();
    std::os::unix::fs::chown(root.join("empty"), Some(7), Some(8)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_restic_checks_and_restores_what_we_capture() {
    let bench = Bench::new().await;
    sample(&bench.volume());
    let stored = bench.capture(None).await;
    let restic = Restic::on(&bench.vault());
    restic.check();
    let target = bench.target().display().to_string();
    restic.run(["restore", &format!("{}:/volume", stored.id), "--target", &target]);
    let mut expected = list(&bench.volume());
    let mut found = list(&bench.target());
    // `restore ID:/volume` leaves the target's own attributes alone.
    expected.remove(Path::new(""));
    found.remove(Path::new(""));
    assert_same(&expected, &found);
    assert!(restic.run(["ls", &stored.id.to_string()]).contains("/volume/dir/deep/tiny"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_restic_goes_on_from_our_snapshot() {
    let bench = Bench::new().await;
    sample(&bench.volume());
    crate::support::age(&bench.volume());
    let stored = bench.capture(None).await;
    let restic = Restic::on(&bench.vault());
    let said =
        restic.run_in(bench.dir.path(), ["backup", "volume", "--parent", &stored.id.to_string(), "--json"]);
    let summary = said.lines().last().unwrap();
    let summary: serde_json::Value = serde_json::from_str(summary).unwrap();
    assert_eq!((&summary["files_new"], &summary["files_changed"]), (&0.into(), &0.into()), "{summary}");
    assert_eq!(summary["data_blobs"], 0, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn we_restore_what_stock_restic_captured() {
    let bench = Bench::new().await;
    sample(&bench.volume());
    let restic = Restic::on(&bench.vault());
    restic.run_in(bench.dir.path(), ["backup", "volume"]);
    let (_, snapshot) = bench.repository.snapshots().await.unwrap().pop().unwrap();
    let restored = bench.restore_tree(snapshot.tree).await;
    assert_eq!(restored.findings.problem_count, 0, "{:?}", restored.findings);
    assert_same(&list(&bench.volume()), &list(&bench.target().join("volume")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stock_restic_captured_is_restored_in_place_and_by_difference() {
    let bench = Bench::new().await;
    sample(&bench.volume());
    let restic = Restic::on(&bench.vault());
    let tree = async || bench.repository.snapshots().await.unwrap().pop().unwrap().1.tree;
    let backup = || restic.run_in(bench.dir.path(), ["backup", "volume"]);
    backup();
    let first = tree().await;
    bench.restore_tree(first).await;
    fs::write(bench.volume().join("dir/deep/tiny"), "other").unwrap();
    fs::remove_file(bench.volume().join("link")).unwrap();
    fs::create_dir(bench.volume().join("link")).unwrap();
    fs::hard_link(bench.volume().join("empty"), bench.volume().join("link/empty")).unwrap();
    backup();
    let mode = RestoreMode::Delta { base: first };
    let updated = bench.restore_tree_with(tree().await, RestoreOptions { mode, ..all() }).await;
    assert_eq!(updated.findings.problem_count, 0, "{:?}", updated.findings);
    assert_same(&list(&bench.volume()), &list(&bench.target().join("volume")));
    assert!(updated.bytes_written < 100, "{updated:?}");
    fs::write(bench.target().join("volume/dir/f"), "changed").unwrap();
    fs::write(bench.target().join("volume/extra"), "extra").unwrap();
    let restored = bench.restore_tree_with(tree().await, exact(Compare::Times)).await;
    assert_eq!((restored.findings.problem_count, restored.deleted), (0, 1), "{:?}", restored.findings);
    assert_same(&list(&bench.volume()), &list(&bench.target().join("volume")));
}

/// A small tree of files: names with all sorts of bytes, sizes around the limits of chunks.
#[derive(Debug, Clone)]
enum Item {
    File { seed: u64, size: usize, mode: u32 },
    Dir(Vec<(Vec<u8>, Item)>),
    Link(Vec<u8>),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no name has these", |byte| *byte != 0 && *byte != b'/');
    prop::collection::vec(byte, 1..12).prop_filter("not a name", |name| name != b"." && name != b"..")
}

fn item() -> impl Strategy<Value = Item> {
    let size = prop_oneof![0..100_usize, Just(512 * 1024), Just(512 * 1024 + 1), 600_000..2_000_000_usize];
    let leaf = prop_oneof![
        (any::<u64>(), size, 0..0o1000_u32).prop_map(|(seed, size, mode)| Item::File { seed, size, mode }),
        name().prop_map(Item::Link),
    ];
    leaf.prop_recursive(3, 24, 6, |item| prop::collection::vec((name(), item), 0..6).prop_map(Item::Dir))
}

fn make(path: PathBuf, item: &Item) {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    match item {
        Item::File { seed, size, mode } => {
            let _ = fs::write(&path, noise(*seed, *size));
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(*mode));
        }
        Item::Link(target) => drop(symlink(std::ffi::OsStr::from_bytes(target), path)),
        Item::Dir(items) => {
            if fs::create_dir(&path).is_ok() {
                items
                    .iter()
                    .for_each(|(name, item)| make(path.join(std::ffi::OsStr::from_bytes(name)), item));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_survives_our_capture_and_both_restores(items in prop::collection::vec((name(), item()), 0..8)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let bench = Bench::new().await;
            make(bench.volume().join("root"), &Item::Dir(items));
            let stored = bench.capture(None).await;
            let restored = bench.restore(&stored).await;
            assert_eq!(restored.findings.problem_count, 0, "{:?}", restored.findings);
            assert_same(&list(&bench.volume()), &list(&bench.target()));
            let second = tempfile::tempdir().unwrap();
            let target = second.path().display().to_string();
            Restic::on(&bench.vault()).run(["restore", &stored.id.to_string(), "--target", &target]);
            assert_same(&list(&bench.volume()), &list(&second.path().join("volume")));
        });
    }
}
