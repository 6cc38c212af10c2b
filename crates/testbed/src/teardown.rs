//! Taking away everything that a slot has of the machine, from its record alone, whoever does it.
//!
//! Everything dies at once by SIGKILL: an API server that outlives its etcd lingers on its port for a minute, and
//! nothing here is worth a graceful end. What remains are names in the kernel, removed in the order of use.

use std::path::Path;
use std::time::Duration;

use crate::error::{At, Result};
use crate::kernel::{bridge, freeze, loops, mounts};
use crate::record::{self, Record};

/// How long processes and cgroups may take to go.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// How long they may take if nothing holds them up.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(3);

/// What stays of a site's directory: the logs of components and pods, and credentials that nobody answers to now.
const KEPT: [&str; 2] = ["log", "admin.kubeconfig"];

/// Kills everything in the slot and removes what it had; its logs stay.
pub(crate) fn of_slot(record: &Record) -> Result<()> {
    kill(std::slice::from_ref(record))?;
    for dir in [record.dir.clone(), record.runtime()] {
        unmount_below(&dir)?;
    }
    record.cgroup().remove(LIMIT)?;
    record.network().remove()?;
    record.switch().remove()?;
    remove_links_of_pod_logs(&record.dir);
    remove_network_results(&record.network().namespace());
    remove_tree(&record.runtime())?;
    let Ok(items) = std::fs::read_dir(&record.dir) else { return Ok(()) };
    for item in items.flatten().filter(|item| KEPT.iter().all(|name| item.file_name() != *name)) {
        remove_tree(&item.path())?;
    }
    Ok(())
}

/// Takes away several slots of one site: every process of all of them dies first.
pub(crate) fn of_slots(records: &[Record]) -> Result<()> {
    kill(records)?;
    records.iter().rev().try_for_each(of_slot)
}

/// Kills every process of all slots, whose writers may wait for file systems in one another's directories.
fn kill(records: &[Record]) -> Result<()> {
    let kill = |limit| records.iter().map(|record| record.cgroup().kill(limit)).fold(Ok(()), Result::and);
    let killed = kill(PROMPTLY);
    // A CSI driver that was killed in the middle of a snapshot left file systems frozen, and their writers hang.
    records.iter().for_each(|record| freeze::thaw_below(&record.dir));
    killed.or_else(|_| kill(LIMIT))
}

/// Unmounts everything below a directory and detaches the loop devices whose files are there.
pub(crate) fn unmount_below(dir: &Path) -> Result<()> {
    // First and last: once its file system is unmounted, the name of a device's file no longer leads here; and the
    // device that carries the file system is free only then.
    loops::detach_below(dir)?;
    mounts::remove_below(dir)?;
    loops::detach_below(dir)
}

/// Removes what all sites share if none is left.
pub(crate) fn shared() -> Result<()> {
    bridge::remove_if(|| record::records().is_ok_and(|records| records.is_empty()))
}

/// The kubelet links every container's log from a directory of the machine.
fn remove_links_of_pod_logs(site: &Path) {
    let Ok(items) = std::fs::read_dir("/var/log/containers") else { return };
    for item in items.flatten() {
        if std::fs::read_link(item.path()).is_ok_and(|target| target.starts_with(site)) {
            let _ = std::fs::remove_file(item.path());
        }
    }
}

/// libcni caches the result of every sandbox: by the name of the site's network, and for the loopback by its id.
fn remove_network_results(network: &str) {
    let results = Path::new("/var/lib/cni/results");
    let prefix = format!("{network}-pods-");
    let Ok(items) = std::fs::read_dir(results) else { return };
    for item in items.flatten() {
        let name = item.file_name().to_string_lossy().into_owned();
        let Some(sandbox) = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("-eth0")) else {
            continue;
        };
        // A cache entry that is gone already needs no removing.
        let _ = std::fs::remove_file(results.join(format!("cni-loopback-{sandbox}-lo")));
        let _ = std::fs::remove_file(item.path());
    }
}

pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let gone = if path.is_dir() && !path.is_symlink() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match gone {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}
