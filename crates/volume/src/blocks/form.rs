//! The form that a device has in a snapshot; `docs/format.md` describes it.
//!
//! Nothing in it depends on when or how a device was captured, so that equal content makes equal
//! trees: all times are 1970.

use holdfast_vault::{BlobId, Mode, Node, NodeKind, Tree};
use serde::{Deserialize, Serialize};

use super::geometry::Geometry;
use crate::root::VOLUME_DIR;

/// File in the volume's directory that describes the device.
pub(super) const DEVICE_FILE: &str = "device.json";
/// File in a segment's directory with the segment's bytes.
const DATA_FILE: &str = "data";
/// Version of this form; a reader refuses a higher one.
const VERSION: u32 = 1;

/// Content of [`DEVICE_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    version: u32,
    size: u64,
    extent_size: u32,
    allocated: u64,
}

/// JSON that describes a device of which `allocated` bytes are in extents that are not zero.
pub(super) fn description(geometry: &Geometry, allocated: u64) -> Vec<u8> {
    let (size, extent_size) = (geometry.size(), geometry.extent_size());
    let description = Description { version: VERSION, size, extent_size, allocated };
    // Numbers under fixed names can always be written.
    let mut json = serde_json::to_vec(&description).unwrap_or_default();
    json.push(b'\n');
    json
}

/// Geometry and allocated bytes from such JSON, or what is wrong with it.
pub(super) fn described(json: &[u8]) -> Result<(Geometry, u64), String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let unreadable = |error| format!("`{DEVICE_FILE}` cannot be understood: {error}");
    let Versioned { version } = serde_json::from_slice(json).map_err(unreadable)?;
    if version > VERSION {
        return Err(format!(
            "its form has version {version}, this program knows {VERSION}; upgrade holdfast"
        ));
    }
    let Description { size, extent_size, allocated, .. } =
        serde_json::from_slice(json).map_err(unreadable)?;
    let geometry = Geometry::with_extents(size, extent_size)
        .ok_or_else(|| format!("{size} bytes in extents of {extent_size} are not of the form"))?;
    Ok((geometry, allocated))
}

/// Name of a segment's directory.
pub(super) fn segment_name(number: u32) -> String {
    format!("{number:08x}")
}

/// The directory of a segment of `length` bytes.
pub(super) fn segment_tree(length: u64, extents: Vec<BlobId>) -> Tree {
    Tree { nodes: vec![file(DATA_FILE, length, extents)] }
}

/// The extents of a segment, or what is wrong with its directory.
pub(super) fn segment_extents(tree: &Tree, geometry: &Geometry, number: u32) -> Result<Vec<BlobId>, String> {
    let [data] = tree.nodes.as_slice() else {
        return Err(format!("its directory has {} entries instead of one", tree.nodes.len()));
    };
    if data.name != DATA_FILE.as_bytes() || data.kind != NodeKind::File {
        return Err(format!("its directory has `{}` instead of a file `{DATA_FILE}`", data.display_name()));
    }
    let (bytes, extents) = (geometry.segment(number), geometry.extents_in(number));
    let (length, count) = (bytes.end - bytes.start, extents.end - extents.start);
    if data.size != length || data.blobs().len() as u64 != count {
        let (size, blobs) = (data.size, data.blobs().len());
        return Err(format!("it has {size} bytes in {blobs} extents instead of {length} in {count}"));
    }
    Ok(data.blobs().to_vec())
}

/// The volume's directory: its segments in order, and its description.
pub(super) fn device_tree(segments: &[BlobId], description: BlobId, length: u64) -> Tree {
    let segments = (0..).zip(segments).map(|(number, tree)| directory(&segment_name(number), *tree));
    let file = file(DEVICE_FILE, length, vec![description]);
    Tree { nodes: segments.chain([file]).collect() }
}

/// The trees of all segments in order, or what in the volume's directory is not of the form.
pub(super) fn segment_trees(tree: &Tree, geometry: &Geometry) -> Result<Vec<BlobId>, String> {
    let wanted = u64::from(geometry.segments()) + 1;
    if tree.nodes.len() as u64 != wanted {
        return Err(format!("it has {} entries instead of {wanted}", tree.nodes.len()));
    }
    (0..geometry.segments()).map(|number| segment(tree, number)).collect()
}

fn segment(tree: &Tree, number: u32) -> Result<BlobId, String> {
    let name = segment_name(number);
    let node = tree.get(name.as_bytes()).filter(|node| node.kind == NodeKind::Dir);
    node.and_then(|node| node.subtree).ok_or_else(|| format!("it has no directory `{name}`"))
}

/// The node of the volume in the snapshot's root.
pub(super) fn volume_node(tree: BlobId) -> Node {
    directory(VOLUME_DIR, tree)
}

fn directory(name: &str, tree: BlobId) -> Node {
    let mut node = Node::new(name, NodeKind::Dir);
    node.mode = Mode::from_unix(0o040_700);
    node.subtree = Some(tree);
    node
}

fn file(name: &str, length: u64, content: Vec<BlobId>) -> Node {
    let mut node = Node::new(name, NodeKind::File);
    node.mode = Mode::from_unix(0o100_600);
    node.size = length;
    node.links = 1;
    node.content = Some(content);
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read_as_it_was_written_and_a_newer_one_refused() {
        let geometry = Geometry::with_extents(5 << 30, 256 << 10).unwrap();
        let json = description(&geometry, 77);
        let text = "{\"version\":1,\"size\":5368709120,\"extentSize\":262144,\"allocated\":77}\n";
        assert_eq!(json, text.as_bytes());
        assert_eq!(described(&json), Ok((geometry, 77)));
        let newer = r#"{"version":2,"sizes":[]}"#;
        assert!(described(newer.as_bytes()).unwrap_err().contains("version 2"));
        for bad in ["", "{}", r#"{"version":1}"#, r#"{"version":1,"size":1,"extentSize":7,"allocated":0}"#] {
            assert!(described(bad.as_bytes()).is_err(), "{bad}");
        }
        let huge = r#"{"version":1,"size":18446744073709551615,"extentSize":131072,"allocated":0}"#;
        assert!(described(huge.as_bytes()).is_err());
    }

    #[test]
    fn names_of_segments_have_one_width() {
        assert_eq!((segment_name(0), segment_name(0xabc)), ("00000000".into(), "00000abc".into()));
    }

    #[test]
    fn directories_of_another_form_are_refused() {
        let geometry = Geometry::of((1 << 30) + 1).unwrap();
        let (id, other) = (BlobId::of(b"a"), BlobId::of(b"b"));
        let right = device_tree(&[id, other], id, 1);
        assert_eq!(segment_trees(&right, &geometry), Ok(vec![id, other]));
        let mut missing = right.clone();
        missing.nodes.remove(1);
        let mut renamed = right.clone();
        renamed.nodes[1].name = b"0000000g".to_vec();
        let mut swapped = right.clone();
        swapped.nodes[0].kind = NodeKind::Symlink;
        let mut foreign = right;
        foreign.nodes.push(file("lost+found", 0, Vec::new()));
        for tree in [missing, renamed, swapped, foreign] {
            assert!(segment_trees(&tree, &geometry).is_err(), "{tree:?}");
        }
        assert_eq!(segment_extents(&segment_tree(1, vec![id]), &geometry, 1), Ok(vec![id]));
        for tree in [segment_tree(2, vec![id]), segment_tree(1, vec![id, id]), Tree::default()] {
            assert!(segment_extents(&tree, &geometry, 1).is_err(), "{tree:?}");
        }
    }
}
