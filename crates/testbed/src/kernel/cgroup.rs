//! One cgroup per slot: it holds every process of a site, so that none can escape being ended.
//!
//! On cgroup v1 the kubelet needs its root in every controller; processes are followed in one of them. On v2
//! there is one tree, and the controllers of the machine are handed down to the kubelet's part of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::processes;
use crate::error::{At, Error, Result};

const ROOT: &str = "/sys/fs/cgroup";

/// Where the kubelet puts the pods of its node.
const PODS: &str = "kubepods";

/// The v1 controllers that may follow processes, the best first: these account for nothing else.
const FOLLOWERS: [&str; 4] = ["pids", "systemd", "freezer", "memory"];

/// Which of the kernel's two designs this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Version {
    /// v2 when the root of the tree is a cgroup of v2; a hybrid machine counts as v1.
    pub(crate) fn of_machine() -> Self {
        Self::at(Path::new(ROOT))
    }

    fn at(root: &Path) -> Self {
        if root.join("cgroup.controllers").is_file() { Self::V2 } else { Self::V1 }
    }
}

/// Which part of a slot a component is in; the kubelet makes one for pods beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What goes on when the slot's node dies: a control plane, a server.
    System,
    /// What dies with the node.
    Node,
}

impl Part {
    const ALL: [Self; 2] = [Self::System, Self::Node];

    fn dir(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Node => "node",
        }
    }
}

/// The cgroup of one slot.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    name: String,
    version: Version,
}

impl Cgroup {
    pub(crate) fn of_slot(slot: u16) -> Self {
        Self { name: format!("hf-{slot}"), version: Version::of_machine() }
    }

    /// As the kubelet's `cgroupRoot` names it.
    pub(crate) fn kubelet_root(&self) -> String {
        format!("/{}", self.name)
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Makes it, ready for components and a kubelet.
    pub(crate) fn create(&self) -> Result<()> {
        for root in self.hierarchies()? {
            let dir = root.join(&self.name);
            std::fs::create_dir_all(&dir).at("create", &dir)?;
            if root.ends_with("cpuset") {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    copy_value(&root.join(file), &dir.join(file))?;
                }
            }
        }
        if self.version == Version::V2 {
            hand_down(Path::new(ROOT));
            hand_down(&Path::new(ROOT).join(&self.name));
        }
        for part in Part::ALL {
            let dir = self.tracking()?.join(part.dir());
            std::fs::create_dir_all(&dir).at("create", dir)?;
        }
        Ok(())
    }

    /// The file that takes the pid of a new component.
    pub(crate) fn entrance(&self, part: Part) -> Result<PathBuf> {
        Ok(self.tracking()?.join(part.dir()).join("cgroup.procs"))
    }

    /// Every process of the slot: components, shims, and what runs in containers.
    pub(crate) fn processes(&self) -> Result<Vec<i32>> {
        Ok(processes_below(&self.tracking()?))
    }

    /// Every process of the slot's node: its servers, shims, and what runs in containers.
    pub(crate) fn node_processes(&self) -> Result<Vec<i32>> {
        let slot = self.tracking()?;
        Ok([Part::Node.dir(), PODS].iter().flat_map(|part| processes_below(&slot.join(part))).collect())
    }

    /// Ends every process with SIGKILL, again until none is left.
    pub(crate) fn kill(&self, limit: Duration) -> Result<()> {
        kill_until_none(|| self.processes(), limit)
    }

    /// Ends every process of the slot's node in the same way, and removes the cgroups of its pods.
    pub(crate) fn kill_node(&self, limit: Duration) -> Result<()> {
        kill_until_none(|| self.node_processes(), limit)?;
        self.remove_below(&Path::new(&self.name).join(PODS), limit)
    }

    /// Removes it with everything below. Processes must be gone.
    pub(crate) fn remove(&self, limit: Duration) -> Result<()> {
        self.remove_below(Path::new(&self.name), limit)
    }

    fn remove_below(&self, path: &Path, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        for root in self.hierarchies()? {
            let dir = root.join(path);
            for inner in tree(&dir).into_iter().rev() {
                while let Err(error) = std::fs::remove_dir(&inner) {
                    let busy = error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error());
                    if !inner.exists() {
                        break;
                    }
                    if !busy || begun.elapsed() > limit {
                        return Err(error).at("remove the cgroup", &inner);
                    }
                    // The kernel lets go of a killed process a moment after its pid is gone.
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
        Ok(())
    }

    fn tracking(&self) -> Result<PathBuf> {
        let root = Path::new(ROOT);
        if self.version == Version::V2 {
            return Ok(root.join(&self.name));
        }
        let found = FOLLOWERS.iter().map(|name| root.join(name)).find(|dir| dir.is_dir());
        found.map(|dir| dir.join(&self.name)).ok_or_else(|| Error::MissingTool {
            tool: "a cgroup v1 controller".into(),
            hint: format!("mount one of {FOLLOWERS:?} below {ROOT}"),
        })
    }

    /// The roots of all trees there are.
    fn hierarchies(&self) -> Result<Vec<PathBuf>> {
        let root = PathBuf::from(ROOT);
        if self.version == Version::V2 {
            return Ok(vec![root]);
        }
        let mut roots = Vec::new();
        for item in std::fs::read_dir(&root).at("list", &root)? {
            let path = item.at("list", &root)?.path();
            if path.join("cgroup.procs").is_file() && !path.is_symlink() {
                roots.push(path);
            }
        }
        Ok(roots)
    }
}

fn processes_below(top: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    for dir in tree(top) {
        // A cgroup that went away in between has no processes.
        let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    found
}

fn kill_until_none(processes: impl Fn() -> Result<Vec<i32>>, limit: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        let pids = processes()?;
        if pids.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > limit {
            return Err(Error::Command {
                command: format!("kill -9 {pids:?}"),
                status: format!("still there after {limit:?}"),
                output: processes::describe(&pids),
            });
        }
        processes::kill_and_wait(&pids, Duration::from_secs(2));
    }
}

/// Gives every controller of `dir` to its children; one that the machine keeps to itself stays away.
fn hand_down(dir: &Path) {
    let controllers = std::fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = std::fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

fn copy_value(from: &Path, to: &Path) -> Result<()> {
    let value = std::fs::read_to_string(from).at("read", from)?;
    std::fs::write(to, value.trim()).at("write", to)
}

/// A directory and all below it, parents first.
fn tree(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = if top.is_dir() { vec![top.to_owned()] } else { Vec::new() };
    while let Some(dir) = waiting.pop() {
        if let Ok(items) = std::fs::read_dir(&dir) {
            waiting.extend(items.flatten().map(|item| item.path()).filter(|path| path.is_dir()));
        }
        found.push(dir);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tree_whose_root_has_controllers_is_v2() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("unified")).unwrap();
        std::fs::write(root.path().join("unified/cgroup.controllers"), "").unwrap();
        assert_eq!(Version::at(root.path()), Version::V1, "a hybrid machine");
        std::fs::write(root.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        assert_eq!(Version::at(root.path()), Version::V2);
    }

    #[test]
    fn a_tree_lists_parents_before_what_is_in_them() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::fs::write(root.path().join("a/cgroup.procs"), "").unwrap();
        let expected = ["", "a", "a/b"].map(|path| root.path().join(path));
        assert_eq!(tree(root.path()), expected.map(|path| path.components().collect::<PathBuf>()));
        assert!(tree(&root.path().join("gone")).is_empty());
    }
}
