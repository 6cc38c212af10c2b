//! Snapshots of block devices made to do harm, restored into a file: nothing beyond the device's
//! size changes, and the file keeps its length.
//!
//! An input is a description of a device, and then a tree of JSON a line: the first is the
//! directory of every segment, the second that of the volume.
#![no_main]

use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use holdfast_vault::{
    BlobId, CreateOptions, Node, NodeKind, Reader, Repository, RepositoryPassword, Snapshot, Store, Tree,
    WriterOptions,
};
use holdfast_volume::blocks::{Before, RestoreOptions, ranges_from_lines, restore_volume};
use jiff::Timestamp;
use libfuzzer_sys::{Corpus, fuzz_target};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime starts"));

const EXTENT: usize = 64 << 10;
/// The target: three extents and a bit.
const TARGET: usize = 200_000;
/// What the target holds before.
const BEFORE: u8 = 3;

/// Lets a tree refer to what is there: the content of files, the directory of segments.
fn placed(mut tree: Tree, described: BlobId, below: Option<BlobId>) -> Tree {
    for node in &mut tree.nodes {
        let content = if node.name == b"device.json" { described } else { BlobId::of(&[7; EXTENT]) };
        let pieces = node.blobs().len().min(5);
        node.content = (node.kind == NodeKind::File).then(|| vec![content; pieces]);
        node.subtree = node.subtree.and(below);
    }
    tree
}

/// A repository with such a snapshot, unless a tree of it cannot be written.
async fn forge(description: Vec<u8>, segment: Tree, volume: Tree) -> Option<(Reader, Snapshot)> {
    let password = RepositoryPassword::new("fuzz");
    let repository = Repository::create(Store::in_memory(), &password, CreateOptions::default()).await;
    let repository = repository.expect("a repository is made");
    let writer = repository.writer(WriterOptions::default()).await.expect("it can be written");
    let storing = writer.clone();
    let root = tokio::task::spawn_blocking(move || {
        storing.data(&[7; EXTENT]).expect("content is stored");
        let described = storing.data(&description).expect("the description is stored");
        let below = storing.tree(&placed(segment, described, None)).ok()?;
        let mut node = Node::new("volume", NodeKind::Dir);
        node.subtree = Some(storing.tree(&placed(volume, described, Some(below))).ok()?);
        storing.tree(&Tree { nodes: vec![node] }).ok()
    });
    let snapshot = Snapshot::new(Timestamp::UNIX_EPOCH, root.await.expect("storing ends")?);
    writer.commit(snapshot.clone()).await.expect("the snapshot is stored");
    writer.close().await.expect("the writer is closed");
    Some((repository.reader().await.expect("it can be read"), snapshot))
}

/// The size that a description claims, if it can be read.
fn claimed(description: &[u8]) -> usize {
    let value: Option<serde_json::Value> = serde_json::from_slice(description).ok();
    let size = value.and_then(|value| value["size"].as_u64()).unwrap_or_default();
    usize::try_from(size).unwrap_or(usize::MAX).min(TARGET)
}

fuzz_target!(|text: &[u8]| -> Corpus {
    ranges_from_lines(std::io::Cursor::new(text.to_vec())).for_each(drop);
    let mut lines = text.splitn(3, |&byte| byte == b'\n');
    let description = lines.next().unwrap_or_default().to_vec();
    let Ok(trees) = lines.map(Tree::from_json).collect::<Result<Vec<Tree>, _>>() else {
        return Corpus::Reject;
    };
    let Ok([segment, volume]) = <[Tree; 2]>::try_from(trees) else { return Corpus::Reject };
    let size = claimed(&description);
    let Some((reader, snapshot)) = RUNTIME.block_on(forge(description, segment, volume)) else {
        return Corpus::Reject;
    };
    for before in [Before::Unknown, Before::Alike] {
        let target = tempfile::NamedTempFile::new().expect("there is room");
        target.as_file().write_all_at(&[BEFORE; TARGET], 0).expect("it can be written");
        let options = RestoreOptions { before, sync: false, ..RestoreOptions::default() };
        // What could not be restored is a problem of the snapshot.
        let _ = restore_volume(
            &reader,
            RUNTIME.handle(),
            &snapshot,
            target.path(),
            &options,
            &Default::default(),
        );
        let after = std::fs::read(target.path()).expect("it can be read");
        assert_eq!(after.len(), TARGET, "the target's length changed");
        assert!(after[size..].iter().all(|&byte| byte == BEFORE), "something was written beyond the device");
    }
    Corpus::Keep
});
