//! Volumes and snapshots made to do harm: nothing outside is read or written.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::listing::list;
use crate::support::{Bench, all, exact};
use holdfast_vault::{BlobId, Mode, Node, NodeKind, Snapshot, Tree, WriterOptions};
use holdfast_volume::files::{Compare, RestoreOptions, Verify};

const SECRET: &str = "the mover's own key";

/// With fewer swaps, or fewer rounds of our own work meanwhile, an attack was none.
const SWAPS: u64 = 100;
const ROUNDS: u64 = 3;

/// Swaps a directory of the volume for a symbolic link to `outside`, over and over.
struct Attacker {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Attacker {
    fn start(volume: &Path, outside: &Path) -> Self {
        let (stop, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (flag, count) = (Arc::clone(&stop), Arc::clone(&swaps));
        let (volume, outside) = (volume.to_owned(), outside.to_owned());
        let thread = std::thread::spawn(move || {
            let mut n = 0u64;
            while !flag.load(Ordering::Relaxed) {
                n += 1;
                let (dir, kept) = (volume.join(format!("d{}", n % 4)), volume.join("kept"));
                if fs::rename(&dir, &kept).is_err() {
                    // A restore made the directory anew before it could be put back.
                    let _ = fs::remove_dir_all(&kept);
                    continue;
                }
                let target = if n.is_multiple_of(3) { outside.join("f") } else { outside.clone() };
                let _ = symlink(&target, &dir);
                for _ in 0..n % 50 {
                    std::hint::spin_loop();
                }
                let _ = fs::remove_file(&dir);
                let _ = fs::remove_dir_all(&dir);
                let _ = fs::rename(&kept, &dir);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, swaps, thread: Some(thread) }
    }

    /// Whether it is to go on: until `end`, and until it has been an attack. On a busy machine the
    /// second may take longer; it is given a minute.
    fn goes_on(&self, end: Instant, rounds: u64) -> bool {
        let attacked = self.swaps.load(Ordering::Relaxed) > SWAPS && rounds > ROUNDS;
        let now = Instant::now();
        now < end || (!attacked && now < end + Duration::from_secs(60))
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.swaps.load(Ordering::Relaxed)
    }
}

fn populate(volume: &Path) {
    for d in 0..4 {
        for f in 0..20 {
            fs::create_dir_all(volume.join(format!("d{d}/sub{f}"))).unwrap();
            fs::write(volume.join(format!("d{d}/sub{f}/f")), "harmless").unwrap();
        }
        fs::write(volume.join(format!("d{d}/f")), "harmless").unwrap();
    }
}

/// The same while an attacker is at work on it.
fn populate_anew(volume: &Path) {
    for d in 0..4 {
        let dir = volume.join(format!("d{d}"));
        if fs::symlink_metadata(&dir).is_err() {
            let made = volume.join("made");
            let _ = fs::create_dir_all(made.join("sub1"));
            let _ = fs::write(made.join("f"), "harmless");
            let _ = fs::write(made.join("sub1/f"), "harmless");
            let _ = fs::rename(&made, &dir);
        }
    }
}

fn outside(dir: &Path) -> std::path::PathBuf {
    let outside = dir.join("outside");
    fs::create_dir_all(outside.join("sub1")).unwrap();
    for file in ["f", "sub1/f"] {
        fs::write(outside.join(file), SECRET).unwrap();
    }
    outside
}

async fn captures_under_attack(length: Duration) {
    let bench = Bench::new().await;
    populate(&bench.volume());
    let outside = outside(bench.dir.path());
    let attacker = Attacker::start(&bench.volume(), &outside);
    let secret = BlobId::of(SECRET.as_bytes());
    let (end, mut rounds) = (Instant::now() + length, 0u64);
    while attacker.goes_on(end, rounds) {
        let stored = bench.capture(None).await;
        let reader = bench.repository.reader().await.unwrap();
        let known = reader.size_of(holdfast_vault::BlobKind::Data, &secret);
        assert_eq!(known, None, "the secret is in snapshot {}", stored.id);
        rounds += 1;
    }
    let swaps = attacker.end();
    assert!(swaps > SWAPS && rounds > ROUNDS, "the attack was no attack: {swaps} swaps, {rounds} captures");
}

async fn restores_under_attack(length: Duration, options: RestoreOptions) {
    let bench = Bench::new().await;
    populate(&bench.volume());
    let stored = bench.capture(None).await;
    let outside = outside(bench.dir.path());
    let before = list(&outside);
    bench.restore(&stored).await;
    let attacker = Attacker::start(&bench.target(), &outside);
    let (end, mut rounds) = (Instant::now() + length, 0u64);
    while attacker.goes_on(end, rounds) {
        // What was swapped away may be a problem; only the outside matters.
        let _ = bench.restore_with(&stored, options.clone()).await.unwrap();
        rounds += 1;
    }
    let swaps = attacker.end();
    assert!(swaps > SWAPS && rounds > ROUNDS, "the attack was no attack: {swaps} swaps, {rounds} restores");
    assert_eq!(before, list(&outside));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_directory_never_leads_a_capture_out_of_the_volume() {
    captures_under_attack(Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_directory_never_leads_a_restore_out_of_the_target() {
    restores_under_attack(Duration::from_secs(3), all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_directory_never_leads_a_restore_in_place_out_of_the_target() {
    let verified = RestoreOptions { verify: Verify::All, ..exact(Compare::Content) };
    restores_under_attack(Duration::from_secs(3), verified).await;
}

/// Swapped or not, what is to go is removed in the target and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_never_leaves_the_target() {
    let bench = Bench::new().await;
    let empty = bench.capture(None).await;
    let outside = outside(bench.dir.path());
    let before = list(&outside);
    let (end, mut rounds) = (Instant::now() + Duration::from_secs(3), 0u64);
    populate(&bench.target());
    let attacker = Attacker::start(&bench.target(), &outside);
    while attacker.goes_on(end, rounds) {
        let _ = bench.restore_with(&empty, exact(Compare::Times)).await.unwrap();
        populate_anew(&bench.target());
        rounds += 1;
    }
    assert!(attacker.end() > SWAPS && rounds > ROUNDS);
    assert_eq!(before, list(&outside));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: an attacker runs for a minute"]
async fn long_captures_and_restores_withstand_a_minute_of_attack() {
    captures_under_attack(Duration::from_secs(60)).await;
    restores_under_attack(Duration::from_secs(60), all()).await;
    restores_under_attack(Duration::from_secs(60), exact(Compare::Content)).await;
}

fn file(name: &str, content: &[BlobId], size: u64) -> Node {
    let mut node = Node::new(name, NodeKind::File);
    node.mode = Mode::from_unix(0o100_644);
    node.content = Some(content.to_vec());
    node.size = size;
    node
}

fn link(name: &str, target: &str) -> Node {
    let mut node = Node::new(name, NodeKind::Symlink);
    node.mode = Mode::from_unix(0o120_777);
    node.link_target = target.as_bytes().to_vec();
    node
}

fn dir(name: &str, subtree: BlobId) -> Node {
    let mut node = Node::new(name, NodeKind::Dir);
    node.mode = Mode::from_unix(0o040_755);
    node.subtree = Some(subtree);
    node
}

/// Stores a tree whose JSON is `nodes` joined as they are, which no writer of ours would store.
async fn forged(bench: &Bench, trees: Vec<Vec<Node>>) -> Snapshot {
    let writer = bench.repository.writer(WriterOptions::default()).await.unwrap();
    let storing = writer.clone();
    let root = tokio::task::spawn_blocking(move || {
        let data = storing.data(b"content").unwrap();
        assert_eq!(data, BlobId::of(b"content"));
        let mut last = BlobId::of(b"");
        for nodes in trees {
            let nodes =
                nodes.into_iter().map(|node| Node { subtree: node.subtree.map(|_| last), ..node }).collect();
            last = storing.tree(&Tree { nodes }).unwrap();
        }
        storing.tree(&Tree { nodes: vec![dir("volume", last)] }).unwrap()
    })
    .await
    .unwrap();
    let snapshot = Snapshot::new(crate::support::now(), root);
    writer.commit(snapshot.clone()).await.unwrap();
    writer.close().await.unwrap();
    snapshot
}

async fn restore(
    bench: &Bench,
    snapshot: &Snapshot,
) -> holdfast_volume::Result<holdfast_volume::files::Restored> {
    let reader = bench.repository.reader().await?;
    let (snapshot, target, runtime) = (snapshot.clone(), bench.target(), tokio::runtime::Handle::current());
    tokio::task::spawn_blocking(move || {
        holdfast_volume::files::restore_volume(
            &reader,
            &runtime,
            &snapshot,
            &target,
            &all(),
            &Default::default(),
        )
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_and_then_a_directory_of_one_name_do_not_write_through() {
    let bench = Bench::new().await;
    let outside = outside(bench.dir.path());
    // Two restores into one target: the first leaves links where the second has directories and files.
    let links = forged(
        &bench,
        vec![vec![link("d", outside.to_str().unwrap()), link("f", outside.join("f").to_str().unwrap())]],
    );
    restore(&bench, &links.await).await.unwrap();
    let content = BlobId::of(b"content");
    let writes = forged(
        &bench,
        vec![vec![file("f", &[content], 7)], vec![dir("d", content), file("f", &[content], 7)]],
    );
    let before = list(&outside);
    let restored = restore(&bench, &writes.await).await.unwrap();
    assert_eq!(restored.findings.problem_count, 0, "{:?}", restored.findings);
    assert_eq!(before, list(&outside));
    assert_eq!(fs::read(bench.target().join("d/f")).unwrap(), b"content");
    assert!(fs::symlink_metadata(bench.target().join("f")).unwrap().is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_sizes_are_named_and_cost_nothing() {
    let bench = Bench::new().await;
    let content = BlobId::of(b"content");
    let missing = BlobId::of(b"never stored");
    let snapshot = forged(
        &bench,
        vec![vec![
            file("huge", &[content], u64::MAX),
            file("negative", &[content, content], 3),
            file("lost", &[missing], 1 << 40),
            file("fine", &[content], 7),
        ]],
    );
    let restored = restore(&bench, &snapshot.await).await.unwrap();
    let of = |path: &str| restored.findings.problems.iter().filter(|problem| problem.subject == path).count();
    assert!(
        of("huge") == 1 && of("negative") == 1 && of("lost") >= 1 && of("fine") == 0,
        "{:?}",
        restored.findings
    );
    assert_eq!(fs::read(bench.target().join("huge")).unwrap(), b"content");
    assert_eq!(fs::read(bench.target().join("fine")).unwrap(), b"content");
    // Never read: whether a file system takes the lost file's length as one hole is its own affair.
    let entries = fs::read_dir(bench.target()).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    let used: Vec<u64> = entries.map(|meta| meta.blocks() * 512).collect();
    assert!(used.len() <= 4 && used.iter().sum::<u64>() < 1 << 20, "{used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_nested_without_end_are_cut_off() {
    let bench = Bench::new().await;
    let mut trees = vec![vec![file("bottom", &[], 0)]];
    trees.extend((0..3_000).map(|_| vec![dir("d", BlobId::of(b""))]));
    let snapshot = forged(&bench, trees).await;
    let restored = restore(&bench, &snapshot).await.unwrap();
    let codes: Vec<&str> = restored.findings.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["file.too_deep"]);
}
