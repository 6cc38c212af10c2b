//! Images that are captured and restored as block devices, and loop devices over them.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use holdfast_vault::{BlobId, Repository, Snapshot, SnapshotId, WriterOptions};
use holdfast_volume::Result;
use holdfast_volume::blocks::{self, CaptureOptions, Captured, ParentDevice, Ranges, RestoreOptions, Source};
use holdfast_volume::files::{Progress, Restored};
use tokio::runtime::Handle;

/// What a capture stored.
pub struct Stored {
    pub id: SnapshotId,
    pub snapshot: Snapshot,
    pub captured: Captured,
    pub stats: holdfast_vault::WriteStats,
}

impl Stored {
    /// The tree of the volume, which follows from the content.
    pub fn tree(&self) -> BlobId {
        self.captured.root.subtree.unwrap()
    }
}

/// Captures `path` and commits a snapshot.
pub async fn capture(
    repository: &Repository,
    path: &Path,
    parent: Option<&Stored>,
    source: Source,
) -> Result<Stored> {
    let writer = repository.writer(WriterOptions::default()).await?;
    let parent = match parent {
        Some(parent) => Some(ParentDevice::of(&repository.reader().await?, &parent.snapshot).await?),
        None => None,
    };
    let (path, storing) = (path.to_owned(), writer.clone());
    let captured = tokio::task::spawn_blocking(move || {
        let options = CaptureOptions::default();
        let captured =
            blocks::capture(&path, &storing, parent.as_ref(), source, &options, &Progress::default())?;
        let tree = captured.root_tree(&storing, b"{}")?;
        Ok((captured, tree))
    });
    let (captured, tree) = match captured.await.unwrap() {
        Ok(done) => done,
        Err(error) => {
            writer.close().await?;
            return Err(error);
        }
    };
    let snapshot = Snapshot::new(super::now(), tree);
    let id = writer.commit(snapshot.clone()).await?;
    let stats = writer.close().await?;
    Ok(Stored { id, snapshot, captured, stats })
}

/// Restores a snapshot into `target`.
pub async fn restore(
    repository: &Repository,
    snapshot: &Snapshot,
    target: &Path,
    options: RestoreOptions,
) -> Result<Restored> {
    let reader = repository.reader().await?;
    let (snapshot, target, runtime) = (snapshot.clone(), target.to_owned(), Handle::current());
    let restore = move || {
        let progress = Arc::new(Progress::default());
        blocks::restore_volume(&reader, &runtime, &snapshot, &target, &options, &progress)
    };
    tokio::task::spawn_blocking(restore).await.unwrap()
}

/// Ranges as a driver names them.
pub fn ranges(ranges: impl IntoIterator<Item = Range<u64>>) -> Ranges {
    Box::new(ranges.into_iter().map(Ok).collect::<Vec<_>>().into_iter())
}

/// A sparse file.
pub struct Image {
    pub path: PathBuf,
    file: File,
}

impl Image {
    pub fn new(directory: &Path, name: &str, size: u64) -> Self {
        let path = directory.join(name);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        Self { path, file }
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset).unwrap();
    }

    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    pub fn resize(&self, size: u64) {
        self.file.set_len(size).unwrap();
    }

    pub fn size(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    /// Bytes that it takes on its file system.
    pub fn allocated(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        self.file.sync_all().unwrap();
        self.file.metadata().unwrap().blocks() * 512
    }

    pub fn content(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }
}

/// A loop device; detached with its last user.
pub struct Loop(pub PathBuf);

impl Loop {
    pub fn over(image: &Image) -> Self {
        let path = image.path.to_str().unwrap();
        Self(run("losetup", &["--find", "--show", path]).into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run("losetup", &["--detach", self.0.to_str().unwrap()]);
    }
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}
