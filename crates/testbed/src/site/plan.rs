//! Names and addresses of one site; all follow from its name and its slot.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::record::Record;

/// How many real nodes a site can have: what kwok nodes leave of its pods' addresses, in parts for 4,096 pods.
pub(crate) const NODES: u16 = 8;

/// Where a site's things are.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) slot: u16,
    /// Everything the site keeps on disk.
    pub(crate) dir: PathBuf,
    /// Address of the first node and the API server.
    pub(crate) address: String,
    /// How many real nodes there are.
    pub(crate) nodes: u16,
}

impl Plan {
    pub(crate) fn of(record: &Record, nodes: u16) -> Self {
        Self {
            name: record.name.clone(),
            slot: record.slot,
            dir: record.dir.clone(),
            address: record.network().address(),
            nodes,
        }
    }

    pub(crate) fn has_several_nodes(&self) -> bool {
        self.nodes > 1
    }

    /// Name of a real node.
    pub(crate) fn node(&self, number: u16) -> String {
        match number {
            0 => format!("{}-node", self.name),
            number => format!("{}-node-{number}", self.name),
        }
    }

    pub(crate) fn api_url(&self) -> String {
        format!("https://{}:6443", self.address)
    }

    /// All pods, real and kwok's.
    pub(crate) fn pod_cidr(&self) -> String {
        format!("10.{}.0.0/16", 20 + self.slot)
    }

    /// Pods of one real node.
    pub(crate) fn node_pod_cidr(&self, number: u16) -> String {
        format!("10.{}.{}.0/20", 20 + self.slot, 16 * number)
    }

    /// Pods of kwok nodes, which no packet reaches.
    pub(crate) fn kwok_pod_cidr(&self) -> String {
        format!("10.{}.128.1/17", 20 + self.slot)
    }

    pub(crate) fn service_cidr(&self) -> String {
        format!("10.{}.0.0/16", 120 + self.slot)
    }

    /// The `kubernetes` Service.
    pub(crate) fn service_api(&self) -> String {
        format!("10.{}.0.1", 120 + self.slot)
    }

    /// The `kube-dns` Service.
    pub(crate) fn service_dns(&self) -> String {
        format!("10.{}.0.10", 120 + self.slot)
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.dir.join("pki").join(file)
    }

    /// Credentials of one user, `admin` being the one for people.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir.join(format!("{user}.kubeconfig"))
    }

    /// Directories of provisioned volumes.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.dir.join("volumes")
    }
}

/// Checks that a name can be part of Kubernetes names and file names.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let letters = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    let fits = letters && first && name.len() <= 20 && !name.ends_with('-');
    if fits { Ok(()) } else { Err(Error::BadName { name: name.into() }) }
}

/// A path as text; ours are made of the cache's directory and names of ASCII.
pub(crate) fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pod_of_a_real_node_has_an_address_of_kwok() {
        let plan = Plan {
            name: "a".into(),
            slot: 1,
            dir: "/x/a".into(),
            address: "198.18.0.11".into(),
            nodes: NODES,
        };
        assert_eq!(plan.node_pod_cidr(0), "10.21.0.0/20");
        assert_eq!(plan.node_pod_cidr(NODES - 1), "10.21.112.0/20");
        assert_eq!(plan.kwok_pod_cidr(), "10.21.128.1/17");
    }

    #[test]
    fn names_are_what_kubernetes_takes() {
        assert!(check_name("site-a2").is_ok());
        for bad in ["", "A", "2a", "a_b", "a-", "a/b", "a2345678901234567890x"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
