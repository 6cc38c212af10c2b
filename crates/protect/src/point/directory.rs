//! Directories of objects: how their files are named, and how many thousand of them are kept while
//! they are collected and then written as trees.

use holdfast_vault::{BlobId, Mode, Node, NodeKind, Tree, Writer};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::error::Result;

/// A directory with more objects than this is split by a hash of their names: a tree is one blob
/// that is rewritten whenever one of its entries changes.
pub const SPLIT_ABOVE: usize = 4096;

/// Longest name of an object that is used as it is, in bytes; with `.json` it stays well below
/// NAME_MAX, also for programs that append something of their own.
const LONGEST: usize = 235;
/// How much of a longer name is kept, in bytes.
const KEPT: usize = 200;

/// Name of the file of an object: `<name>.json`. A name that is too long, or cannot be a file's, is
/// shortened and made unique by a hash (`~` marks it); the true name is in the object.
pub fn file_name(object: &str) -> String {
    let plain = object.len() <= LONGEST && !object.contains(['~', '/', '\0']);
    if plain && !object.is_empty() {
        return format!("{object}.json");
    }
    let kept = object.floor_char_boundary(KEPT);
    let readable = object[..kept].replace(['/', '\0'], "_");
    let digest = Sha256::digest(object.as_bytes());
    format!("{readable}~{}.json", hex(&digest[..8]))
}

/// Subdirectory of an object in a directory that is split: two hexadecimal digits.
pub fn split_of(object: &str) -> String {
    hex(&Sha256::digest(object.as_bytes())[..1])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the bytes of an object lie: almost always in one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One blob.
    One(BlobId),
    /// An object beyond the size of a blob, in order.
    Many(Box<[BlobId]>),
}

/// The objects of one type in one namespace. Kept compactly: tens of thousands may be in memory.
#[derive(Debug, Default)]
pub struct Directory {
    names: String,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name_end: usize,
    size: u64,
    created: i64,
    content: Content,
}

impl Directory {
    /// Adds an object by name, with its creationTimestamp if it has one.
    pub fn push(&mut self, name: &str, created: Option<Timestamp>, size: u64, content: Content) {
        self.names.push_str(name);
        let created = created.map_or(0, Timestamp::as_second);
        self.entries.push(Entry { name_end: self.names.len(), size, created, content });
    }

    /// Adds the objects of another directory.
    pub fn append(&mut self, other: Directory) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let shift = self.names.len();
        self.names.push_str(&other.names);
        let moved =
            other.entries.into_iter().map(|entry| Entry { name_end: entry.name_end + shift, ..entry });
        self.entries.extend(moved);
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names of the objects, in the order they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        (0..self.entries.len()).map(|number| self.entry(number))
    }

    fn entry(&self, number: usize) -> (&str, &Entry) {
        let entry = &self.entries[number];
        let start = number.checked_sub(1).map_or(0, |before| self.entries[before].name_end);
        (&self.names[start..entry.name_end], entry)
    }

    /// Stores the directory and gives the blob of its tree. Blocks.
    pub fn write(&self, writer: &Writer) -> Result<BlobId> {
        if self.entries.len() <= SPLIT_ABOVE {
            return write_files(writer, self.iter());
        }
        let mut parts: Vec<(u8, u32)> = (0..)
            .zip(self.names())
            .map(|(number, name)| (Sha256::digest(name.as_bytes())[0], number))
            .collect();
        parts.sort_unstable();
        let mut root = Tree::default();
        for part in parts.chunk_by(|(one, _), (other, _)| one == other) {
            let files = part.iter().map(|(_, number)| self.entry(*number as usize));
            root.nodes.push(directory_node(&format!("{:02x}", part[0].0), write_files(writer, files)?));
        }
        Ok(writer.tree(&root)?)
    }
}

fn write_files<'a>(writer: &Writer, files: impl Iterator<Item = (&'a str, &'a Entry)>) -> Result<BlobId> {
    let nodes = files.map(|(name, entry)| entry.node(file_name(name))).collect();
    Ok(writer.tree(&Tree { nodes })?)
}

impl Entry {
    fn node(&self, name: String) -> Node {
        let content = match &self.content {
            Content::One(id) => vec![*id],
            Content::Many(ids) => ids.to_vec(),
        };
        let mtime = Timestamp::from_second(self.created).unwrap_or(Timestamp::UNIX_EPOCH);
        file_node(&name, mtime, self.size, content)
    }
}

/// Node of a file in a point. Only its owner may read it once it is restored by stock restic: it
/// may hold a Secret.
pub(crate) fn file_node(name: &str, mtime: Timestamp, size: u64, content: Vec<BlobId>) -> Node {
    let mut node = Node::new(name, NodeKind::File);
    node.mode = Mode::from_unix(0o100_600);
    (node.mtime, node.atime, node.ctime) = (mtime, mtime, mtime);
    node.size = size;
    node.links = 1;
    node.content = Some(content);
    node
}

/// Node of a directory in a point. Its time is fixed, so that what is unchanged is found again.
pub(crate) fn directory_node(name: &str, subtree: BlobId) -> Node {
    let mut node = Node::new(name, NodeKind::Dir);
    node.mode = Mode::from_unix(0o040_700);
    node.links = 1;
    node.subtree = Some(subtree);
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_files_can_have_are_kept() {
        assert_eq!(file_name("web"), "web.json");
        assert_eq!(file_name("system:node-proxier"), "system:node-proxier.json");
        assert_eq!(file_name(&"x".repeat(235)).len(), 240);
    }

    #[test]
    fn other_names_are_shortened_and_stay_apart() {
        let (a, b) =
            (file_name(&format!("{}a", "x".repeat(240))), file_name(&format!("{}b", "x".repeat(240))));
        assert!(a.len() <= 240 && b.len() <= 240 && a != b);
        let odd = [file_name("a/b"), file_name("a_b"), file_name("a\0b"), file_name(""), file_name("~")];
        for (at, name) in odd.iter().enumerate() {
            assert!(!name.contains(['/', '\0']), "{name}");
            assert!(!odd[at + 1..].contains(name), "{name}");
        }
        // A name that looks like a shortened one does not take its place.
        let shortened = file_name("a/b");
        assert_ne!(file_name(shortened.trim_end_matches(".json")), shortened);
        assert!(file_name(&"ü".repeat(130)).starts_with("üü"));
    }

    #[test]
    fn a_directory_gives_back_the_names_it_was_given() {
        let mut directory = Directory::default();
        for name in ["b", "", "aa"] {
            directory.push(name, None, 1, Content::One(BlobId::of(name.as_bytes())));
        }
        assert_eq!(directory.names().collect::<Vec<_>>(), ["b", "", "aa"]);
        assert_eq!((directory.len(), directory.is_empty()), (3, false));
        let mut more = Directory::default();
        more.push("c", None, 1, Content::Many(Box::default()));
        directory.append(more);
        assert_eq!(directory.names().collect::<Vec<_>>(), ["b", "", "aa", "c"]);
    }
}
