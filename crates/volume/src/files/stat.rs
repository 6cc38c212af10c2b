//! Between what stat(2) says and a node of the repository.

use holdfast_vault::{Mode, Node, NodeKind};
use jiff::Timestamp;
use rustix::fs::Stat;

/// A node with all that `stat` knows of the entry; content, target and attributes are to follow.
///
/// Owners' names are left out: what the mover's image calls a number says nothing about the
/// application. The time of last access is the time of last change, as stock restic has it
/// unless told otherwise, because reading changes it.
pub(super) fn node(name: &[u8], stat: &Stat) -> Node {
    let mut node = Node::new(name, kind(stat));
    node.mode = Mode::from_unix(stat.st_mode);
    node.mtime = mtime(stat);
    node.atime = node.mtime;
    node.ctime = ctime(stat);
    node.uid = stat.st_uid;
    node.gid = stat.st_gid;
    node.inode = stat.st_ino;
    if node.kind != NodeKind::Dir {
        node.links = stat.st_nlink;
        // Device numbers change from mount to mount; only hard links need them.
        node.device_id = if stat.st_nlink > 1 { stat.st_dev } else { 0 };
    }
    match node.kind {
        NodeKind::File => node.size = size(stat),
        NodeKind::Device | NodeKind::CharDevice => node.device = stat.st_rdev,
        _ => {}
    }
    node
}

/// What the entry is.
pub(super) fn kind(stat: &Stat) -> NodeKind {
    use rustix::fs::FileType;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => NodeKind::File,
        FileType::Directory => NodeKind::Dir,
        FileType::Symlink => NodeKind::Symlink,
        FileType::BlockDevice => NodeKind::Device,
        FileType::CharacterDevice => NodeKind::CharDevice,
        FileType::Fifo => NodeKind::Fifo,
        FileType::Socket => NodeKind::Socket,
        FileType::Unknown => NodeKind::Irregular,
    }
}

/// Size in bytes.
pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Time of the last change of content.
pub(super) fn mtime(stat: &Stat) -> Timestamp {
    timestamp(stat.st_mtime, stat.st_mtime_nsec as i64)
}

/// Time of the last change of the inode.
pub(super) fn ctime(stat: &Stat) -> Timestamp {
    timestamp(stat.st_ctime, stat.st_ctime_nsec as i64)
}

fn timestamp(second: i64, nanosecond: i64) -> Timestamp {
    let nanosecond = i32::try_from(nanosecond).unwrap_or(0);
    let outermost = if second < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::new(second, nanosecond).unwrap_or(outermost)
}

/// Whether the entry is, to all that the file system tells, the one that `node` was made of:
/// the inode's change time covers content, owner, mode and extended attributes alike.
pub(super) fn is_same(node: &Node, stat: &Stat) -> bool {
    node.inode == stat.st_ino
        && node.ctime == ctime(stat)
        && node.mtime == mtime(stat)
        && node.mode == Mode::from_unix(stat.st_mode)
        && node.uid == stat.st_uid
        && node.gid == stat.st_gid
        && match node.kind {
            NodeKind::File => node.size == size(stat) && node.links == stat.st_nlink,
            NodeKind::Dir => true,
            NodeKind::Device | NodeKind::CharDevice => node.device == stat.st_rdev,
            _ => node.links == stat.st_nlink,
        }
}
