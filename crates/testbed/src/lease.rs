//! Slots: numbers from which all kernel names and addresses of a site follow, each held by one owner.
//!
//! A slot is a file that its owner keeps locked. The file says who the owner is and what it runs, so that after
//! the owner's death whoever gets the lock can take everything away: the guard, or the next start of anything.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dirs::{self, Cache};
use crate::error::{At, Error, Result};
use crate::kernel::cgroup::Cgroup;
use crate::kernel::network::Network;
use crate::kernel::processes::Identity;
use crate::lock::FileLock;
use crate::teardown;

/// How many sites and servers one machine can hold; addresses below 198.18.0.255 and 10.220.0.0 follow from it.
pub(crate) const SLOTS: u16 = 90;

/// What runs in a slot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) slot: u16,
    /// The site's or server's name.
    pub(crate) name: String,
    /// Its directory on disk.
    pub(crate) dir: PathBuf,
    /// Who started it.
    pub(crate) owner: Identity,
    /// Whether it outlives its owner.
    pub(crate) kept: bool,
}

impl Record {
    pub(crate) fn cgroup(&self) -> Cgroup {
        Cgroup::of_slot(self.slot)
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

/// A slot that this process holds.
#[derive(Debug)]
pub(crate) struct Lease {
    lock: FileLock,
    record: Record,
}

impl Lease {
    /// Takes the lowest free slot for `name`, sweeping away what a dead owner left in it, and makes the directory.
    pub(crate) fn take(name: &str, cache: &Cache) -> Result<Self> {
        let owner = Identity::own();
        let run = cache.runs().join(format!("{}-{}", owner.pid, owner.start));
        for slot in 1..=SLOTS {
            let Some(lock) = FileLock::attempt(&path(slot))? else { continue };
            if let Some(old) = parse(&lock, slot)? {
                if !old.is_orphan() {
                    continue;
                }
                if teardown::of_slot(&old).is_err() {
                    // The sweep before this said so; another slot serves as well.
                    continue;
                }
                lock.write(b"")?;
            }
            let dir = unused(&run, name);
            for part in ["log", "run"] {
                let path = dir.join(part);
                std::fs::create_dir_all(&path).at("create", path)?;
            }
            let record = Record { slot, name: name.into(), dir, owner, kept: false };
            let lease = Self { lock, record };
            lease.save()?;
            return Ok(lease);
        }
        Err(Error::NoSlot { slots: SLOTS })
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Lets what runs in the slot outlive this process.
    pub(crate) fn keep(mut self) -> Result<()> {
        self.record.kept = true;
        self.save()
    }

    /// Takes everything in the slot away and gives it back.
    pub(crate) fn end(&self) -> Result<()> {
        teardown::of_slot(&self.record)?;
        self.lock.write(b"")?;
        teardown::shared()
    }

    fn save(&self) -> Result<()> {
        let json = serde_json::to_vec_pretty(&self.record).at("write", path(self.record.slot))?;
        self.lock.write(&json)
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

/// One site or server of this machine, in a line.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// The number its addresses follow from.
    pub slot: u16,
    /// Its address.
    pub address: String,
    /// Its directory.
    pub dir: PathBuf,
    /// Whether it outlives the process that started it.
    pub kept: bool,
    /// Whether that process is gone although it was not kept: a sweep removes it.
    pub orphan: bool,
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match (self.orphan, self.kept) {
            (true, _) => "orphan",
            (false, true) => "kept",
            (false, false) => "in use",
        };
        write!(f, "{:<20} {:<14} {state:<8} {}", self.name, self.address, self.dir.display())
    }
}

/// What runs on this machine.
pub fn list() -> Result<Vec<Running>> {
    let describe = |record: Record| Running {
        slot: record.slot,
        address: record.network().address(),
        kept: record.kept,
        orphan: record.is_orphan(),
        name: record.name,
        dir: record.dir,
    };
    Ok(records()?.into_iter().map(describe).collect())
}

/// Takes away what runs in `record`'s slot once nobody holds it, and only if it still is the same.
///
/// With `wait` it waits for a holder that is about to end; otherwise a slot in use is left alone.
pub(crate) fn reclaim(record: &Record, wait: bool) -> Result<bool> {
    let path = path(record.slot);
    let lock = if wait { Some(FileLock::wait(&path)?) } else { FileLock::attempt(&path)? };
    let Some(lock) = lock else { return Ok(false) };
    match parse(&lock, record.slot)? {
        Some(found) if found.dir == record.dir => {
            teardown::of_slot(&found)?;
            lock.write(b"")?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn parse(lock: &FileLock, slot: u16) -> Result<Option<Record>> {
    first(&lock.read()?).map_err(|error| Error::Record { path: path(slot), reason: error.to_string() })
}

/// The record at the start of a file; what may follow is the end of a longer one before it.
fn first(content: &[u8]) -> serde_json::Result<Option<Record>> {
    serde_json::Deserializer::from_slice(content).into_iter().next().transpose()
}

fn path(slot: u16) -> PathBuf {
    dirs::leases().join(slot.to_string())
}

/// A directory that no earlier site of this run has had.
fn unused(run: &Path, name: &str) -> PathBuf {
    let numbered = |n: u32| if n == 1 { name.to_owned() } else { format!("{name}.{n}") };
    (1..).map(|n| run.join(numbered(n))).find(|dir| !dir.exists()).unwrap_or_else(|| run.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_whatever_a_longer_one_left_behind_it() {
        let record =
            Record { slot: 3, name: "a".into(), dir: "/x/a".into(), owner: Identity::own(), kept: false };
        let mut content = serde_json::to_vec(&record).unwrap();
        content.extend_from_slice(b"t\": true}");
        assert_eq!(first(&content).unwrap().unwrap().dir, record.dir);
        assert!(first(b"").unwrap().is_none());
        assert!(first(b"{\"slot\": 3").is_err());
    }

    #[test]
    fn a_record_of_another_boot_is_an_orphan_even_if_it_was_kept() {
        let own =
            Record { slot: 3, name: "a".into(), dir: "/x/a".into(), owner: Identity::own(), kept: false };
        assert!(!own.is_orphan());
        let boot = "an earlier one".to_owned();
        let earlier = Record { owner: Identity { boot, ..own.owner.clone() }, kept: true, ..own.clone() };
        assert!(earlier.is_orphan());
        let dead = Identity { start: 0, ..own.owner.clone() };
        assert!(Record { owner: dead.clone(), ..own.clone() }.is_orphan());
        assert!(!Record { owner: dead, kept: true, ..own }.is_orphan());
    }
}
