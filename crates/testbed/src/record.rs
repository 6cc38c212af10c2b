//! What each slot is recorded to run, so that whoever comes after a dead owner knows what to take away.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::dirs;
use crate::error::{At, Error, Result};
use crate::kernel::cgroup::Cgroup;
use crate::kernel::network::Network;
use crate::kernel::processes::Identity;
use crate::kernel::switch::Switch;
use crate::lock::FileLock;

/// How many sites and servers one machine can hold; addresses below 198.18.0.255 and 10.220.0.0 follow from it.
pub(crate) const SLOTS: u16 = 90;

/// What runs in a slot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) slot: u16,
    /// The site's or server's name.
    pub(crate) name: String,
    /// Which node of the site it is; a site's control plane, and what is no site, counts as the first.
    #[serde(default)]
    pub(crate) node: u16,
    /// Its directory on disk.
    pub(crate) dir: PathBuf,
    /// Who started it.
    pub(crate) owner: Identity,
    /// Whether it outlives its owner.
    pub(crate) kept: bool,
}

impl Record {
    /// What it is called among all that runs: the site's name, with the number of any node but the first.
    pub(crate) fn title(&self) -> String {
        match self.node {
            0 => self.name.clone(),
            node => format!("{} node {node}", self.name),
        }
    }

    pub(crate) fn cgroup(&self) -> Cgroup {
        Cgroup::of_slot(self.slot)
    }

    /// What joins the nodes of a site with several; the slot of the first has it.
    pub(crate) fn switch(&self) -> Switch {
        Switch::of_slot(self.slot)
    }

    pub(crate) fn network(&self) -> Network {
        Network::of_slot(self.slot)
    }

    /// Short paths for sockets and containers' state.
    pub(crate) fn runtime(&self) -> PathBuf {
        dirs::runtime(self.slot)
    }

    /// Whether nobody answers for it any more.
    pub(crate) fn is_orphan(&self) -> bool {
        let this_boot = self.owner.boot == crate::kernel::processes::boot_id();
        !this_boot || (!self.kept && !self.owner.is_alive())
    }
}

/// Everything that is recorded as running, read without taking locks.
pub(crate) fn records() -> Result<Vec<Record>> {
    let mut all = Vec::new();
    for slot in 1..=SLOTS {
        let content = match std::fs::read(path(slot)) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).at("read", path(slot)),
        };
        all.extend(first(&content).ok().flatten());
    }
    Ok(all)
}

/// The record in a slot's file, which its lock gives access to; none if the slot is free.
pub(crate) fn parse(lock: &FileLock, slot: u16) -> Result<Option<Record>> {
    first(&lock.read()?).map_err(|error| Error::Record { path: path(slot), reason: error.to_string() })
}

/// The record at the start of a file; what may follow is the end of a longer one before it.
fn first(content: &[u8]) -> serde_json::Result<Option<Record>> {
    serde_json::Deserializer::from_slice(content).into_iter().next().transpose()
}

/// The file of a slot.
pub(crate) fn path(slot: u16) -> PathBuf {
    dirs::leases().join(slot.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Record {
        let (name, dir, owner) = ("a".into(), "/x/a".into(), Identity::own());
        Record { slot: 3, name, node: 0, dir, owner, kept: false }
    }

    #[test]
    fn a_record_is_read_whatever_a_longer_one_left_behind_it() {
        let record = own();
        let mut content = serde_json::to_vec(&record).unwrap();
        content.extend_from_slice(b"t\": true}");
        assert_eq!(first(&content).unwrap().unwrap().dir, record.dir);
        assert!(first(b"").unwrap().is_none());
        assert!(first(b"{\"slot\": 3").is_err());
    }

    #[test]
    fn a_record_without_a_node_is_of_the_first() {
        let mut old = serde_json::to_value(own()).unwrap();
        old.as_object_mut().unwrap().remove("node").unwrap();
        assert_eq!(first(&serde_json::to_vec(&old).unwrap()).unwrap().unwrap().node, 0);
    }

    #[test]
    fn a_record_of_another_boot_is_an_orphan_even_if_it_was_kept() {
        let own = own();
        assert!(!own.is_orphan());
        let boot = "an earlier one".to_owned();
        let earlier = Record { owner: Identity { boot, ..own.owner.clone() }, kept: true, ..own.clone() };
        assert!(earlier.is_orphan());
        let dead = Identity { start: 0, ..own.owner.clone() };
        assert!(Record { owner: dead.clone(), ..own.clone() }.is_orphan());
        assert!(!Record { owner: dead, kept: true, ..own }.is_orphan());
    }
}
