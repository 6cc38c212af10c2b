//! Restores onto what is there: whatever that is, it comes to be what the snapshot has, and no more
//! is touched than differs.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::listing::{Listing, assert_same, list};
use crate::support::mutation::{self, Change, touch};
use crate::support::{Bench, all, delta, exact, noise};
use holdfast_volume::files::{
    CaptureOptions, Compare, Extras, NoGate, RestoreMode, RestoreOptions, Restored, Verify,
};
use proptest::prelude::*;
use rustix::fs::XattrFlags;

const MIB: usize = 1 << 20;

/// A directory beside the target.
fn other(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.dir.path().join(name);
    fs::create_dir(&path).unwrap();
    path
}

fn no_problems(restored: &Restored) {
    assert_eq!(restored.findings.problem_count, 0, "{:?}", restored.findings);
}

/// What of two states is not the same.
fn differing(a: &Listing, b: &Listing) -> usize {
    let paths: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    paths.into_iter().filter(|path| a.get(*path) != b.get(*path)).count()
}

async fn any_change(before: Vec<Change>, meanwhile: Vec<Change>, astray: Vec<Change>, again: Compare) {
    let (bench, mut clock) = (Bench::new().await, 0);
    mutation::apply(&bench.volume(), &before, &mut clock);
    let (first, was) = (bench.capture(None).await, list(&bench.volume()));
    mutation::apply(&bench.volume(), &meanwhile, &mut clock);
    let (second, is) = (bench.capture(Some(&first)).await, list(&bench.volume()));

    // By the difference of the two snapshots.
    let standby = other(&bench, "standby");
    no_problems(&bench.restore_to(&standby, &first, all()).await.unwrap());
    let verified = RestoreOptions { verify: Verify::All, ..delta(&first) };
    let updated = bench.restore_to(&standby, &second, verified).await.unwrap();
    no_problems(&updated);
    assert_same(&is, &list(&standby));
    assert!(updated.changed as usize <= 4 * differing(&was, &is), "{} changed", updated.changed);
    let back = bench.restore_to(&standby, &first, delta(&second)).await.unwrap();
    no_problems(&back);
    assert_same(&was, &list(&standby));

    // Exactly, on something else that came of it.
    mutation::apply(&standby, &astray, &mut clock);
    let strayed = list(&standby);
    let restored = bench.restore_to(&standby, &second, exact(again)).await.unwrap();
    no_problems(&restored);
    assert_same(&is, &list(&standby));
    assert!(restored.changed as usize <= 4 * differing(&strayed, &is), "{} changed", restored.changed);
    let nothing = bench.restore_to(&standby, &second, exact(again)).await.unwrap();
    assert_eq!((nothing.changed, nothing.deleted, nothing.bytes_written), (0, 0, 0), "{nothing:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_there_comes_to_be_what_the_snapshot_has(
        before in prop::collection::vec(mutation::change(), 1..40),
        meanwhile in prop::collection::vec(mutation::change(), 0..20),
        astray in prop::collection::vec(mutation::change(), 0..30),
        by_content in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let compare = if by_content { Compare::Content } else { Compare::Times };
        runtime.block_on(any_change(before, meanwhile, astray, compare));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_chunk_of_a_large_file_is_written_in_place() {
    let bench = Bench::new().await;
    let disk = bench.volume().join("disk.img");
    fs::write(&disk, noise(1, 96 * MIB)).unwrap();
    touch(&disk, 1);
    let first = bench.capture(None).await;
    let (standby, restored) = (other(&bench, "standby"), bench.target());
    for target in [&standby, &restored] {
        bench.restore_to(target, &first, all()).await.unwrap();
    }
    let inodes = [&standby, &restored].map(|dir| fs::metadata(dir.join("disk.img")).unwrap().ino());
    fs::OpenOptions::new().write(true).open(&disk).unwrap().write_all_at(b"changed", 40 << 20).unwrap();
    touch(&disk, 2);
    let second = bench.capture(Some(&first)).await;
    let by_delta = bench.restore_to(&standby, &second, delta(&first)).await.unwrap();
    let by_content = bench.restore_to(&restored, &second, exact(Compare::Times)).await.unwrap();
    for (restored, dir) in [(&by_delta, &standby), (&by_content, &restored)] {
        no_problems(restored);
        assert!(restored.bytes_written <= 8 << 20, "{} of 96 MiB written", restored.bytes_written);
        assert_same(&list(&bench.volume()), &list(dir));
    }
    let now = [&standby, &restored].map(|dir| fs::metadata(dir.join("disk.img")).unwrap().ino());
    assert_eq!(inodes, now, "the file is the same");
}

/// A tree of which little changes costs little: what does not differ is not even looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_delta_looks_at_nothing_that_does_not_differ() {
    let bench = Bench::new().await;
    for d in 0..50 {
        fs::create_dir_all(bench.volume().join(format!("d{d}/sub"))).unwrap();
        for f in 0..20 {
            fs::write(bench.volume().join(format!("d{d}/sub/f{f}")), noise(d * 20 + f, 2_000)).unwrap();
        }
    }
    crate::support::age(&bench.volume());
    let first = bench.capture(None).await;
    bench.restore(&first).await;
    fs::write(bench.volume().join("d7/sub/f3"), "changed").unwrap();
    let second = bench.capture(Some(&first)).await;
    // The promise that the target holds the base is broken where nobody looks, to see that nobody does.
    let unseen = bench.target().join("d8/sub/f0");
    fs::write(&unseen, "not as it was").unwrap();
    let seen = bench.target().join("d7/sub/f3");
    let updated = bench.restore_with(&second, delta(&first)).await.unwrap();
    no_problems(&updated);
    assert_eq!(fs::read(&seen).unwrap(), b"changed");
    assert_eq!(fs::read(&unseen).unwrap(), b"not as it was");
    // The file, its two directories and the root.
    assert_eq!((updated.entries, updated.bytes_written), (4, 7), "{updated:?}");
}

/// A run was killed between the removal of a directory and the renaming of the file that takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_that_was_cut_short_has_left_goes() {
    use holdfast_volume::files::Selection;
    let bench = Bench::new().await;
    fs::create_dir_all(bench.volume().join("turns/into/a-file")).unwrap();
    let first = bench.capture(None).await;
    fs::remove_dir(bench.volume().join("turns/into/a-file")).unwrap();
    fs::write(bench.volume().join("turns/into/a-file"), noise(1, 70_000)).unwrap();
    let (second, is) = (bench.capture(Some(&first)).await, list(&bench.volume()));
    let mut selection = Selection::default();
    selection.add_pattern("/turns/into/a-file").unwrap();
    let mode = RestoreMode::Exact { extras: Extras::Keep, compare: Compare::Times };
    let part = RestoreOptions { mode, select: Some(selection.into()), ..all() };
    for options in [delta(&first), part, exact(Compare::Times)] {
        bench.restore_with(&first, exact(Compare::Content)).await.unwrap();
        let into = bench.target().join("turns/into");
        fs::remove_dir(into.join("a-file")).unwrap();
        fs::write(into.join(".holdfast-restore-1758358dac0e1483"), noise(1, 70_000)).unwrap();
        let restored = bench.restore_with(&second, options).await.unwrap();
        no_problems(&restored);
        assert_eq!(restored.deleted, 1, "{restored:?}");
        assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
        assert_eq!(fs::read(into.join("a-file")).unwrap(), noise(1, 70_000));
    }
    assert_same(&is, &list(&bench.target()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_snapshot_does_not_have_stays_unless_it_is_to_go() {
    let bench = Bench::new().await;
    fs::create_dir(bench.volume().join("d")).unwrap();
    fs::write(bench.volume().join("d/f"), "f").unwrap();
    let stored = bench.capture(None).await;
    bench.restore(&stored).await;
    let target = bench.target();
    fs::create_dir_all(target.join("d/more/deep")).unwrap();
    fs::write(target.join("d/more/deep/file"), "more").unwrap();
    fs::write(target.join("extra"), "more").unwrap();
    symlink("/etc", target.join("link")).unwrap();
    fs::create_dir(target.join("lost+found")).unwrap();
    fs::write(target.join("lost+found/#1"), "found").unwrap();
    let socket = std::os::unix::net::UnixListener::bind(target.join("d/socket")).unwrap();
    fs::write(target.join("d/f"), "changed").unwrap();
    let keep = RestoreOptions {
        mode: RestoreMode::Exact { extras: Extras::Keep, compare: Compare::Times },
        ..all()
    };
    let kept = bench.restore_with(&stored, keep).await.unwrap();
    no_problems(&kept);
    assert_eq!((kept.deleted, fs::read(target.join("d/f")).unwrap()), (0, b"f".to_vec()));
    assert!(target.join("d/more/deep/file").exists() && target.join("link").is_symlink());
    let exact = bench.restore_with(&stored, exact(Compare::Times)).await.unwrap();
    no_problems(&exact);
    assert_eq!(exact.deleted, 5, "three below and at `more`, `extra`, and `link`");
    assert!(target.join("lost+found/#1").exists() && target.join("d/socket").exists());
    assert!(Path::new("/etc").exists());
    drop(socket);
}

/// That something is not in a snapshot says nothing of it where the capture did not look.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_capture_left_out_is_never_removed() {
    let bench = Bench::new().await;
    fs::create_dir_all(bench.volume().join("cache/deep")).unwrap();
    fs::write(bench.volume().join("cache/deep/x"), "x").unwrap();
    fs::write(bench.volume().join("f"), "f").unwrap();
    let options = CaptureOptions { excludes: vec!["cache/*".into()], ..CaptureOptions::default() };
    let mut stored = bench.capture_with(None, options, NoGate).await.unwrap();
    stored.snapshot.excludes = vec!["cache/*".into()];
    bench.restore(&stored).await;
    fs::create_dir_all(bench.target().join("cache/deep")).unwrap();
    fs::write(bench.target().join("cache/deep/y"), "y").unwrap();
    fs::write(bench.target().join("extra"), "e").unwrap();
    let restored = bench.restore_with(&stored, exact(Compare::Times)).await.unwrap();
    no_problems(&restored);
    assert!(bench.target().join("cache/deep/y").exists() && !bench.target().join("extra").exists());
    assert_eq!(restored.findings.excluded[0].subject, "cache/deep");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_capture_could_not_read_is_never_removed() {
    let bench = Bench::new().await;
    fs::write(bench.volume().join("f"), "f").unwrap();
    let report = |problems: serde_json::Value, count: u64| {
        serde_json::json!({"findings": {"problems": problems, "problemCount": count}}).to_string()
    };
    let unread = serde_json::json!([{"code": "file.unreadable", "subject": "d", "message": "denied"}]);
    let named = bench.capture_reporting(&report(unread.clone(), 1)).await;
    let unnamed = bench.capture_reporting(&report(unread, 5_000)).await;
    let nonsense = bench.capture_reporting("nonsense").await;
    for (stored, kept) in [(&unnamed, true), (&nonsense, true), (&named, false)] {
        fs::create_dir_all(bench.target().join("d")).unwrap();
        fs::write(bench.target().join("d/x"), "x").unwrap();
        fs::write(bench.target().join("extra"), "e").unwrap();
        let restored = bench.restore_with(stored, exact(Compare::Times)).await.unwrap();
        let codes: Vec<&str> =
            restored.findings.problems.iter().map(|problem| problem.code.as_str()).collect();
        assert!(!codes.is_empty() && codes.iter().all(|code| *code == "file.kept"), "{codes:?}");
        assert!(bench.target().join("d/x").exists());
        assert_eq!(bench.target().join("extra").exists(), kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_one_inode_are_linked_as_they_were() {
    let bench = Bench::new().await;
    let volume = bench.volume();
    for (file, content) in [("a", "one"), ("c", "two"), ("e", "three"), ("single", "four")] {
        fs::write(volume.join(file), content).unwrap();
        touch(&volume.join(file), 1);
    }
    fs::hard_link(volume.join("a"), volume.join("b")).unwrap();
    fs::hard_link(volume.join("c"), volume.join("d")).unwrap();
    let stored = bench.capture(None).await;
    let links: [&[(&str, &str)]; 5] = [
        // Swapped, all one, shared with what is single, shared with what goes, and all apart.
        &[("a", "d"), ("c", "b")],
        &[("a", "b"), ("a", "c"), ("a", "d"), ("a", "e"), ("a", "single")],
        &[("single", "a"), ("single", "b"), ("c", "d")],
        &[("a", "extra"), ("a", "b"), ("c", "d"), ("c", "extra2")],
        &[],
    ];
    for (n, links) in links.into_iter().enumerate() {
        for compare in [Compare::Times, Compare::Content] {
            let target = other(&bench, &format!("target-{n}-{compare:?}"));
            for file in ["a", "b", "c", "d", "e", "single"] {
                fs::write(target.join(file), "whatever").unwrap();
            }
            for (of, name) in links {
                let _ = fs::remove_file(target.join(name));
                fs::hard_link(target.join(of), target.join(name)).unwrap();
            }
            let restored = bench.restore_to(&target, &stored, exact(compare)).await.unwrap();
            no_problems(&restored);
            assert_same(&list(&volume), &list(&target));
        }
    }
}

/// A delta passes over what is as it was, and there may be the other names of an inode.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_is_linked_to_one_that_a_delta_does_not_come_by() {
    let bench = Bench::new().await;
    let volume = bench.volume();
    for dir in ["kept/deep", "moved", "other"] {
        fs::create_dir_all(volume.join(dir)).unwrap();
    }
    for (file, seed) in [("kept/deep/f", 1), ("moved/alone", 2), ("beside", 3), ("moved/pair", 4)] {
        fs::write(volume.join(file), noise(seed, MIB)).unwrap();
        touch(&volume.join(file), 1);
    }
    for (of, name) in [
        ("kept/deep/f", "moved/f"),
        ("kept/deep/f", "other/f"),
        ("beside", "moved/beside"),
        ("moved/pair", "moved/pair-too"),
    ] {
        fs::hard_link(volume.join(of), volume.join(name)).unwrap();
    }
    let first = bench.capture(None).await;
    // As `mv daily.0 daily.1` does it to a tree of hard links; one of the names is there no more.
    fs::rename(volume.join("moved"), volume.join("was-moved")).unwrap();
    fs::remove_file(volume.join("other/f")).unwrap();
    fs::hard_link(volume.join("kept/deep/f"), volume.join("other/g")).unwrap();
    let second = bench.capture(Some(&first)).await;
    for at in ["", "at/some/place"] {
        let target = other(&bench, &format!("target-{}", at.len()));
        let placed = |mode: RestoreOptions| RestoreOptions { at: at.into(), ..mode };
        bench.restore_to(&target, &first, placed(all())).await.unwrap();
        let updated = bench.restore_to(&target, &second, placed(delta(&first))).await.unwrap();
        no_problems(&updated);
        let restored = list(&target.join(at));
        // What is put elsewhere leaves there what it does not have, and the root's own attributes.
        let is_compared = |path: &PathBuf| at.is_empty() || path.starts_with("was-moved");
        for (path, entry) in list(&volume).iter().filter(|(path, _)| is_compared(path)) {
            let found = &restored[path];
            assert_eq!(entry.first_name, found.first_name, "{}", path.display());
            assert!(at.is_empty().then_some(entry).is_none_or(|entry| entry == found), "{found:?}");
        }
        // Of all this only the file that has no other name than the two that moved with it is new.
        assert_eq!(updated.bytes_written, 2 * MIB as u64, "{updated:?}");
    }
}

/// A kept extra that shares an inode with what is restored is not written through.
#[tokio::test(flavor = "multi_thread")]
async fn a_further_name_that_stays_keeps_its_content() {
    let bench = Bench::new().await;
    fs::write(bench.volume().join("f"), noise(1, 3 * MIB)).unwrap();
    let stored = bench.capture(None).await;
    bench.restore(&stored).await;
    let (f, extra) = (bench.target().join("f"), bench.target().join("extra"));
    fs::OpenOptions::new().write(true).open(&f).unwrap().write_all_at(b"changed", 2 << 20).unwrap();
    fs::hard_link(&f, &extra).unwrap();
    let changed = fs::read(&extra).unwrap();
    let keep = RestoreMode::Exact { extras: Extras::Keep, compare: Compare::Times };
    let restored = bench.restore_with(&stored, RestoreOptions { mode: keep, ..all() }).await.unwrap();
    no_problems(&restored);
    assert_eq!(fs::read(&f).unwrap(), noise(1, 3 * MIB));
    assert_eq!(fs::read(&extra).unwrap(), changed);
    // What the old file holds is copied here, not fetched again.
    assert!(restored.bytes_written < 3 << 20, "{} written", restored.bytes_written);
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_alone_are_corrected_without_touching_content() {
    let bench = Bench::new().await;
    let file = bench.volume().join("f");
    fs::write(&file, noise(1, 2 * MIB)).unwrap();
    rustix::fs::setxattr(&file, "user.keep", b"k", XattrFlags::empty()).unwrap();
    touch(&file, 1);
    let stored = bench.capture(None).await;
    bench.restore(&stored).await;
    let there = bench.target().join("f");
    let inode = fs::metadata(&there).unwrap().ino();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o777)).unwrap();
    std::os::unix::fs::chown(&there, Some(7), Some(8)).unwrap();
    rustix::fs::removexattr(&there, "user.keep").unwrap();
    rustix::fs::setxattr(&there, "user.more", b"m", XattrFlags::empty()).unwrap();
    fs::set_permissions(bench.target(), fs::Permissions::from_mode(0o700)).unwrap();
    let restored = bench.restore_with(&stored, exact(Compare::Times)).await.unwrap();
    no_problems(&restored);
    assert_same(&list(&bench.volume()), &list(&bench.target()));
    assert_eq!((restored.bytes_written, restored.changed), (0, 2), "{restored:?}");
    assert_eq!(fs::metadata(&there).unwrap().ino(), inode);
}

/// Same size and time, other content: only reading tells, and reading is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn content_is_believed_by_times_or_not_at_all() {
    let bench = Bench::new().await;
    fs::write(bench.volume().join("f"), "right").unwrap();
    touch(&bench.volume().join("f"), 1);
    let stored = bench.capture(None).await;
    bench.restore(&stored).await;
    let there = bench.target().join("f");
    fs::write(&there, "wrong").unwrap();
    touch(&there, 1);
    let verified = RestoreOptions { verify: Verify::All, ..exact(Compare::Times) };
    let believed = bench.restore_with(&stored, verified).await.unwrap();
    assert_eq!(fs::read(&there).unwrap(), b"wrong");
    let found = believed.verified.unwrap();
    assert_eq!((found.entries, found.bytes, found.different), (1, 5, 1));
    let problem = &believed.findings.problems[0];
    assert_eq!((problem.code.as_str(), problem.subject.as_str()), ("file.differs", "f"));
    assert!(problem.message.contains("first at byte 0"), "{problem}");
    let verified = RestoreOptions { verify: Verify::All, ..exact(Compare::Content) };
    let read = bench.restore_with(&stored, verified).await.unwrap();
    no_problems(&read);
    assert_eq!(fs::read(&there).unwrap(), b"right");
    assert_eq!(read.verified.unwrap().different, 0);
}

/// A change in the moment of the capture may have left the same time.
#[tokio::test(flavor = "multi_thread")]
async fn times_close_to_the_capture_are_not_believed() {
    let bench = Bench::new().await;
    fs::write(bench.volume().join("f"), "right").unwrap();
    let stored = bench.capture(None).await;
    bench.restore(&stored).await;
    let (there, meta) = (bench.target().join("f"), fs::metadata(bench.volume().join("f")).unwrap());
    fs::write(&there, "wrong").unwrap();
    let time = rustix::fs::Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, &there, &times, rustix::fs::AtFlags::empty()).unwrap();
    bench.restore_with(&stored, exact(Compare::Times)).await.unwrap();
    assert_eq!(fs::read(&there).unwrap(), b"right");
}

/// Nothing makes way for what cannot be had: every replacement is read before something goes for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_outlives_damage_in_the_vault() {
    let bench = Bench::new().await;
    let volume = bench.volume();
    fs::create_dir(volume.join("d")).unwrap();
    fs::write(volume.join("d/good"), "good").unwrap();
    // One blob, which is damaged, and a directory whose tree is not there.
    for file in ["d/was-dir", "d/was-file", "linked"] {
        fs::write(volume.join(file), noise(9, 500_000)).unwrap();
    }
    fs::hard_link(volume.join("linked"), volume.join("linked-too")).unwrap();
    let captured = bench.capture(None).await;
    let mut lost = holdfast_vault::Node::new("damaged-dir", holdfast_vault::NodeKind::Dir);
    lost.subtree = Some(holdfast_vault::BlobId::of(b"never stored"));
    let stored = bench.with_node(&captured, lost).await;
    bench.damage();

    let target = bench.target();
    fs::create_dir_all(target.join("d/was-dir/with")).unwrap();
    fs::write(target.join("d/was-dir/with/content"), "precious").unwrap();
    fs::write(target.join("d/was-file"), "small").unwrap();
    fs::write(target.join("d/extra"), "in a directory that lacks something").unwrap();
    fs::write(target.join("linked"), "one").unwrap();
    fs::write(target.join("linked-too"), "two").unwrap();
    fs::write(target.join("damaged-dir"), "a file").unwrap();
    fs::create_dir(target.join("gone")).unwrap();
    let restored = bench.restore_with(&stored, exact(Compare::Times)).await.unwrap();
    let subjects: std::collections::BTreeSet<&str> =
        restored.findings.problems.iter().map(|problem| problem.subject.as_str()).collect();
    for named in [".", "d", "d/was-dir", "d/was-file", "damaged-dir", "linked", "linked-too"] {
        assert!(subjects.contains(named), "{named} is not in {subjects:?}");
    }
    let read = |path: &str| fs::read_to_string(target.join(path)).unwrap();
    assert_eq!(read("d/was-dir/with/content"), "precious");
    assert!(read("d/was-file") == "small", "one blob, so all of it or nothing");
    assert_eq!((read("linked"), read("linked-too")), ("one".into(), "two".into()));
    assert_eq!(read("damaged-dir"), "a file");
    assert_eq!(read("d/good"), "good");
    assert!(target.join("d/extra").exists() && target.join("gone").exists());
    let leftovers = list(&target).into_keys().filter(|path| path.to_string_lossy().contains(".holdfast"));
    assert_eq!(leftovers.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_restored_to_its_place_or_elsewhere() {
    use holdfast_volume::files::Selection;
    let bench = Bench::new().await;
    let volume = bench.volume();
    for dir in ["etc/app/conf.d", "log/old", "srv"] {
        fs::create_dir_all(volume.join(dir)).unwrap();
    }
    for file in ["etc/app/app.conf", "etc/app/conf.d/x", "log/a.gz", "log/old/b.gz", "log/plain", "srv/s"] {
        fs::write(volume.join(file), file).unwrap();
    }
    fs::set_permissions(volume.join("log"), fs::Permissions::from_mode(0o750)).unwrap();
    let stored = bench.capture(None).await;
    let options = |patterns: &[&str], at: &str| {
        let mut selection = Selection::default();
        patterns.iter().for_each(|pattern| selection.add_pattern(pattern).unwrap());
        let mode = RestoreMode::Exact { extras: Extras::Keep, compare: Compare::Times };
        RestoreOptions { mode, select: Some(selection.into()), at: at.into(), verify: Verify::All, ..all() }
    };
    let names = |dir: &Path| {
        let mut names: Vec<String> =
            list(dir).into_keys().map(|path| path.to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.is_empty());
        names
    };
    // Directories that lead nowhere are not made.
    let target = other(&bench, "part");
    let restored = bench.restore_to(&target, &stored, options(&["/log/**/*.gz"], "")).await.unwrap();
    no_problems(&restored);
    assert_eq!(names(&target), ["log", "log/a.gz", "log/old", "log/old/b.gz"]);
    assert_eq!(fs::metadata(target.join("log")).unwrap().mode() & 0o777, 0o750);
    assert_eq!(restored.verified.unwrap().entries, 2);

    // A directory is taken with all below it; one that was there only as a way stays as it is.
    let target = other(&bench, "whole");
    fs::create_dir(target.join("etc")).unwrap();
    fs::set_permissions(target.join("etc"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::write(target.join("etc/own"), "own").unwrap();
    let wanted = options(&["/etc/app", "nothing"], "");
    let restored = bench.restore_to(&target, &stored, wanted.clone()).await.unwrap();
    no_problems(&restored);
    let app = ["etc", "etc/app", "etc/app/app.conf", "etc/app/conf.d", "etc/app/conf.d/x", "etc/own"];
    assert_eq!(names(&target), app);
    assert_eq!(fs::metadata(target.join("etc")).unwrap().mode() & 0o777, 0o711);
    assert_eq!(wanted.select.unwrap().unmatched(), ["nothing"]);

    // Elsewhere nothing is removed, and what leads there is like what it is made in.
    let target = other(&bench, "elsewhere");
    std::os::unix::fs::chown(&target, Some(12), Some(34)).unwrap();
    fs::create_dir(target.join("srv")).unwrap();
    let restored = bench.restore_to(&target, &stored, options(&["s"], "restored/here")).await.unwrap();
    no_problems(&restored);
    assert_eq!(
        names(&target),
        ["restored", "restored/here", "restored/here/srv", "restored/here/srv/s", "srv"]
    );
    assert_eq!(fs::metadata(target.join("restored/here")).unwrap().uid(), 12);
}
