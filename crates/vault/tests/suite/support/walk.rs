//! A simple way from a directory to a tree, and from a tree to comparable facts.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use holdfast_vault::{BlobId, ExtendedAttribute, Mode, Node, NodeKind, Reader, Tree, Writer};
use jiff::Timestamp;

/// Stores a directory with everything below it. Blocks.
pub fn store_directory(writer: &Writer, directory: &Path) -> BlobId {
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        nodes.push(store_node(writer, &entry.unwrap().path()));
    }
    writer.tree(&Tree { nodes }).unwrap()
}

fn store_node(writer: &Writer, path: &Path) -> Node {
    let meta = std::fs::symlink_metadata(path).unwrap();
    let kind = NodeKind::of_unix(meta.mode());
    let mut node = Node::new(path.file_name().unwrap().as_bytes(), kind);
    node.mode = Mode::from_unix(meta.mode());
    let time = |seconds, nanos: i64| Timestamp::new(seconds, nanos as i32).unwrap();
    node.mtime = time(meta.mtime(), meta.mtime_nsec());
    node.atime = time(meta.atime(), meta.atime_nsec());
    node.ctime = time(meta.ctime(), meta.ctime_nsec());
    (node.uid, node.gid) = (meta.uid(), meta.gid());
    (node.inode, node.links) = (meta.ino(), if kind == NodeKind::Dir { 0 } else { meta.nlink() });
    if meta.nlink() > 1 && kind != NodeKind::Dir {
        node.device_id = meta.dev();
    }
    node.extended_attributes = attributes(path);
    match kind {
        NodeKind::File => {
            let mut file = writer.file();
            file.read_from(&mut std::fs::File::open(path).unwrap()).unwrap();
            let content = file.finish().unwrap();
            node.size = content.size;
            node.content = Some(content.ids);
        }
        NodeKind::Dir => node.subtree = Some(store_directory(writer, path)),
        NodeKind::Symlink => {
            node.link_target = std::fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec()
        }
        NodeKind::Device | NodeKind::CharDevice => node.device = meta.rdev(),
        _ => {}
    }
    node
}

/// Extended attributes of a file, as the system lists them.
pub fn attributes(path: &Path) -> Vec<ExtendedAttribute> {
    let mut names = vec![0; 4096];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names) else { return Vec::new() };
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let read = |name: &[u8]| {
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
        value.truncate(length);
        Some(ExtendedAttribute { name: String::from_utf8_lossy(name).into_owned(), value })
    };
    names.filter_map(read).collect()
}

/// What a restored file must share with its original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub kind: NodeKind,
    pub permissions: u32,
    pub owner: (u32, u32),
    pub mtime: Timestamp,
    pub size: u64,
    pub content: Vec<u8>,
    pub target: Vec<u8>,
    pub device: u64,
    pub attributes: BTreeMap<String, Vec<u8>>,
    /// The first path of the same inode, for hard links.
    pub same_as: Option<Vec<u8>>,
}

/// Facts about everything below a directory, by path.
pub fn facts(directory: &Path) -> BTreeMap<Vec<u8>, Facts> {
    let (mut facts, mut inodes) = (BTreeMap::new(), BTreeMap::new());
    let mut rest = vec![directory.to_owned()];
    while let Some(next) = rest.pop() {
        let mut entries: Vec<_> =
            std::fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let kind = NodeKind::of_unix(meta.mode());
            let name = path.strip_prefix(directory).unwrap().as_os_str().as_bytes().to_vec();
            let linked = kind != NodeKind::Dir && meta.nlink() > 1;
            let same_as = linked.then(|| inodes.entry(meta.ino()).or_insert_with(|| name.clone()).clone());
            let xattrs = attributes(&path).into_iter().map(|attribute| (attribute.name, attribute.value));
            let fact = Facts {
                kind,
                permissions: meta.mode() & 0o7777,
                owner: (meta.uid(), meta.gid()),
                mtime: Timestamp::new(meta.mtime(), meta.mtime_nsec() as i32).unwrap(),
                size: if kind == NodeKind::File { meta.len() } else { 0 },
                content: if kind == NodeKind::File { std::fs::read(&path).unwrap() } else { Vec::new() },
                target: if kind == NodeKind::Symlink {
                    std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
                } else {
                    Vec::new()
                },
                device: if matches!(kind, NodeKind::Device | NodeKind::CharDevice) { meta.rdev() } else { 0 },
                attributes: xattrs.collect(),
                same_as,
            };
            if kind == NodeKind::Dir {
                rest.push(path);
            }
            facts.insert(name, fact);
        }
    }
    facts
}

/// Facts about everything below a stored directory, by path.
pub async fn stored_facts(reader: &Reader, root: BlobId) -> BTreeMap<Vec<u8>, Facts> {
    let (mut facts, mut inodes) = (BTreeMap::new(), BTreeMap::new());
    let mut rest = vec![(Vec::new(), root)];
    while let Some((prefix, id)) = rest.pop() {
        for node in &reader.tree(&id).await.unwrap().nodes {
            let name = [&prefix[..], &node.name].concat();
            let mut content = Vec::new();
            if node.kind == NodeKind::File {
                reader.file(node, &mut content).await.unwrap();
            }
            let linked = node.kind != NodeKind::Dir && node.links > 1;
            let same_as = linked
                .then(|| inodes.entry((node.device_id, node.inode)).or_insert_with(|| name.clone()).clone());
            let xattrs = node.extended_attributes.iter().map(|a| (a.name.clone(), a.value.clone()));
            let fact = Facts {
                kind: node.kind,
                permissions: node.mode.permissions(),
                owner: (node.uid, node.gid),
                mtime: node.mtime,
                size: node.size,
                content,
                target: node.link_target.clone(),
                device: node.device,
                attributes: xattrs.collect(),
                same_as,
            };
            if let Some(subtree) = node.subtree {
                rest.push(([&name[..], b"/"].concat(), subtree));
            }
            facts.insert(name, fact);
        }
    }
    facts
}
