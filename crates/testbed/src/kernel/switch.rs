//! The switch of a site with several nodes: they reach each other by it, and all else by its one uplink.

use std::path::Path;

use super::iproute::ip;
use crate::error::Result;

/// A bridge of one site, named by the slot of its first node.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    slot: u16,
}

impl Switch {
    pub(crate) fn of_slot(slot: u16) -> Self {
        Self { slot }
    }

    /// Name of the bridge that nodes are plugged into.
    pub(crate) fn name(&self) -> String {
        format!("hfs{}", self.slot)
    }

    /// The uplink's end at the bridge that all sites share.
    fn uplink(&self) -> String {
        format!("hfu{}", self.slot)
    }

    /// Makes it and plugs it into `bridge`.
    pub(crate) fn create(&self, bridge: &str) -> Result<()> {
        let (switch, uplink) = (self.name(), self.uplink());
        ip(&format!("link add {switch} up type bridge"))?;
        ip(&format!("link add {uplink} type veth peer name {uplink}s"))?;
        ip(&format!("link set {uplink}s master {switch} up"))?;
        ip(&format!("link set {uplink} master {bridge} up")).map(drop)
    }

    /// Takes the uplink out or puts it back. Nodes go on reaching each other.
    pub(crate) fn plug(&self, up: bool) -> Result<()> {
        ip(&format!("link set {} {}", self.uplink(), if up { "up" } else { "down" })).map(drop)
    }

    /// Removes it, if it is there.
    pub(crate) fn remove(&self) -> Result<()> {
        for name in [self.uplink(), self.name()] {
            if Path::new("/sys/class/net").join(&name).exists() {
                ip(&format!("link del {name}"))?;
            }
        }
        Ok(())
    }
}
