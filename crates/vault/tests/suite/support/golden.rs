//! What is in the golden vault: `examples/golden.rs` wrote it once, the tests read it for ever.

use std::collections::BTreeMap;

use holdfast_model::{AppId, TenantId};
use holdfast_vault::{
    BlobId, ExtendedAttribute, Mode, Node, NodeKind, Repository, RootKey, Snapshot, Tree, VaultInit, Writer,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The root key of its tenant, as it is written down.
pub const RECOVERY_KEY: &str = "HF1-000G-40R4-0M30-E209-185G-R38E-1W81-24GK-2GAH-C5RR-34D1-P70X-3RFR-QMCN";

pub fn root_key() -> RootKey {
    RootKey::from_random(std::array::from_fn(|n| n as u8))
}

pub fn init() -> VaultInit {
    VaultInit { random: [0x42; 16], now: time(0) }
}

pub fn tenant() -> TenantId {
    "bank".parse().unwrap()
}

pub fn application() -> AppId {
    "till".parse().unwrap()
}

/// The revisions of the one entry of the catalogue.
pub fn entries() -> [Value; 2] {
    [json!({ "name": "till", "note": "first" }), json!({ "name": "till", "note": "Ω, second" })]
}

/// So many minutes after the vault was made.
pub fn time(minutes: i64) -> Timestamp {
    Timestamp::new(1_767_225_600 + 60 * minutes, 0).unwrap()
}

/// Content of each file of a snapshot by path; the file at `dir/pieces` lies in two blobs.
pub fn files(snapshot: usize) -> BTreeMap<&'static [u8], Vec<u8>> {
    let text = super::text(7 + snapshot as u64, 10_000);
    BTreeMap::from([
        (b"dir/pieces".as_slice(), super::noise(1, 5_000)),
        (b"empty", Vec::new()),
        (b"hard-1", b"one content, two names".to_vec()),
        (b"hard-2", b"one content, two names".to_vec()),
        (b"name \xff\n\"", b"not UTF-8".to_vec()),
        (b"noise", super::noise(2, 3_000)),
        (b"text", text),
    ])
}

/// Where the file at `dir/pieces` is cut.
const CUT: usize = 2_000;

/// A node as it lies in the tree, without content.
fn node(name: &[u8], kind: NodeKind, mode: u32) -> Node {
    let mut node = Node::new(name, kind);
    node.mode = Mode::from_unix(mode);
    (node.mtime, node.atime, node.ctime) = (time(-60), time(-60), time(-60));
    (node.uid, node.gid) = (1_000, 100);
    (node.inode, node.device_id, node.links) = (u64::from(crc(name)), 5, 1);
    node
}

/// A number for a name, so that inodes differ.
fn crc(name: &[u8]) -> u32 {
    name.iter().fold(17, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}

fn file(writer: &Writer, name: &[u8], pieces: &[&[u8]]) -> Node {
    let mut node = node(name, NodeKind::File, 0o100_640);
    node.size = pieces.iter().map(|piece| piece.len() as u64).sum();
    let blobs = pieces.iter().filter(|piece| !piece.is_empty());
    node.content = Some(blobs.map(|piece| writer.data(piece).unwrap()).collect());
    node
}

/// Stores the tree of a snapshot. Blocks.
fn store(writer: &Writer, snapshot: usize) -> BlobId {
    let files = files(snapshot);
    let (head, tail) = files[b"dir/pieces".as_slice()].split_at(CUT);
    let mut dir = node(b"dir", NodeKind::Dir, 0o042_755);
    dir.subtree = Some(writer.tree(&Tree { nodes: vec![file(writer, b"pieces", &[head, tail])] }).unwrap());
    let mut nodes = vec![dir, node(b"fifo", NodeKind::Fifo, 0o010_600)];
    for (name, content) in files.iter().filter(|(name, _)| !name.contains(&b'/')) {
        nodes.push(file(writer, name, &[content]));
    }
    let mut link = node(b"link", NodeKind::Symlink, 0o120_777);
    link.link_target = b"dir/pieces \xfe".to_vec();
    nodes.push(link);
    for node in &mut nodes {
        if node.name.starts_with(b"hard-") {
            (node.inode, node.links) = (4_711, 2);
        }
        if node.name == b"text" {
            let attribute =
                ExtendedAttribute { name: "user.comment".into(), value: b"\0\xff value".to_vec() };
            node.extended_attributes.push(attribute);
        }
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    writer.tree(&Tree { nodes }).unwrap()
}

/// Stores a snapshot.
pub async fn write(
    repository: &Repository,
    snapshot: usize,
    parent: Option<holdfast_vault::SnapshotId>,
) -> holdfast_vault::SnapshotId {
    let writer = repository.writer(holdfast_vault::WriterOptions::default()).await.unwrap();
    let storing = writer.clone();
    let root = tokio::task::spawn_blocking(move || store(&storing, snapshot)).await.unwrap();
    let mut taken = Snapshot::new(time(10 * (snapshot as i64 + 1)), root);
    (taken.hostname, taken.username) = ("site-a".into(), "holdfast".into());
    taken.paths = vec!["/golden".into()];
    taken.tags = vec!["holdfast".into(), format!("golden:{snapshot}")];
    taken.parent = parent;
    let id = writer.commit(taken).await.unwrap();
    writer.close().await.unwrap();
    id
}
