//! The only way anything below a volume's root is opened, so that nothing outside ever is.
//!
//! Whoever owns a volume can swap a directory for a symbolic link while it is walked. So nothing
//! is opened by a path of several components: each directory is opened by one name below the
//! descriptor of its parent, with openat2(2) told to stay beneath it and to follow neither
//! symbolic nor magic links (nor, on capture, mount points), and what was opened is looked at
//! with fstat(2) before it is believed to be what it was taken for. Calls that take a directory
//! and a name (fstatat, unlinkat, …) get a single component and never follow a link at it.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result};

type Sys<T> = std::result::Result<T, Errno>;

const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const SAFE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Whether mount points below the root may be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mounts {
    /// They are refused with `EXDEV`.
    Refuse,
    /// They are entered.
    Enter,
}

/// An open directory below (or at) a volume's root.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    resolve: ResolveFlags,
}

/// One entry of a directory: its name and what getdents(2) says it is.
pub(super) struct Entries {
    names: Vec<u8>,
    entries: Vec<(u32, u16, FileType)>,
}

impl Dir {
    /// Opens the root of a volume, by a path that the caller vouches for.
    pub(super) fn root(path: &Path, mounts: Mounts) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty())
            .map_err(|source| Error::Root { path: path.display().to_string(), source: source.into() })?;
        let resolve = match mounts {
            Mounts::Refuse => RESOLVE | ResolveFlags::NO_XDEV,
            Mounts::Enter => RESOLVE,
        };
        let dir = Self { fd, resolve };
        match dir.dir(b".") {
            Err(Errno::NOSYS | Errno::PERM) => Err(Error::NoOpenat2),
            _ => Ok(dir),
        }
    }

    /// Opens the directory `name`.
    pub(super) fn dir(&self, name: &[u8]) -> Sys<Self> {
        let flags = SAFE | OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.openat2(name, flags, Mode::empty())?;
        Ok(Self { fd, resolve: self.resolve })
    }

    /// Opens what is at `name` for reading, without waiting for a FIFO's writer.
    pub(super) fn file(&self, name: &[u8]) -> Sys<OwnedFd> {
        self.openat2(name, SAFE | OFlags::RDONLY, Mode::empty())
    }

    /// Creates the file `name`, which must not exist.
    pub(super) fn create(&self, name: &[u8], mode: u32) -> Sys<OwnedFd> {
        let flags = SAFE | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        self.openat2(name, flags, Mode::from_raw_mode(mode))
    }

    /// Opens the existing file `name` for reading and writing.
    pub(super) fn existing(&self, name: &[u8]) -> Sys<OwnedFd> {
        self.openat2(name, SAFE | OFlags::RDWR, Mode::empty())
    }

    /// A descriptor of what is at `name` that can be neither read nor written.
    pub(super) fn handle(&self, name: &[u8]) -> Sys<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.openat2(name, flags, Mode::empty())
    }

    fn openat2(&self, name: &[u8], flags: OFlags, mode: Mode) -> Sys<OwnedFd> {
        // EAGAIN: something in the tree was renamed meanwhile, so the kernel could not be sure.
        for _ in 0..64 {
            match fs::openat2(&self.fd, name, flags, mode, self.resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                done => return done,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Attributes of `name` itself, not of what it links to.
    pub(super) fn stat(&self, name: &[u8]) -> Sys<Stat> {
        fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Attributes of the directory itself.
    pub(super) fn stat_self(&self) -> Sys<Stat> {
        fs::fstat(&self.fd)
    }

    /// Target of the symbolic link `name`.
    pub(super) fn read_link(&self, name: &[u8]) -> Sys<Vec<u8>> {
        fs::readlinkat(&self.fd, name, Vec::with_capacity(256)).map(std::ffi::CString::into_bytes)
    }

    /// A path to `name` that leads through this descriptor, for calls that know no descriptors
    /// and do not follow a link at the end.
    pub(super) fn proc_path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }

    /// All entries but `.` and `..`, in ascending order of name.
    pub(super) fn entries(&self) -> Sys<Entries> {
        let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
        let mut found = Entries { names: Vec::new(), entries: Vec::new() };
        let mut stream = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = stream.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                found.push(name, entry.file_type())?;
            }
        }
        found.sort();
        Ok(found)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Entries {
    fn push(&mut self, name: &[u8], kind: FileType) -> Sys<()> {
        let start = u32::try_from(self.names.len()).map_err(|_| Errno::OVERFLOW)?;
        let len = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
        self.names.extend_from_slice(name);
        self.entries.push((start, len, kind));
        Ok(())
    }

    fn sort(&mut self) {
        let names = &self.names;
        let name = |&(start, len, _): &(u32, u16, FileType)| &names[start as usize..][..usize::from(len)];
        self.entries.sort_unstable_by(|a, b| name(a).cmp(name(b)));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All names, in ascending order.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.get(at).0)
    }

    /// Whether there is an entry of this name.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        let of = |&(start, len, _): &(u32, u16, FileType)| &self.names[start as usize..][..usize::from(len)];
        self.entries.binary_search_by(|entry| of(entry).cmp(name)).is_ok()
    }

    /// Name and type of an entry by its place in the order.
    pub(super) fn get(&self, at: usize) -> (&[u8], FileType) {
        let (start, len, kind) = self.entries[at];
        (&self.names[start as usize..][..usize::from(len)], kind)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_and_parents_are_never_followed() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(outer.path().join("volume/d")).unwrap();
        std::fs::write(outer.path().join("secret"), "s").unwrap();
        symlink("..", outer.path().join("volume/up")).unwrap();
        symlink(outer.path().join("secret"), outer.path().join("volume/leak")).unwrap();
        let root = Dir::root(&outer.path().join("volume"), Mounts::Refuse).unwrap();
        // Kernels differ in which of its two faults they name first.
        assert!(matches!(root.dir(b"up").err(), Some(Errno::LOOP | Errno::NOTDIR)));
        assert_eq!(root.file(b"leak").err(), Some(Errno::LOOP));
        assert_eq!(root.existing(b"leak").err(), Some(Errno::LOOP));
        assert_eq!(root.file(b"../secret").err(), Some(Errno::XDEV));
        assert_eq!(root.create(b"../new", 0o600).err(), Some(Errno::XDEV));
        assert_eq!(root.dir(b"..").err(), Some(Errno::XDEV));
        assert_eq!(root.file(b"/etc/passwd").err(), Some(Errno::XDEV));
        assert!(root.dir(b"d").is_ok());
    }

    #[test]
    fn a_fifo_does_not_block_the_walk() {
        let volume = tempfile::tempdir().unwrap();
        let root = Dir::root(volume.path(), Mounts::Refuse).unwrap();
        fs::mkfifoat(&root, "pipe", Mode::RUSR).unwrap();
        let fd = root.file(b"pipe").unwrap();
        assert_eq!(FileType::from_raw_mode(fs::fstat(&fd).unwrap().st_mode), FileType::Fifo);
    }

    #[test]
    fn mount_points_are_refused_on_capture() {
        let proc = Dir::root(Path::new("/"), Mounts::Refuse).unwrap();
        assert_eq!(proc.dir(b"proc").err(), Some(Errno::XDEV));
        assert!(Dir::root(Path::new("/"), Mounts::Enter).unwrap().dir(b"proc").is_ok());
    }

    #[test]
    fn entries_come_in_order_of_their_bytes() {
        let volume = tempfile::tempdir().unwrap();
        for name in ["b", "a.json", "a-b.json", "ä", "A"] {
            std::fs::write(volume.path().join(name), "").unwrap();
        }
        let entries = Dir::root(volume.path(), Mounts::Refuse).unwrap().entries().unwrap();
        let names: Vec<_> = (0..entries.len()).map(|at| entries.get(at).0.to_vec()).collect();
        assert_eq!(names, ["A", "a-b.json", "a.json", "b", "ä"].map(|name| name.as_bytes().to_vec()));
    }
}
