//! What the integration tests share: a repository, capture and restore in one call, directories
//! as values, and stock restic.

pub mod blocks;
pub mod listing;
pub mod mutation;
pub mod restic;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_vault::{
    BlobId, CreateOptions, Credentials, Node, Repository, RepositoryPassword, Snapshot, SnapshotId, Store,
    StoreOptions, Tree, WriterOptions,
};
use holdfast_volume::Result;
use holdfast_volume::files::{
    self, CaptureOptions, Captured, Compare, Extras, Gate, NoGate, ParentTree, Progress, RestoreMode,
    RestoreOptions, Restored,
};
use jiff::Timestamp;
use tokio::runtime::Handle;

pub const PASSWORD: &str = "correct horse battery staple";

/// A volume, a repository and a place to restore to, in one temporary directory.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub repository: Repository,
}

/// What a capture stored.
pub struct Stored {
    pub id: SnapshotId,
    pub snapshot: Snapshot,
    pub captured: Captured,
    pub stats: holdfast_vault::WriteStats,
}

impl Bench {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["volume", "vault", "target"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let (store, password) = (store(&dir.path().join("vault")), RepositoryPassword::new(PASSWORD));
        let repository = Repository::create(store, &password, CreateOptions::default()).await.unwrap();
        Self { repository, dir }
    }

    pub fn volume(&self) -> PathBuf {
        self.dir.path().join("volume")
    }

