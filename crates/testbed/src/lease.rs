//! Slots: numbers from which all kernel names and addresses of a site follow, each held by one owner.
//!
//! A slot is a file that its owner keeps locked. The file says who the owner is and what it runs, so that after
//! the owner's death whoever gets the lock can take everything away: the guard, or the next start of anything.

use std::path::{Path, PathBuf};

use crate::dirs::Cache;
use crate::error::{At, Error, Result};
use crate::kernel::processes::Identity;
use crate::lock::FileLock;
use crate::record::{Record, SLOTS, parse, path};
use crate::teardown;

/// A slot that this process holds.
#[derive(Debug)]
pub(crate) struct Lease {
    lock: FileLock,
    record: Record,
}

impl Lease {
    /// Takes the lowest free slot for `name`, sweeping away what a dead owner left in it, and makes the directory.
    pub(crate) fn take(name: &str, cache: &Cache) -> Result<Self> {
        Self::for_node(name, 0, cache)
    }

    /// As [`Self::take`], for one node of the site `name`.
    pub(crate) fn for_node(name: &str, node: u16, cache: &Cache) -> Result<Self> {
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
            // Short: a site's name and the path of a socket both have limits.
            let own = if node == 0 { name.to_owned() } else { format!("{name}.n{node}") };
            let dir = unused(&run, &own);
            for part in ["log", "run"] {
                let path = dir.join(part);
                std::fs::create_dir_all(&path).at("create", path)?;
            }
            let record = Record { slot, name: name.into(), node, dir, owner, kept: false };
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

/// Ends all leases of a site, the first node's last: what others have mounted is of its directory.
///
/// One that resists does not keep the others; its error is given.
pub(crate) fn end_all(leases: &[Lease]) -> Result<()> {
    let ended: Vec<Result<()>> = leases.iter().rev().map(Lease::end).collect();
    ended.into_iter().collect()
}

/// A directory that no earlier site of this run has had.
fn unused(run: &Path, name: &str) -> PathBuf {
    let numbered = |n: u32| if n == 1 { name.to_owned() } else { format!("{name}.{n}") };
    (1..).map(|n| run.join(numbered(n))).find(|dir| !dir.exists()).unwrap_or_else(|| run.join(name))
}
