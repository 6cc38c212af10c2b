//! Snapshots of volumes made to do harm, restored into a directory: nothing beside it changes.
//!
//! An input is a tree of JSON a line. Each line's directories lead to the tree of the line before;
//! the last line is the root of the volume.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use holdfast_vault::{
    BlobId, CreateOptions, Mode, Node, NodeKind, Reader, Repository, RepositoryPassword, Snapshot, Store,
    Tree, WriterOptions,
};
use holdfast_volume::files::{RestoreOptions, restore_volume};
use jiff::Timestamp;
use libfuzzer_sys::{Corpus, fuzz_target};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime starts"));

/// More lines than this add nothing but time.
const MOST_TREES: usize = 8;
const CONTENT: &[u8] = b"content";

/// Keeps what is hostile in a tree and makes the rest exist: content is stored, subtrees are there.
fn placed(mut tree: Tree, below: Option<BlobId>) -> Tree {
    for node in &mut tree.nodes {
        let pieces = node.blobs().len().min(3);
        node.content = (node.kind == NodeKind::File).then(|| vec![BlobId::of(CONTENT); pieces]);
        node.subtree = node.subtree.and(below);
    }
    tree
}

/// A repository with the snapshot of a volume whose trees these are, unless one cannot be written.
async fn forge(trees: Vec<Tree>) -> Option<(Reader, Snapshot)> {
    let password = RepositoryPassword::new("fuzz");
    let store = Store::in_memory();
    let repository = Repository::create(store, &password, CreateOptions::default()).await;
    let repository = repository.expect("a repository is made");
    let writer = repository.writer(WriterOptions::default()).await.expect("it can be written");
    let storing = writer.clone();
    let root = tokio::task::spawn_blocking(move || {
        storing.data(CONTENT).expect("content is stored");
        let mut below = None;
        for tree in trees {
            below = Some(storing.tree(&placed(tree, below)).ok()?);
        }
        let mut volume = Node::new("volume", NodeKind::Dir);
        volume.mode = Mode::from_unix(0o040_755);
        volume.subtree = below;
        storing.tree(&Tree { nodes: vec![volume] }).ok()
    });
    let snapshot = Snapshot::new(Timestamp::UNIX_EPOCH, root.await.expect("storing ends")?);
    writer.commit(snapshot.clone()).await.expect("the snapshot is stored");
    writer.close().await.expect("the writer is closed");
    Some((repository.reader().await.expect("it can be read"), snapshot))
}

type Listing = BTreeMap<PathBuf, (u32, u64, i64, i64)>;

fn list(path: &Path, listing: &mut Listing) {
    let meta = fs::symlink_metadata(path).expect("what is listed is there");
    listing.insert(path.to_owned(), (meta.mode(), meta.size(), meta.mtime(), meta.mtime_nsec()));
    if meta.is_dir() {
        for entry in fs::read_dir(path).expect("it can be listed") {
            list(&entry.expect("an entry can be read").path(), listing);
        }
    }
}

fuzz_target!(|text: &[u8]| -> Corpus {
    let trees = text.split(|&byte| byte == b'\n').take(MOST_TREES).map(Tree::from_json);
    let Ok(trees) = trees.collect::<Result<Vec<Tree>, _>>() else { return Corpus::Reject };
    let dir = tempfile::tempdir().expect("there is room");
    let (outside, target) = (dir.path().join("outside"), dir.path().join("target"));
    fs::create_dir_all(outside.join("d")).expect("it can be made");
    fs::write(outside.join("d/f"), "the mover's own key").expect("it can be written");
    fs::create_dir(&target).expect("it can be made");
    let before = {
        let mut listing = Listing::new();
        list(&outside, &mut listing);
        listing
    };
    let Some((reader, snapshot)) = RUNTIME.block_on(forge(trees)) else { return Corpus::Reject };
    for _ in 0..2 {
        let handle = RUNTIME.handle();
        let options = RestoreOptions { sync: false, ..RestoreOptions::default() };
        // What could not be restored is a problem of the snapshot; only the outside matters here.
        let _ = restore_volume(&reader, handle, &snapshot, &target, &options, &Default::default());
    }
    let mut after = Listing::new();
    list(&outside, &mut after);
    assert_eq!(after, before, "something outside the volume changed");
    let beside: Vec<_> = fs::read_dir(dir.path()).expect("it can be listed").collect();
    assert_eq!(beside.len(), 2, "something was made beside the volume");
    Corpus::Keep
});
