//! Names and addresses of one node; all follow from its site, its number there and its slot.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::kernel::network::Network;
use crate::record::Record;
use crate::site::plan::Plan;

/// What the kernel takes as path of a unix socket, less what the kubelet and CSI drivers add to theirs.
const SOCKET_PATH_LIMIT: usize = 107 - 40;

/// Where a node's things are. The first node's are in the site's own slot and directory.
#[derive(Debug, Clone)]
pub(crate) struct NodePlan {
    pub(crate) site: Plan,
    pub(crate) number: u16,
    pub(crate) slot: u16,
    /// Everything the node keeps on disk.
    pub(crate) dir: PathBuf,
    /// Short paths for sockets, and what a machine has in memory only.
    pub(crate) runtime: PathBuf,
    pub(crate) address: String,
}

impl NodePlan {
    pub(crate) fn of(site: &Plan, record: &Record) -> Result<Self> {
        let plan = Self {
            site: site.clone(),
            number: record.node,
            slot: record.slot,
            dir: record.dir.clone(),
            runtime: record.runtime(),
            address: record.network().address(),
        };
        let length = plan.kubelet_root().as_os_str().len();
        if length > SOCKET_PATH_LIMIT {
            return Err(Error::PathTooLong { path: plan.kubelet_root(), length, limit: SOCKET_PATH_LIMIT });
        }
        Ok(plan)
    }

    pub(crate) fn name(&self) -> String {
        self.site.node(self.number)
    }

    /// `base` for the first node, and told apart by its number for any other.
    pub(crate) fn numbered(&self, base: &str) -> String {
        match self.number {
            0 => base.to_owned(),
            number => format!("{base}-{number}"),
        }
    }

    /// The user that its kubelet is, by whose name certificate and kubeconfig are found.
    pub(crate) fn user(&self) -> String {
        self.numbered("kubelet")
    }

    /// The availability zone of the node, one for each; a site with one node has none.
    pub(crate) fn zone(&self) -> Option<String> {
        self.site.has_several_nodes().then(|| format!("{}-{}", self.site.name, self.number))
    }

    pub(crate) fn pod_cidr(&self) -> String {
        self.site.node_pod_cidr(self.number)
    }

    pub(crate) fn network(&self) -> Network {
        Network::of_slot(self.slot)
    }

    pub(crate) fn kubelet_root(&self) -> PathBuf {
        kubelet_root(&self.dir)
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.runtime.join("containerd.sock")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.join("log")
    }
}

/// The root directory of the kubelet of the node whose directory is `node`.
pub(crate) fn kubelet_root(node: &Path) -> PathBuf {
    node.join("kubelet")
}
