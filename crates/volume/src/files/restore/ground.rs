//! What is known of a directory of the target before anything is done in it.

use holdfast_vault::{Node, NodeKind};
use rustix::fs::Stat;
use rustix::io::Errno;

use super::names::Names;
use super::target::Target;
use crate::files::beneath::Entries;
use crate::files::stat;

/// What is known of all entries of a directory.
pub(super) enum Ground {
    /// Nothing: what is there is met as it comes.
    Unseen,
    /// This restore made it, so it is empty.
    Empty,
    /// These entries were there a moment ago.
    Listed(Entries),
    /// It holds what this tree has.
    Holds(Names),
}

/// What is known of one entry.
pub(super) enum Known<'g> {
    /// Nothing.
    Unseen,
    /// Nothing is there.
    Absent,
    /// This is there.
    Present(Stat),
    /// What this node tells is there.
    Held(&'g Node),
}

impl Ground {
    pub(super) fn known(&self, target: &Target, name: &[u8]) -> Result<Known<'_>, Errno> {
        match self {
            Ground::Unseen => Ok(Known::Unseen),
            Ground::Empty => Ok(Known::Absent),
            Ground::Listed(entries) if !entries.has(name) => Ok(Known::Absent),
            Ground::Holds(names) => match names.get(name) {
                Some(node) => Ok(Known::Held(node)),
                // An earlier run that was cut short may have made it.
                None => look(target, name),
            },
            Ground::Listed(_) => look(target, name),
        }
    }

    /// Names that are there and that `wanted` does not have.
    pub(super) fn extras<'g>(&'g self, wanted: &'g Names) -> Box<dyn Iterator<Item = &'g [u8]> + 'g> {
        let is_extra = |name: &&[u8]| wanted.get(name).is_none();
        match self {
            Ground::Unseen | Ground::Empty => Box::new(std::iter::empty()),
            Ground::Listed(entries) => Box::new(entries.names().filter(is_extra)),
            Ground::Holds(names) => {
                Box::new(names.nodes().iter().map(|node| node.name.as_slice()).filter(is_extra))
            }
        }
    }
}

impl<'g> Known<'g> {
    /// What is there by a look at it, where only a snapshot tells so far.
    pub(super) fn looked_at(self, target: &Target, name: &[u8]) -> Result<Known<'g>, Errno> {
        match self {
            Known::Held(_) => look(target, name),
            known => Ok(known),
        }
    }

    /// Whether it is, as far as is known, a directory.
    pub(super) fn is_directory(&self) -> bool {
        match self {
            Known::Unseen | Known::Absent => false,
            Known::Present(found) => stat::kind(found) == NodeKind::Dir,
            Known::Held(node) => node.kind == NodeKind::Dir,
        }
    }
}

fn look<'g>(target: &Target, name: &[u8]) -> Result<Known<'g>, Errno> {
    match target.dir().stat(name) {
        Ok(found) => Ok(Known::Present(found)),
        Err(Errno::NOENT) => Ok(Known::Absent),
        Err(error) => Err(error),
    }
}

/// Whether a target that holds `base` has nothing left to be done for `node`. Inodes and their
/// change times differ from capture to capture and matter only where names share one.
pub(super) fn is_same(base: &Node, node: &Node) -> bool {
    let linked = base.links > 1 || node.links > 1;
    base.kind == node.kind
        && has_same_attributes(base, node)
        && has_same_content(base, node)
        && base.link_target == node.link_target
        && base.device == node.device
        && base.subtree == node.subtree
        && (node.kind == NodeKind::Dir
            || !linked
            || (base.links, base.inode, base.device_id) == (node.links, node.inode, node.device_id))
}

/// Whether two files have the same content.
pub(super) fn has_same_content(base: &Node, node: &Node) -> bool {
    base.size == node.size && base.content == node.content
}

fn has_same_attributes(base: &Node, node: &Node) -> bool {
    base.mode == node.mode
        && (base.uid, base.gid) == (node.uid, node.gid)
        && base.mtime == node.mtime
        && base.extended_attributes == node.extended_attributes
}

#[cfg(test)]
mod tests {
    use holdfast_vault::{BlobId, Mode};

    use super::*;

    #[test]
    fn whatever_a_restore_would_bring_makes_two_nodes_differ() {
        let node = |change: fn(&mut Node)| {
            let mut node = Node::new("f", NodeKind::File);
            (node.links, node.inode, node.device_id) = (1, 7, 9);
            change(&mut node);
            node
        };
        let base = node(|_| {});
        for change in [
            (|node| node.mode = Mode(0o600)) as fn(&mut Node),
            |node| node.uid = 1,
            |node| node.mtime = "2026-01-01T00:00:00Z".parse().unwrap(),
            |node| node.size = 1,
            |node| node.content = Some(vec![BlobId::of(b"x")]),
            |node| node.kind = NodeKind::Symlink,
            |node| node.links = 2,
        ] {
            assert!(!is_same(&base, &node(change)));
        }
        let elsewhere = node(|node| {
            (node.inode, node.device_id) = (8, 1);
            node.ctime = "2026-01-01T00:00:00Z".parse().unwrap();
        });
        assert!(is_same(&base, &elsewhere));
    }
}
