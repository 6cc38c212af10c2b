//! Brings about one entry that is not a directory, whatever is in its place.

use std::sync::Arc;

use holdfast_model::Problem;
use holdfast_vault::{Node, NodeKind};
use rustix::fs::{FileType, Mode, mknodat, symlinkat};
use rustix::io::Errno;

use super::attributes::is_device;
use super::ground::Known;
use super::names::Names;
use super::staged;
use super::target::Target;
use super::walk::{Visit, Walk};
use crate::error::Result;
use crate::files::stat;

impl Walk {
    /// Makes or gathers the entry. The inner error concerns it alone.
    pub(super) fn bring(
        &mut self,
        target: &Arc<Target>,
        visit: &Visit,
        position: usize,
        known: Known<'_>,
    ) -> Result<Result<(), Errno>> {
        let node = visit.node(position);
        if is_device(node) && !self.session.options.devices {
            let problem = Problem::new("file.device", target.show(&node.name), "a device file, not restored");
            self.session
                .recorder
                .problem(problem.hint("an administrator can allow devices for this restore"));
            return Ok(Ok(()));
        }
        let made = match node.kind {
            NodeKind::File => return self.file(target, visit, position, known),
            NodeKind::Symlink => self.symlink(target, &visit.names, node, known),
            NodeKind::Fifo | NodeKind::Device | NodeKind::CharDevice => {
                self.special(target, &visit.names, node, known)
            }
            NodeKind::Socket => {
                let reason = "a socket has no content; its owner makes it anew";
                self.session.recorder.excluded(target.show(&node.name), reason);
                return Ok(Ok(()));
            }
            NodeKind::Irregular | NodeKind::Dir => {
                let message = "is of a type that is not known here";
                let problem = Problem::new("file.unknown_type", target.show(&node.name), message);
                self.session.recorder.problem(problem);
                return Ok(Ok(()));
            }
        };
        if made.is_ok() {
            self.session.progress.entry(0);
        }
        Ok(made)
    }

    fn symlink(&self, target: &Target, names: &Names, node: &Node, known: Known<'_>) -> Result<(), Errno> {
        let is_same = |dir: &Target| dir.dir().read_link(&node.name).is_ok_and(|to| to == node.link_target);
        self.small(target, names, node, known, is_same, |name| {
            target.make(name, |dir| symlinkat(node.link_target.as_slice(), dir, name))?;
            self.session.link_attributes(target, name, node)
        })
    }

    fn special(&self, target: &Target, names: &Names, node: &Node, known: Known<'_>) -> Result<(), Errno> {
        let kind = match node.kind {
            NodeKind::Fifo => FileType::Fifo,
            NodeKind::CharDevice => FileType::CharacterDevice,
            _ => FileType::BlockDevice,
        };
        let is_same = |dir: &Target| {
            let device = dir.dir().stat(&node.name).map(|found| found.st_rdev);
            node.kind == NodeKind::Fifo || device == Ok(node.device)
        };
        self.small(target, names, node, known, is_same, |name| {
            target.make(name, |dir| mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, node.device))?;
            self.session.special_attributes(target, name, node)
        })
    }

    /// An entry without content: what is the same already only has its attributes corrected, and
    /// what is something else makes way when the new is there.
    fn small(
        &self,
        target: &Target,
        names: &Names,
        node: &Node,
        known: Known<'_>,
        is_same: impl Fn(&Target) -> bool,
        make: impl Fn(&[u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        match known.looked_at(target, &node.name)? {
            Known::Present(found) if stat::kind(&found) == node.kind && is_same(target) => {
                if !self.session.correct(target, node, &found)? {
                    return Ok(());
                }
            }
            Known::Present(_) => {
                let name = staged::name_for(&node.name, names);
                make(&name)?;
                self.session.replace(target, &name, &node.name)?;
            }
            Known::Unseen | Known::Absent | Known::Held(_) => make(&node.name)?,
        }
        self.session.has_changed();
        Ok(())
    }
}
