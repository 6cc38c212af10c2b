//! What we write stock restic reads, and what stock restic writes we read.

use std::path::{Path, PathBuf};

use crate::support::restic::Restic;
use crate::support::{files, walk};
use holdfast_vault::{BlobId, Repository, Snapshot, SnapshotId, WriterOptions};

fn now() -> jiff::Timestamp {
    "2026-11-22T10:15:00.5Z".parse().unwrap()
}

/// Stores `source` as one snapshot of `/data`.
async fn backup(repository: &Repository, source: &Path) -> (SnapshotId, BlobId) {
    let writer = repository.writer(WriterOptions::default()).await.unwrap();
    let (stores, source) = (writer.clone(), source.to_owned());
    let root = tokio::task::spawn_blocking(move || walk::store_directory(&stores, &source)).await.unwrap();
    let mut snapshot = Snapshot::new(now(), root);
    snapshot.paths = vec!["/data".into()];
    snapshot.hostname = "host".into();
    snapshot.tags = vec!["a".into()];
    let id = writer.commit(snapshot).await.unwrap();
    writer.close().await.unwrap();
    (id, root)
}

struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_restic_checks_and_restores_what_we_write() {
    let scene = Scene::new();
    files::make_corpus(&scene.path("source"));
    let repository = crate::support::create(&scene.path("repository")).await;
    let (id, root) = backup(&repository, &scene.path("source")).await;

    let restic = Restic::on(&scene.path("repository"));
    restic.check();
    restic.run(["restore", &id.to_string(), "--target", scene.path("restored").to_str().unwrap()]);
    assert_eq!(walk::facts(&scene.path("restored")), walk::facts(&scene.path("source")));

    let reader = repository.reader().await.unwrap();
    assert_eq!(walk::stored_facts(&reader, root).await, walk::facts(&scene.path("source")));
    assert!(
        !scene.path("repository/locks").exists()
            || std::fs::read_dir(scene.path("repository/locks")).unwrap().next().is_none()
    );
}

/// `rewrite` decodes and encodes every directory and refuses if the result differs; `diff` and
/// `stats` read nodes that `check` does not.
#[tokio::test(flavor = "multi_thread")]
async fn stock_restic_finds_our_directories_canonical() {
    let scene = Scene::new();
    files::make_corpus(&scene.path("source"));
    let repository = crate::support::create(&scene.path("repository")).await;
    let (first, _) = backup(&repository, &scene.path("source")).await;
    std::fs::write(scene.path("source/one more"), b"new").unwrap();
    let (second, _) = backup(&repository, &scene.path("source")).await;

    let restic = Restic::on(&scene.path("repository"));
    let diff = restic.run(["diff", &first.to_string(), &second.to_string()]);
    assert!(
        diff.contains("+    /one more") && diff.contains("Files:           1 new,     0 removed"),
        "{diff}"
    );
    restic.run(["rewrite", "--exclude", "/one more", &second.to_string()]);
    restic.run(["stats", "--mode", "raw-data"]);
    restic.run(["stats", "--mode", "files-by-contents", &first.to_string()]);
    restic.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn we_read_what_stock_restic_writes() {
    let scene = Scene::new();
    files::make_corpus(&scene.path("source"));
    let restic = Restic::on(&scene.path("repository"));
    restic.run(["init"]);
    for compression in ["off", "auto", "max"] {
        std::fs::write(scene.path("source/changing"), compression.repeat(100_000)).unwrap();
        restic.run([
            "backup",
            "--compression",
            compression,
            "--with-atime",
            scene.path("source").to_str().unwrap(),
        ]);
        let repository = crate::support::open(&scene.path("repository")).await;
        let (_, snapshot) = repository.snapshots().await.unwrap().pop().unwrap();
        let reader = repository.reader().await.unwrap();
        let source = scene.path("source");
        let root = reader.lookup(&snapshot.tree, source.to_str().unwrap()).await.unwrap().unwrap();
        let stored = walk::stored_facts(&reader, root.subtree.unwrap()).await;
        assert_eq!(stored, walk::facts(&source), "{compression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_restic_continues_from_our_snapshot_and_we_from_its() {
    let scene = Scene::new();
    files::make_corpus(&scene.path("data"));
    let restic = Restic::on(&scene.path("repository"));
    let repository = crate::support::create(&scene.path("repository")).await;
    let (parent, _) = backup(&repository, &scene.path("data")).await;

    std::fs::write(scene.path("data/one"), b"changed").unwrap();
    let report = restic.run([
        "backup",
        "--parent",
        &parent.to_string(),
        "--json",
        scene.path("data").to_str().unwrap(),
    ]);
    assert!(report.contains("\"message_type\":\"summary\""), "{report}");
    backup(&repository, &scene.path("data")).await;
    restic.check();
    assert_eq!(repository.snapshots().await.unwrap().len(), 3);
}

/// Three pieces in a file of holes that is longer than 32 bits can count.
fn make_huge(path: &Path) -> u64 {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(path).unwrap();
    let size = (4 << 30) + (5 << 20) + 3;
    file.set_len(size).unwrap();
    for (seed, at) in [(1, 0), (2, (4 << 30) - 500_000), (3, size - 1_000_000)] {
        file.write_all_at(&crate::support::noise(seed, 1_000_000), at).unwrap();
    }
    size
}

/// Takes what is written and compares it with a file, piece by piece.
struct Same {
    file: std::fs::File,
    at: u64,
}

impl tokio::io::AsyncWrite for Same {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        use std::os::unix::fs::FileExt;
        let mut wanted = vec![0; bytes.len()];
        self.file.read_exact_at(&mut wanted, self.at)?;
        assert!(bytes == wanted, "the content differs after byte {}", self.at);
        self.at += bytes.len() as u64;
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: reads and writes files beyond 4 GiB"]
async fn long_files_beyond_four_gibibytes_survive_in_both_directions() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("source")).unwrap();
    let huge = scene.path("source/huge");
    let size = make_huge(&huge);
    let (stock, ours) = (scene.path("stock"), scene.path("ours"));

    Restic::on(&stock).run(["init"]);
    Restic::on(&stock).run(["backup", scene.path("source").to_str().unwrap()]);
    let repository = crate::support::open(&stock).await;
    let (_, snapshot) = repository.snapshots().await.unwrap().pop().unwrap();
    let reader = repository.reader().await.unwrap();
    let node = reader.lookup(&snapshot.tree, huge.to_str().unwrap()).await.unwrap().unwrap();
    let mut same = Same { file: std::fs::File::open(&huge).unwrap(), at: 0 };
    reader.file(&node, &mut same).await.unwrap();
    assert_eq!((node.size, same.at), (size, size));

    let repository = crate::support::create(&ours).await;
    let (id, _) = backup(&repository, &scene.path("source")).await;
    let restored = scene.path("restored");
    Restic::on(&ours).check();
    Restic::on(&ours).run(["restore", &id.to_string(), "--sparse", "--target", restored.to_str().unwrap()]);
    let compared = std::process::Command::new("cmp").arg(&huge).arg(restored.join("huge")).status().unwrap();
    assert!(compared.success(), "what stock restic restored differs");
}
