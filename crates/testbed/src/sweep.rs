//! What runs on this machine, and taking away what nobody answers for any more.

use std::path::{Path, PathBuf};

use crate::dirs::Cache;
use crate::error::Result;
use crate::lock::FileLock;
use crate::record::{Record, parse, path, records};
use crate::report::Reporter;
use crate::teardown;

/// How many directories of ended runs are kept for their logs.
const RUNS_KEPT: usize = 30;

/// One site or server of this machine, in a line.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its name; all nodes of a site have the site's.
    pub name: String,
    /// What it is called in a list: its name, with the number of any node but the first.
    pub title: String,
    /// Which node of the site it is, 0 for the one that has the control plane and for what is no site.
    pub node: u16,
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
        write!(f, "{:<20} {:<14} {state:<8} {}", self.title, self.address, self.dir.display())
    }
}

/// What runs on this machine.
pub fn list() -> Result<Vec<Running>> {
    let describe = |record: Record| Running {
        title: record.title(),
        node: record.node,
        slot: record.slot,
        address: record.network().address(),
        kept: record.kept,
        orphan: record.is_orphan(),
        name: record.name,
        dir: record.dir,
    };
    Ok(records()?.into_iter().map(describe).collect())
}

/// Removes what dead owners left behind, and the oldest logs. Gives the titles of what was taken away.
pub fn sweep(cache: &Cache, report: &Reporter) -> Result<Vec<String>> {
    let mut swept = Vec::new();
    for record in last_first(records()?).iter().filter(|record| record.is_orphan()) {
        let title = record.title();
        match reclaim(record, false) {
            Ok(true) => {
                report.note(&format!("swept {title} (slot {}), whose owner is gone", record.slot));
                swept.push(title);
            }
            Ok(false) => {}
            // One slot that resists is no reason to do nothing: it stays listed, and others are free.
            Err(error) => report.note(&format!("cannot sweep {title}: {error}")),
        }
    }
    if !swept.is_empty() {
        teardown::shared()?;
    }
    forget_old_runs(&cache.runs())?;
    Ok(swept)
}

/// Takes down everything called `name` that was kept, and gives how many sites and servers that were.
pub fn down(name: &str) -> Result<usize> {
    let mut ended = 0;
    for record in last_first(records()?).iter().filter(|record| record.name == name) {
        ended += usize::from(reclaim(record, false)? && record.node == 0);
    }
    teardown::shared()?;
    Ok(ended)
}

/// Takes down everything that the dead process `pid` owned and did not keep, waiting for its locks to open.
pub(crate) fn of_owner(pid: i32, start: u64) -> Result<()> {
    for record in last_first(records()?) {
        if record.owner.pid == pid && record.owner.start == start && !record.kept {
            reclaim(&record, true)?;
        }
    }
    teardown::shared()
}

/// The first node of every site behind its others: what they have mounted is of its directory.
fn last_first(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| std::cmp::Reverse(record.node));
    records
}

/// Takes away what runs in `record`'s slot once nobody holds it, and only if it still is the same.
///
/// With `wait` it waits for a holder that is about to end; otherwise a slot in use is left alone.
fn reclaim(record: &Record, wait: bool) -> Result<bool> {
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

/// Removes the directories of the oldest runs in which nothing runs any more.
fn forget_old_runs(runs: &Path) -> Result<()> {
    let Ok(items) = std::fs::read_dir(runs) else { return Ok(()) };
    let in_use: Vec<PathBuf> =
        records()?.into_iter().filter_map(|r| r.dir.parent().map(Path::to_owned)).collect();
    let mut ended: Vec<(std::time::SystemTime, PathBuf)> = items
        .flatten()
        .filter(|item| !in_use.contains(&item.path()))
        .filter_map(|item| Some((item.metadata().ok()?.modified().ok()?, item.path())))
        .collect();
    ended.sort();
    let surplus = ended.len().saturating_sub(RUNS_KEPT);
    for (_, path) in ended.into_iter().take(surplus) {
        teardown::remove_tree(&path)?;
    }
    Ok(())
}
