//! Owners, modes, extended attributes and times.

use std::os::fd::{AsFd, AsRawFd};

use holdfast_vault::{ExtendedAttribute, Node, NodeKind};
use jiff::Timestamp;
use rustix::fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::Session;
use super::target::Target;
use crate::files::{stat, xattr};

/// Who this process is, so that calls which would change nothing are saved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    uid: u32,
    gid: u32,
    umask: u32,
}

impl Identity {
    pub(super) fn current() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            umask: umask().unwrap_or(0o777),
        }
    }
}

/// The umask can be read without being changed only here.
fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

const SPECIAL: u32 = 0o7000;
/// setuid and setgid: power over others, on a file.
const POWER: u32 = 0o6000;
pub(super) const CAPABILITY: &str = "security.capability";
/// Belongs to the node's policy: the container runtime labels a volume for the pod that mounts it.
pub(super) const SELINUX: &str = "security.selinux";

impl Session {
    /// The mode to create a file with so that no chmod(2) is needed in the common case.
    pub(super) fn creation_mode(&self, node: &Node) -> u32 {
        let mode = node.mode.permissions();
        if self.needs_mode(mode) || self.needs_owner(node) { 0o600 } else { mode }
    }

    fn needs_mode(&self, mode: u32) -> bool {
        mode & (self.identity.umask | SPECIAL) != 0
    }

    fn needs_owner(&self, node: &Node) -> bool {
        self.options.owners && (node.uid, node.gid) != (self.identity.uid, self.identity.gid)
    }

    /// Sets all attributes of a file but its times; `is_fresh` if it was created with
    /// [`Self::creation_mode`] in a directory of ours.
    pub(super) fn file_attributes(
        &self,
        fd: impl AsFd,
        node: &Node,
        is_fresh: bool,
        path: &dyn Fn() -> String,
    ) -> Result<(), Errno> {
        let mode = self.allowed_mode(node, path);
        // What was created was decided by the node's own mode, also where not all of it is allowed.
        if !is_fresh || self.needs_owner(node) || self.needs_mode(node.mode.permissions()) {
            self.own(&fd, node)?;
            fs::fchmod(&fd, Mode::from_raw_mode(mode))?;
        }
        self.extended(node, &[], path, |attribute| xattr::set_open(&fd, attribute));
        Ok(())
    }

    /// Sets all attributes of a directory.
    pub(super) fn dir_attributes(&self, target: &Target, node: &Node) -> Result<(), Errno> {
        let dir = target.dir();
        self.own(dir, node)?;
        fs::fchmod(dir, Mode::from_raw_mode(node.mode.permissions()))?;
        self.extended(node, &[], &|| target.to_string(), |attribute| xattr::set_open(dir, attribute));
        fs::futimens(dir, &times(node))
    }

    /// Sets all attributes of the symbolic link `name`.
    pub(super) fn link_attributes(&self, target: &Target, name: &[u8], node: &Node) -> Result<(), Errno> {
        let dir = target.dir();
        if self.needs_owner(node) || !target.is_fresh() {
            let (uid, gid) = owner(node);
            self.owned(fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))?;
        }
        self.extended(node, &[], &|| target.show(&node.name), |attribute| {
            xattr::set_entry(dir, name, attribute)
        });
        fs::utimensat(dir, name, &times(node), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Sets all attributes of the device or pipe `name`, which is not opened for that: opening may act
    /// on it.
    pub(super) fn special_attributes(&self, target: &Target, name: &[u8], node: &Node) -> Result<(), Errno> {
        let handle = target.dir().handle(name)?;
        // What was made may have been swapped since; this descriptor cannot be.
        if stat::kind(&fs::fstat(&handle)?) != node.kind {
            return Err(Errno::LOOP);
        }
        let (uid, gid) = owner(node);
        if self.options.owners {
            fs::chownat(&handle, "", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        fs::chmod(path.as_str(), Mode::from_raw_mode(node.mode.permissions() & !POWER))?;
        fs::utimensat(rustix::fs::CWD, path.as_str(), &times(node), AtFlags::empty())
    }

    pub(super) fn own(&self, fd: impl AsFd, node: &Node) -> Result<(), Errno> {
        if !self.options.owners {
            return Ok(());
        }
        let (uid, gid) = owner(node);
        self.owned(fs::fchown(fd, uid, gid))
    }

    fn owned(&self, result: Result<(), Errno>) -> Result<(), Errno> {
        if self.options.owners { result } else { Ok(()) }
    }

    pub(super) fn allowed_mode(&self, node: &Node, path: &dyn Fn() -> String) -> u32 {
        let mode = node.mode.permissions();
        if mode & POWER == 0 || self.options.setuid {
            return mode;
        }
        let problem =
            holdfast_model::Problem::new("file.setuid", path(), "restored without its setuid or setgid bit");
        self.recorder.problem(problem.hint("an administrator can allow these bits for this restore"));
        mode & !POWER
    }

    /// Sets those extended attributes that it does not have already.
    pub(super) fn extended(
        &self,
        node: &Node,
        has: &[ExtendedAttribute],
        path: &dyn Fn() -> String,
        set: impl Fn(&ExtendedAttribute) -> Result<(), Errno>,
    ) {
        for attribute in &node.extended_attributes {
            let name = attribute.name.as_str();
            if name == SELINUX || has.contains(attribute) {
                continue;
            }
            let failed = if name == CAPABILITY && !self.options.setuid {
                "an administrator can allow capabilities for this restore".to_owned()
            } else {
                match set(attribute) {
                    Ok(()) => continue,
                    Err(error) => std::io::Error::from(error).to_string(),
                }
            };
            let message = format!("restored without its attribute {name}: {failed}");
            self.recorder.problem(holdfast_model::Problem::new("file.attributes", path(), message));
        }
    }
}

pub(super) fn owner(node: &Node) -> (Option<Uid>, Option<Gid>) {
    // The highest number is `leave as it is` to chown(2), and no user has it.
    let some = |id: u32| (id != u32::MAX).then_some(id);
    (some(node.uid).map(Uid::from_raw), some(node.gid).map(Gid::from_raw))
}

pub(super) fn times(node: &Node) -> Timestamps {
    Timestamps { last_access: timespec(node.atime), last_modification: timespec(node.mtime) }
}

/// The kernel counts nanoseconds upwards from the second before, jiff towards zero.
fn timespec(time: Timestamp) -> Timespec {
    let (second, nanosecond) = (time.as_second(), i64::from(time.subsec_nanosecond()));
    match nanosecond {
        ..0 => Timespec { tv_sec: second - 1, tv_nsec: (nanosecond + 1_000_000_000) as _ },
        _ => Timespec { tv_sec: second, tv_nsec: nanosecond as _ },
    }
}

/// Whether a node is restored only by an administrator's choice.
pub(super) fn is_device(node: &Node) -> bool {
    matches!(node.kind, NodeKind::Device | NodeKind::CharDevice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_keep_their_nanoseconds() {
        let time = Timestamp::new(-2, 250_000_000).unwrap();
        let spec = timespec(time);
        assert_eq!((spec.tv_sec, spec.tv_nsec), (-2, 250_000_000));
        let time: Timestamp = "1969-12-31T23:59:59.75Z".parse().unwrap();
        let spec = timespec(time);
        assert_eq!((spec.tv_sec, spec.tv_nsec), (-1, 750_000_000));
    }
}
