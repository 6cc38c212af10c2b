//! One entry of a directory.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::id::BlobId;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NodeKind {
    /// A regular file.
    #[default]
    File,
    /// A directory; its `subtree` names the blob with its entries.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A block device.
    Device,
    /// A character device.
    CharDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Something restic calls irregular; not restored.
    Irregular,
}

impl NodeKind {
    pub(super) const ALL: [(NodeKind, &'static str); 8] = [
        (NodeKind::File, "file"),
        (NodeKind::Dir, "dir"),
        (NodeKind::Symlink, "symlink"),
        (NodeKind::Device, "dev"),
        (NodeKind::CharDevice, "chardev"),
        (NodeKind::Fifo, "fifo"),
        (NodeKind::Socket, "socket"),
        (NodeKind::Irregular, "irregular"),
    ];

    /// The word for this kind in the stored JSON.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// The kind of a file with this `st_mode`.
    pub fn of_unix(st_mode: u32) -> Self {
        match st_mode & libc::S_IFMT {
            libc::S_IFREG => NodeKind::File,
            libc::S_IFDIR => NodeKind::Dir,
            libc::S_IFLNK => NodeKind::Symlink,
            libc::S_IFBLK => NodeKind::Device,
            libc::S_IFCHR => NodeKind::CharDevice,
            libc::S_IFIFO => NodeKind::Fifo,
            libc::S_IFSOCK => NodeKind::Socket,
            _ => NodeKind::Irregular,
        }
    }
}

/// File mode as the format stores it: the bits of Go's `os.FileMode`, not those of `st_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Mode(pub u32);

impl Mode {
    const DIR: u32 = 1 << 31;
    const SYMLINK: u32 = 1 << 27;
    const DEVICE: u32 = 1 << 26;
    const NAMED_PIPE: u32 = 1 << 25;
    const SOCKET: u32 = 1 << 24;
    const SETUID: u32 = 1 << 23;
    const SETGID: u32 = 1 << 22;
    const CHAR_DEVICE: u32 = 1 << 21;
    const STICKY: u32 = 1 << 20;
    const IRREGULAR: u32 = 1 << 19;

    const SPECIAL: [(u32, u32); 3] =
        [(libc::S_ISUID, Self::SETUID), (libc::S_ISGID, Self::SETGID), (libc::S_ISVTX, Self::STICKY)];

    /// From `st_mode` of stat(2), type bits included.
    pub fn from_unix(st_mode: u32) -> Self {
        let kind = match NodeKind::of_unix(st_mode) {
            NodeKind::File => 0,
            NodeKind::Dir => Self::DIR,
            NodeKind::Symlink => Self::SYMLINK,
            NodeKind::Device => Self::DEVICE,
            NodeKind::CharDevice => Self::DEVICE | Self::CHAR_DEVICE,
            NodeKind::Fifo => Self::NAMED_PIPE,
            NodeKind::Socket => Self::SOCKET,
            NodeKind::Irregular => Self::IRREGULAR,
        };
        let special = Self::SPECIAL.iter().filter(|(unix, _)| st_mode & unix != 0);
        Self(special.fold(kind | (st_mode & 0o777), |mode, (_, bit)| mode | bit))
    }

    /// The permission bits for chmod(2): the lower twelve bits of `st_mode`.
    pub fn permissions(self) -> u32 {
        let special = Self::SPECIAL.iter().filter(|(_, bit)| self.0 & bit != 0);
        special.fold(self.0 & 0o777, |mode, (unix, _)| mode | unix)
    }
}

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedAttribute {
    /// Its name, with the namespace (`user.…`).
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// One entry of a directory, with every field of restic's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name within its directory, as the file system gives it: any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: NodeKind,
    /// Mode in Go's bits; see [`Mode::from_unix`].
    pub mode: Mode,
    /// Last change of content.
    pub mtime: Timestamp,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Owner's name, empty if unknown.
    pub user: String,
    /// Group's name, empty if unknown.
    pub group: String,
    /// Inode number, 0 if unknown.
    pub inode: u64,
    /// `st_dev`; restic keeps it for hard links only.
    pub device_id: u64,
    /// Length of a file in bytes.
    pub size: u64,
    /// Number of hard links.
    pub links: u64,
    /// Target of a symbolic link, any bytes.
    pub link_target: Vec<u8>,
    /// Extended attributes in the order the system lists them.
    pub extended_attributes: Vec<ExtendedAttribute>,
    /// restic's attributes of other systems: name and raw JSON value; kept as they are.
    pub generic_attributes: Vec<(String, String)>,
    /// `st_rdev` of a device.
    pub device: u64,
    /// The data blobs of a file, in order. `None` where restic writes `null` (all but files).
    pub content: Option<Vec<BlobId>>,
    /// The tree blob of a directory.
    pub subtree: Option<BlobId>,
    /// Why restic could not read it completely; empty if it could.
    pub error: String,
}

impl Node {
    /// A node of this kind and name, everything else empty; a file has an empty content.
    pub fn new(name: impl Into<Vec<u8>>, kind: NodeKind) -> Self {
        Self {
            name: name.into(),
            kind,
            mode: Mode::default(),
            mtime: Timestamp::UNIX_EPOCH,
            atime: Timestamp::UNIX_EPOCH,
            ctime: Timestamp::UNIX_EPOCH,
            uid: 0,
            gid: 0,
            user: String::new(),
            group: String::new(),
            inode: 0,
            device_id: 0,
            size: 0,
            links: 0,
            link_target: Vec::new(),
            extended_attributes: Vec::new(),
            generic_attributes: Vec::new(),
            device: 0,
            content: (kind == NodeKind::File).then(Vec::new),
            subtree: None,
            error: String::new(),
        }
    }

    /// The name for output to people.
    pub fn display_name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    /// The data blobs of a file; empty for anything else.
    pub fn blobs(&self) -> &[BlobId] {
        self.content.as_deref().unwrap_or_default()
    }

    /// Refuses names that are no single component of a path.
    pub(super) fn check_name(&self) -> Result<()> {
        let bad = self.name.is_empty()
            || self.name == b"."
            || self.name == b".."
            || self.name.iter().any(|&byte| byte == b'/' || byte == 0);
        if bad {
            let reason = format!("`{}` is not a file name", self.name.escape_ascii());
            return Err(Error::InvalidTree { reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_translate_both_ways() {
        for (unix, go) in [
            (0o100_644, 0o644),
            (0o040_755, (1 << 31) | 0o755),
            (0o041_777, (1 << 31) | (1 << 20) | 0o777),
            (0o104_755, (1 << 23) | 0o755),
            (0o020_620, (1 << 26) | (1 << 21) | 0o620),
            (0o120_777, (1 << 27) | 0o777),
        ] {
            assert_eq!(Mode::from_unix(unix), Mode(go), "{unix:o}");
            assert_eq!(Mode(go).permissions(), unix & 0o7777);
        }
    }
}
