//! Volumes go into the vault and come back as they were.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::listing::{assert_same, list};
use crate::support::{Bench, all, noise};
use holdfast_model::hook::LatePath;
use holdfast_volume::Result;
use holdfast_volume::files::{CaptureOptions, Gate};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};

/// One of everything that a volume can hold.
fn everything(root: &Path) {
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    fs::create_dir(root.join("empty-dir")).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("a/small"), "hello").unwrap();
    fs::write(root.join("a-b.json"), "before a.json").unwrap();
    fs::write(root.join("a.json"), "after").unwrap();
    fs::write(root.join("a/b/large"), noise(1, 5 << 20)).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not utf-8 \xff\xfe")), "odd").unwrap();
    fs::write(root.join("quote\" back\\slash\nline"), "odd").unwrap();
    fs::hard_link(root.join("a/small"), root.join("a/b/hard")).unwrap();
    fs::hard_link(root.join("a/b/large"), root.join("z-large-again")).unwrap();
    symlink("a/small", root.join("link")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
    symlink(OsStr::from_bytes(b"../\xff"), root.join("odd-link")).unwrap();
    fs::set_permissions(root.join("a/small"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(root.join("a/b/c"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(root.join("empty-dir"), fs::Permissions::from_mode(0o000)).unwrap();
    std::os::unix::fs::chown(root.join("a.json"), Some(999), Some(998)).unwrap();
    std::os::unix::fs::lchown(root.join("link"), Some(12), Some(34)).unwrap();
    setxattr(root.join("a.json"), "user.note", b"\x00binary\xff", XattrFlags::empty()).unwrap();
    setxattr(root.join("a/b"), "user.dir", b"x", XattrFlags::empty()).unwrap();
    mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    mknodat(CWD, root.join("null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3))
        .unwrap();
    sparse(&root.join("sparse"), 300 << 20);
    old(&root.join("a/b/large"), 1_000_000_000, 123_456_789);
    old(&root.join("a"), -5, 500_000_000);
    fs::set_permissions(root, fs::Permissions::from_mode(0o2770)).unwrap();
}

/// A file of this length with data at its beginning and at its end alone.
fn sparse(path: &Path, length: u64) {
    let file = File::create(path).unwrap();
    file.set_len(length).unwrap();
    file.write_all_at(&noise(2, 100_000), 0).unwrap();
    file.write_all_at(&noise(3, 50_000), length - 50_000).unwrap();
}

fn old(path: &Path, second: i64, nanosecond: i64) {
    let time = rustix::fs::Timespec { tv_sec: second, tv_nsec: nanosecond };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_comes_back_as_it_was() {
    let bench = Bench::new().await;
    everything(&bench.volume());
    let before = list(&bench.volume());
    let stored = bench.capture(None).await;
    assert_eq!(stored.captured.findings.problem_count, 0, "{:?}", stored.captured.findings);
    assert_eq!(stored.captured.entries as usize, before.len());
    let restored = bench.restore(&stored).await;
    assert_eq!(restored.findings.problem_count, 0, "{:?}", restored.findings);
    assert_eq!(restored.entries as usize, before.len());
    assert_same(&before, &list(&bench.target()));
    let blocks = fs::metadata(bench.target().join("sparse")).unwrap().blocks() * 512;
    assert!(blocks < 4 << 20, "holes are holes again, not {blocks} bytes of zeros");
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_are_not_read() {
    let bench = Bench::new().await;
    sparse(&bench.volume().join("disk.img"), 1 << 30);
    let stored = bench.capture(None).await;
    assert_eq!(stored.captured.bytes, 1 << 30);
    assert!(stored.captured.bytes_read < 1 << 20, "{}", stored.captured.bytes_read);
    assert!(stored.stats.bytes_stored < 1 << 20, "{}", stored.stats.bytes_stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_change_is_not_read_again() {
    let bench = Bench::new().await;
    everything(&bench.volume());
    crate::support::age(&bench.volume());
    let first = bench.capture(None).await;
    let second = bench.capture(Some(&first)).await;
    assert_eq!(second.captured.bytes_read, 0);
    assert_eq!(second.captured.root.subtree, first.captured.root.subtree);
    assert_eq!(
        (second.captured.entries, second.captured.bytes),
        (first.captured.entries, first.captured.bytes)
    );
    fs::write(bench.volume().join("a/b/new"), "new").unwrap();
    OpenOptions::new().append(true).open(bench.volume().join("a.json")).unwrap().set_len(3).unwrap();
    fs::remove_file(bench.volume().join("a-b.json")).unwrap();
    let third = bench.capture(Some(&second)).await;
    assert_eq!(third.captured.bytes_read, 6);
    let restored = bench.restore(&third).await;
    assert_eq!(restored.findings.problem_count, 0, "{:?}", restored.findings);
    assert_same(&list(&bench.volume()), &list(&bench.target()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_within_the_clocks_tick_is_not_missed() {
    let bench = Bench::new().await;
    let file = bench.volume().join("f");
    fs::write(&file, "one").unwrap();
    let meta = fs::metadata(&file).unwrap();
    let first = bench.capture(None).await;
    // Same length and, as far as a coarse clock tells, the same moment.
    OpenOptions::new().write(true).open(&file).unwrap().write_all_at(b"two", 0).unwrap();
    old(&file, meta.mtime(), meta.mtime_nsec());
    let second = bench.capture(Some(&first)).await;
    assert_eq!(second.captured.bytes_read, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_cut_short_is_completed() {
    let bench = Bench::new().await;
    everything(&bench.volume());
    let stored = bench.capture(None).await;
    bench.restore(&stored).await;
    // What a kill leaves: a file cut short, one with a wrong piece, one missing, one of another type.
    let target = bench.target();
    let large = OpenOptions::new().write(true).open(target.join("a/b/large")).unwrap();
    fs::remove_file(target.join("z-large-again")).unwrap();
    large.write_all_at(b"damage", 3 << 20).unwrap();
    OpenOptions::new().write(true).open(target.join("sparse")).unwrap().set_len(1_000).unwrap();
    fs::remove_file(target.join("a.json")).unwrap();
    fs::remove_file(target.join("empty")).unwrap();
    symlink("/etc", target.join("empty")).unwrap();
    fs::remove_dir(target.join("empty-dir")).unwrap();
    fs::write(target.join("empty-dir"), "in the way").unwrap();
    let again = bench.restore(&stored).await;
    assert_eq!(again.findings.problem_count, 0, "{:?}", again.findings);
    assert_same(&list(&bench.volume()), &list(&target));
    // A file with several names is made anew, never written through one of them: 5 MiB.
    assert!(again.bytes_written < 6 << 20, "what was right is kept: {} written", again.bytes_written);
    let once_more = bench.restore(&stored).await;
    assert!(once_more.bytes_written <= again.bytes_written, "{} written", once_more.bytes_written);
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_and_setuid_need_an_administrator() {
    let bench = Bench::new().await;
    everything(&bench.volume());
    let stored = bench.capture(None).await;
    let options = holdfast_volume::files::RestoreOptions { devices: false, setuid: false, ..all() };
    let restored = bench.restore_with(&stored, options).await.unwrap();
    let codes: Vec<&str> = restored.findings.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["file.device", "file.setuid"]);
    assert!(!bench.target().join("null").exists());
    assert_eq!(fs::metadata(bench.target().join("a/small")).unwrap().mode() & 0o7777, 0o711);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_and_excluded_paths_are_named_but_no_problem() {
    let bench = Bench::new().await;
    let _listener = std::os::unix::net::UnixListener::bind(bench.volume().join("socket")).unwrap();
    fs::create_dir(bench.volume().join("cache")).unwrap();
    fs::write(bench.volume().join("cache/x"), "x").unwrap();
    fs::write(bench.volume().join("kept"), "x").unwrap();
    let options = CaptureOptions { excludes: vec!["cache".into()], ..CaptureOptions::default() };
    let stored = bench.capture_with(None, options, holdfast_volume::files::NoGate).await.unwrap();
    let findings = &stored.captured.findings;
    let subjects: Vec<&str> = findings.excluded.iter().map(|excluded| excluded.subject.as_str()).collect();
    assert_eq!((subjects, findings.problem_count), (vec!["cache", "socket"], 0));
    bench.restore(&stored).await;
    assert_eq!(
        list(&bench.target()).keys().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(),
        ["", "kept"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_file_systems_below_the_volume_are_left_out() {
    let bench = Bench::new().await;
    let mount = bench.volume().join("mount");
    fs::create_dir(&mount).unwrap();
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("token"), "very secret").unwrap();
    rustix::mount::mount_bind(secret.path(), &mount).unwrap();
    let stored = bench.capture(None).await;
    rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(stored.captured.findings.excluded[0].subject, "mount");
    bench.restore(&stored).await;
    assert!(bench.target().join("mount").is_dir() && !bench.target().join("mount/token").exists());
}

/// Writes the files that the late paths speak of when all else is captured.
struct Checkpoint {
    volume: std::path::PathBuf,
    reached: AtomicBool,
}

impl Gate for Checkpoint {
    fn late(&self) -> Result<()> {
        assert!(!self.reached.swap(true, Ordering::Relaxed));
        fs::write(self.volume.join("label.tmp"), "label").unwrap();
        fs::write(self.volume.join("data/wal/2"), "late").unwrap();
        fs::write(self.volume.join("data/table"), "written too late").unwrap();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_paths_are_captured_last_and_stored_where_they_belong() {
    let bench = Bench::new().await;
    let volume = bench.volume();
    fs::create_dir_all(volume.join("data/wal")).unwrap();
    fs::write(volume.join("data/wal/1"), "early").unwrap();
    fs::write(volume.join("data/table"), "in time").unwrap();
    fs::write(volume.join("data/backup_label"), "stale").unwrap();
    let late = |path: &str, store_as: Option<&str>| LatePath {
        claim: "c".into(),
        path: path.into(),
        store_as: store_as.map(str::to_owned),
    };
    let options = CaptureOptions {
        late: vec![late("data/wal", None), late("label.tmp", Some("data/backup_label")), late("gone", None)],
        ..CaptureOptions::default()
    };
    crate::support::age(&volume);
    let mut parent = None;
    for _ in 0..2 {
        let gate = Checkpoint { volume: volume.clone(), reached: AtomicBool::new(false) };
        let stored = bench.capture_with(parent.as_ref(), options.clone(), gate).await.unwrap();
        let problems = &stored.captured.findings.problems;
        assert_eq!((problems.len(), problems[0].code.as_str()), (1, "volume.late_missing"), "{problems:?}");
        bench.restore(&stored).await;
        let target = bench.target();
        let read = |path: &str| fs::read_to_string(target.join(path)).unwrap();
        assert_eq!((read("data/wal/1"), read("data/wal/2")), ("early".into(), "late".into()));
        assert_eq!((read("data/table"), read("data/backup_label")), ("in time".into(), "label".into()));
        assert!(!target.join("label.tmp").exists());
        fs::remove_file(volume.join("label.tmp")).unwrap();
        fs::remove_file(volume.join("data/wal/2")).unwrap();
        fs::write(volume.join("data/table"), "in time").unwrap();
        fs::remove_dir_all(&target).unwrap();
        fs::create_dir(&target).unwrap();
        parent = Some(stored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_ends_the_restore_with_what_to_do() {
    let bench = Bench::new().await;
    for n in 0..8 {
        fs::write(bench.volume().join(format!("f{n}")), noise(n, 1 << 20)).unwrap();
    }
    let stored = bench.capture(None).await;
    rustix::mount::mount(
        "tmpfs",
        bench.target(),
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        Some(c"size=3m"),
    )
    .unwrap();
    let error = bench.restore_with(&stored, all()).await.unwrap_err();
    rustix::mount::unmount(bench.target(), rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(error.code(), "volume.full");
    assert!(error.to_string().contains("larger claim"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_file_is_a_problem_not_an_end() {
    // Root reads everything; an encrypted or damaged file is what remains, and a directory that
    // is gone under the walk. Neither can be made here, so a file larger than can be opened is:
    let bench = Bench::new().await;
    fs::write(bench.volume().join("good"), "good").unwrap();
    let stored = bench
        .capture_with(
            None,
            CaptureOptions { excludes: vec!["a[".into()], ..CaptureOptions::default() },
            holdfast_volume::files::NoGate,
        )
        .await;
    assert_eq!(stored.err().unwrap().code(), "volume.spec");
    let missing = tempfile::tempdir().unwrap().path().join("missing");
    let writer = bench.repository.writer(holdfast_vault::WriterOptions::default()).await.unwrap();
    let opened = tokio::task::spawn_blocking(move || {
        holdfast_volume::files::capture(
            &missing,
            &writer,
            None,
            &CaptureOptions::default(),
            &holdfast_volume::files::NoGate,
            &Default::default(),
        )
    });
    let error = opened.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "volume.root");
}