    pub fn vault(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    pub fn target(&self) -> PathBuf {
        self.dir.path().join("target")
    }

    /// Captures the volume, against `parent` if given, and commits a snapshot.
    pub async fn capture(&self, parent: Option<&Stored>) -> Stored {
        self.capture_with(parent, CaptureOptions::default(), NoGate).await.unwrap()
    }

    pub async fn capture_with(
        &self,
        parent: Option<&Stored>,
        options: CaptureOptions,
        gate: impl Gate + Send + 'static,
    ) -> Result<Stored> {
        self.store(parent, options, gate, "{}").await
    }

    /// Captures the volume with this beside it as what its capture met.
    pub async fn capture_reporting(&self, report: &str) -> Stored {
        self.store(None, CaptureOptions::default(), NoGate, report).await.unwrap()
    }

    async fn store(
        &self,
        parent: Option<&Stored>,
        options: CaptureOptions,
        gate: impl Gate + Send + 'static,
        report: &str,
    ) -> Result<Stored> {
        let writer = self.repository.writer(WriterOptions::default()).await?;
        let parent = match parent {
            Some(parent) => ParentTree::of(&self.repository.reader().await?, &parent.snapshot).await?,
            None => None,
        };
        // A second later than anything that was written before: see ParentTree.
        let started = now();
        let (root, walking, report) = (self.volume(), writer.clone(), report.to_owned());
        let captured = tokio::task::spawn_blocking(move || {
            let captured =
                files::capture(&root, &walking, parent.as_ref(), &options, &gate, &Progress::default())?;
            let tree = captured.root_tree(&walking, report.as_bytes())?;
            holdfast_volume::Result::Ok((captured, tree))
        });
        let (captured, tree) = match captured.await.unwrap() {
            Ok(done) => done,
            Err(error) => {
                writer.close().await?;
                return Err(error);
            }
        };
        let mut snapshot = Snapshot::new(started, tree);
        snapshot.paths = vec!["/volume".to_owned()];
        let id = writer.commit(snapshot.clone()).await?;
        let stats = writer.close().await?;
        Ok(Stored { id, snapshot, captured, stats })
    }

    /// Flips a bit in the middle of the largest file of the vault.
    pub fn damage(&self) {
        let packs = std::fs::read_dir(self.vault().join("data")).unwrap();
        let packs = packs.flat_map(|dir| std::fs::read_dir(dir.unwrap().path()).unwrap());
        let largest = packs.map(|pack| pack.unwrap()).max_by_key(|pack| pack.metadata().unwrap().len());
        let file = std::fs::OpenOptions::new().read(true).write(true).open(largest.unwrap().path()).unwrap();
        let (middle, mut byte) = (file.metadata().unwrap().len() / 2, [0]);
        file.read_exact_at(&mut byte, middle).unwrap();
        file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
    }

    /// The same volume with one more node at its root.
    pub async fn with_node(&self, stored: &Stored, node: Node) -> Stored {
        let reader = self.repository.reader().await.unwrap();
        let mut tree = Tree::clone(&*reader.tree(&stored.captured.root.subtree.unwrap()).await.unwrap());
        tree.nodes.push(node);
        let writer = self.repository.writer(WriterOptions::default()).await.unwrap();
        let (storing, mut captured) = (writer.clone(), stored.captured.clone());
        let stored_tree = tokio::task::spawn_blocking(move || {
            captured.root.subtree = Some(storing.tree(&tree).unwrap());
            (captured.root_tree(&storing, b"{}").unwrap(), captured)
        });
        let (tree, captured) = stored_tree.await.unwrap();
        let snapshot = Snapshot { tree, ..stored.snapshot.clone() };
        let id = writer.commit(snapshot.clone()).await.unwrap();
        let stats = writer.close().await.unwrap();
        Stored { id, snapshot, captured, stats }
    }

    /// Restores a captured volume into the target.
    pub async fn restore(&self, stored: &Stored) -> Restored {
        self.restore_with(stored, all()).await.unwrap()
    }

    pub async fn restore_with(&self, stored: &Stored, options: RestoreOptions) -> Result<Restored> {
        self.restore_to(&self.target(), stored, options).await
    }

    pub async fn restore_to(
        &self,
        target: &Path,
        stored: &Stored,
        options: RestoreOptions,
    ) -> Result<Restored> {
        restore_snapshot(&self.repository, &stored.snapshot, target, options).await
    }

    /// Restores the entries of any tree into the target.
    pub async fn restore_tree(&self, tree: BlobId) -> Restored {
        self.restore_tree_with(tree, all()).await
    }

    pub async fn restore_tree_with(&self, tree: BlobId, options: RestoreOptions) -> Restored {
        let reader = self.repository.reader().await.unwrap();
        let (target, runtime) = (self.target(), Handle::current());
        tokio::task::spawn_blocking(move || {
            files::restore(&reader, &runtime, &tree, &target, &options, &Arc::new(Progress::default()))
                .unwrap()
        })
        .await
        .unwrap()
    }
}

/// Restores a volume.
pub async fn restore_snapshot(
    repository: &Repository,
    snapshot: &Snapshot,
    target: &Path,
    options: RestoreOptions,
) -> Result<Restored> {
    let reader = repository.reader().await?;
    let (snapshot, target, runtime) = (snapshot.clone(), target.to_owned(), Handle::current());
    let restore =
        move || files::restore_volume(&reader, &runtime, &snapshot, &target, &options, &Arc::default());
    tokio::task::spawn_blocking(restore).await.unwrap()
}

/// Everything an administrator can allow, without waiting for the disk.
pub fn all() -> RestoreOptions {
    RestoreOptions { devices: true, setuid: true, sync: false, ..RestoreOptions::default() }
}

/// What makes the target exactly what a snapshot has.
pub fn exact(compare: Compare) -> RestoreOptions {
    RestoreOptions { mode: RestoreMode::Exact { extras: Extras::Delete, compare }, ..all() }
}

/// What updates a target that holds `base`.
pub fn delta(base: &Stored) -> RestoreOptions {
    RestoreOptions { mode: RestoreMode::Delta { base: base.snapshot.tree }, ..all() }
}

#[allow(clippy::disallowed_methods, reason = "a test is an edge")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

pub fn store(directory: &Path) -> Store {
    let options = StoreOptions { no_sync: true, ..StoreOptions::default() };
    Store::connect(&format!("file://{}", directory.display()), &options, &Credentials::none()).unwrap()
}

/// Sets the times of everything below (and at) `path` back by an hour, so that it counts as
/// unchanged since before the last capture. The change time cannot be set; it is waited for.
pub fn age(path: &Path) {
    let newest = newest_change(path);
    let until = newest.checked_add(jiff::SignedDuration::from_millis(1_050)).unwrap();
    while now() < until {
        std::thread::yield_now();
    }
}

fn newest_change(path: &Path) -> Timestamp {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).unwrap();
    let own = Timestamp::new(meta.ctime(), meta.ctime_nsec() as i32).unwrap();
    let below = meta.is_dir().then(|| std::fs::read_dir(path).unwrap());
    below.into_iter().flatten().map(|entry| newest_change(&entry.unwrap().path())).fold(own, Timestamp::max)
}

/// xorshift64*: the same bytes for the same seed, everywhere.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes()
    });
    words.flatten().take(length).collect()
}
