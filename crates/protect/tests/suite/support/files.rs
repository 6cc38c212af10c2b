//! Points made by hand: trees of these files, whatever the program itself would write.

use std::collections::BTreeMap;

use holdfast_vault::{BlobId, Node, NodeKind, Tree, Writer};

/// Content of files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Stores the files and their directories and gives the root.
pub async fn store(writer: &Writer, files: Files) -> BlobId {
    let writer = writer.clone();
    let stored = tokio::task::spawn_blocking(move || {
        let blobs = files.iter().map(|(path, bytes)| {
            let place = (writer.data(bytes).unwrap(), bytes.len() as u64);
            (path.clone(), place)
        });
        directory(&writer, &blobs.collect(), "")
    });
    stored.await.unwrap()
}

fn directory(writer: &Writer, files: &BTreeMap<String, (BlobId, u64)>, below: &str) -> BlobId {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for (path, (blob, size)) in files {
        let Some(rest) = path.strip_prefix(below) else { continue };
        match rest.split_once('/') {
            None => {
                let mut node = Node::new(rest, NodeKind::File);
                (node.content, node.size) = (Some(vec![*blob]), *size);
                nodes.insert(rest.to_owned(), node);
            }
            Some((name, _)) if !nodes.contains_key(name) => {
                let mut node = Node::new(name, NodeKind::Dir);
                node.subtree = Some(directory(writer, files, &format!("{below}{name}/")));
                nodes.insert(name.to_owned(), node);
            }
            Some(_) => {}
        }
    }
    writer.tree(&Tree { nodes: nodes.into_values().collect() }).unwrap()
}
