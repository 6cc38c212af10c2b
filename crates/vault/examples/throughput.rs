//! Measures the vault alone: stores a directory in a repository, or fetches a snapshot's content.
//!
//! `throughput init|backup|restore REPOSITORY [DIRECTORY]`, with the repository's directory and,
//! for `backup`, the one to be stored. `restore` decodes everything and drops it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool for developers")]

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use holdfast_vault::{
    BlobId, CreateOptions, Credentials, Mode, Node, NodeKind, Repository, RepositoryPassword, Snapshot,
    Store, StoreOptions, Tree, Writer, WriterOptions,
};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let store = || {
        Store::connect(&format!("file://{}", arguments[1]), &StoreOptions::default(), &Credentials::none())
    };
    let password = RepositoryPassword::new("throughput");
    let start = Instant::now();
    match arguments[0].as_str() {
        "init" => {
            drop(Repository::create(store().unwrap(), &password, CreateOptions::default()).await.unwrap())
        }
        "backup" => {
            backup(&Repository::open(store().unwrap(), &password).await.unwrap(), arguments[2].clone().into())
                .await
        }
        "restore" => restore(&Repository::open(store().unwrap(), &password).await.unwrap()).await,
        other => panic!("{other}: use init, backup or restore"),
    }
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("{:.2} s, {peak}", start.elapsed().as_secs_f64());
}

async fn backup(repository: &Repository, directory: PathBuf) {
    let writer = repository.writer(WriterOptions::default()).await.unwrap();
    let stores = writer.clone();
    let root = tokio::task::spawn_blocking(move || store_directory(&stores, &directory)).await.unwrap();
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    writer.commit(Snapshot::new(now, root)).await.unwrap();
    println!("{:?}", writer.close().await.unwrap());
}

/// Lists everything, stores the files from two threads, then the directories.
fn store_directory(writer: &Writer, root: &Path) -> BlobId {
    let mut listing = Listing::default();
    let top = listing.list(root);
    let next = AtomicUsize::new(0);
    let contents: Vec<std::sync::OnceLock<Node>> = listing.files.iter().map(|_| Default::default()).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut buffer = vec![0; 512 << 10];
                while let Some(path) = listing.files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let at = next_index(&listing.files, path);
                    let _ = contents[at].set(store_file(writer, path, &mut buffer));
                }
            });
        }
    });
    store_level(writer, &top, &contents)
}

fn next_index(files: &[PathBuf], path: &PathBuf) -> usize {
    // The path is an element of the slice.
    (std::ptr::from_ref(path).addr() - files.as_ptr().addr()) / size_of::<PathBuf>()
}

#[derive(Default)]
struct Listing {
    files: Vec<PathBuf>,
}

struct Level {
    node: Node,
    files: Vec<usize>,
    others: Vec<Node>,
    directories: Vec<Level>,
}

impl Listing {
    fn list(&mut self, directory: &Path) -> Level {
        let node = plain_node(directory);
        let mut level = Level { node, files: Vec::new(), others: Vec::new(), directories: Vec::new() };
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                level.directories.push(self.list(&entry.path()));
            } else if kind.is_file() {
                level.files.push(self.files.len());
                self.files.push(entry.path());
            } else {
                level.others.push(plain_node(&entry.path()));
            }
        }
        level
    }
}

fn plain_node(path: &Path) -> Node {
    let meta = std::fs::symlink_metadata(path).unwrap();
    let name = path.file_name().unwrap().as_bytes();
    let mut node = Node::new(name, NodeKind::of_unix(meta.mode()));
    node.mode = Mode::from_unix(meta.mode());
    node.mtime = jiff::Timestamp::new(meta.mtime(), meta.mtime_nsec() as i32).unwrap();
    (node.uid, node.gid, node.inode) = (meta.uid(), meta.gid(), meta.ino());
    if node.kind == NodeKind::Symlink {
        node.link_target = std::fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec();
    }
    node
}

fn store_file(writer: &Writer, path: &Path, buffer: &mut [u8]) -> Node {
    let mut node = plain_node(path);
    let mut file = std::fs::File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    if size < buffer.len() as u64 {
        let mut filled = 0;
        loop {
            let length = std::io::Read::read(&mut file, &mut buffer[filled..]).unwrap();
            filled += length;
            if length == 0 || filled as u64 >= size {
                break;
            }
        }
        node.size = filled as u64;
        node.content =
            Some(if filled == 0 { Vec::new() } else { vec![writer.data(&buffer[..filled]).unwrap()] });
    } else {
        let mut chunks = writer.file();
        chunks.read_from(&mut file).unwrap();
        let content = chunks.finish().unwrap();
        (node.size, node.content) = (content.size, Some(content.ids));
    }
    node
}

fn store_level(writer: &Writer, level: &Level, contents: &[std::sync::OnceLock<Node>]) -> BlobId {
    let mut nodes = level.others.clone();
    nodes.extend(level.files.iter().map(|&at| contents[at].get().unwrap().clone()));
    for directory in &level.directories {
        let mut node = directory.node.clone();
        node.subtree = Some(store_level(writer, directory, contents));
        nodes.push(node);
    }
    writer.tree(&Tree { nodes }).unwrap()
}

async fn restore(repository: &Repository) {
    let reader = repository.reader().await.unwrap();
    let (_, snapshot) = repository.snapshots().await.unwrap().pop().unwrap();
    let (mut level, mut wanted) = (vec![snapshot.tree], Vec::new());
    while !level.is_empty() {
        let mut next = Vec::new();
        for tree in reader.trees(&level).await {
            for node in &tree.unwrap().nodes {
                wanted.extend_from_slice(node.blobs());
                next.extend(node.subtree);
            }
        }
        level = next;
    }
    let bytes = std::sync::Arc::new(AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&bytes);
    let report = reader
        .fetch_all(wanted, move |_, content| {
            counted.fetch_add(content.len() as u64, Ordering::Relaxed);
            Ok(())
        })
        .await
        .unwrap();
    println!(
        "{} blobs, {} bytes, {} failed",
        report.blobs,
        bytes.load(Ordering::Relaxed),
        report.failed.len()
    );
}
