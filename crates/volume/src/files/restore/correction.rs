//! Brings the attributes of what is there already to those of the snapshot, where they differ.

use std::os::fd::AsFd;

use holdfast_vault::{ExtendedAttribute, Node, NodeKind};
use rustix::fs::{self, AtFlags, Mode, Stat};
use rustix::io::Errno;

use super::Session;
use super::attributes::{CAPABILITY, SELINUX, owner, times};
use super::target::Target;
use crate::files::{stat, xattr};

impl Session {
    /// Corrects what is at the node's name and is `found` to be of its kind; `true` if anything
    /// differed.
    pub(super) fn correct(&self, target: &Target, node: &Node, found: &Stat) -> Result<bool, Errno> {
        let (dir, name) = (target.dir(), node.name.as_slice());
        let has = xattr::of_entry(dir, name)?;
        if !self.differs(node, found, &has) {
            return Ok(false);
        }
        match node.kind {
            NodeKind::Symlink => self.correct_link(target, node, &has)?,
            NodeKind::File => {
                let fd = dir.file(name)?;
                if stat::kind(&fs::fstat(&fd)?) != NodeKind::File {
                    return Err(Errno::LOOP);
                }
                self.correct_open(&fd, node, &|| target.show(name))?;
                fs::futimens(&fd, &times(node))?;
            }
            _ => self.special_attributes(target, name, node)?,
        }
        Ok(true)
    }

    /// Corrects an open directory; `true` if anything differed.
    pub(super) fn correct_dir(&self, target: &Target, node: &Node) -> Result<bool, Errno> {
        let dir = target.dir();
        if !self.differs(node, &dir.stat_self()?, &xattr::of_open(dir)?) {
            return Ok(false);
        }
        self.correct_open(dir, node, &|| target.to_string())?;
        fs::futimens(dir, &times(node))?;
        Ok(true)
    }

    /// Corrects all but the times of an open file or directory. The order is that of what undoes
    /// what: a new owner clears bits and capabilities, an access list changes the mode.
    pub(super) fn correct_open(
        &self,
        fd: impl AsFd,
        node: &Node,
        path: &dyn Fn() -> String,
    ) -> Result<(), Errno> {
        if self.owner_differs(node, &fs::fstat(&fd)?) {
            self.own(&fd, node)?;
        }
        let has = xattr::of_open(&fd)?;
        self.remove_superfluous(node, &has, path, |name| xattr::remove_open(&fd, name));
        let mode = fs::fstat(&fd)?.st_mode & 0o7777;
        if mode != node.mode.permissions() {
            let wanted = match node.kind {
                NodeKind::Dir => node.mode.permissions(),
                _ => self.allowed_mode(node, path),
            };
            fs::fchmod(&fd, Mode::from_raw_mode(wanted))?;
        }
        self.extended(node, &has, path, |attribute| xattr::set_open(&fd, attribute));
        Ok(())
    }

    fn correct_link(&self, target: &Target, node: &Node, has: &[ExtendedAttribute]) -> Result<(), Errno> {
        let (dir, name) = (target.dir(), node.name.as_slice());
        if self.options.owners {
            let (uid, gid) = owner(node);
            fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        let path = || target.show(name);
        self.remove_superfluous(node, has, &path, |attribute| xattr::remove_entry(dir, name, attribute));
        self.extended(node, has, &path, |attribute| xattr::set_entry(dir, name, attribute));
        fs::utimensat(dir, name, &times(node), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn differs(&self, node: &Node, found: &Stat, has: &[ExtendedAttribute]) -> bool {
        let mode = found.st_mode & 0o7777;
        self.owner_differs(node, found)
            || (node.kind != NodeKind::Symlink && mode != node.mode.permissions())
            || stat::mtime(found) != node.mtime
            || has.iter().any(|attribute| is_superfluous(node, attribute))
            || node.extended_attributes.iter().any(|wanted| wanted.name != SELINUX && !has.contains(wanted))
    }

    fn owner_differs(&self, node: &Node, found: &Stat) -> bool {
        self.options.owners && (found.st_uid, found.st_gid) != (node.uid, node.gid)
    }

    fn remove_superfluous(
        &self,
        node: &Node,
        has: &[ExtendedAttribute],
        path: &dyn Fn() -> String,
        remove: impl Fn(&str) -> Result<(), Errno>,
    ) {
        for attribute in has.iter().filter(|attribute| is_superfluous(node, attribute)) {
            match remove(&attribute.name) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(error) => {
                    let reason = std::io::Error::from(error);
                    let message = format!("keeps its attribute {}: {reason}", attribute.name);
                    self.recorder.problem(holdfast_model::Problem::new("file.attributes", path(), message));
                }
            }
        }
    }
}

/// Whether the snapshot's entry has no such attribute. A capability that it has with another value
/// goes as well, since it may not be allowed to be set.
fn is_superfluous(node: &Node, attribute: &ExtendedAttribute) -> bool {
    let wanted = node.extended_attributes.iter().find(|wanted| wanted.name == attribute.name);
    attribute.name != SELINUX
        && wanted.is_none_or(|wanted| attribute.name == CAPABILITY && wanted.value != attribute.value)
}
