//! The network namespace of one slot, its cable and its address.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::bridge::{self, HOST_ADDRESS};
use super::iproute::ip;
use crate::error::{Error, Result};
use crate::tool;

/// The table of rules that cut a slot off.
const BLACKHOLE: &str = "holdfast_partition";

/// Not for one receiver, so not to be masqueraded.
const MULTICAST: &str = "224.0.0.0/4";

/// Network namespace, cable and address of one slot.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    slot: u16,
}

impl Network {
    pub(crate) fn of_slot(slot: u16) -> Self {
        Self { slot }
    }

    /// Name of the namespace, and of nothing else.
    pub(crate) fn namespace(&self) -> String {
        format!("hf-{}", self.slot)
    }

    /// The file to enter the namespace by.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(self.namespace())
    }

    /// The cable's end on the host.
    pub(crate) fn cable(&self) -> String {
        format!("hfv{}", self.slot)
    }

    /// The only address of the slot on the bridge.
    pub(crate) fn address(&self) -> String {
        format!("198.18.0.{}", self.host_number())
    }

    fn host_number(&self) -> u16 {
        10 + self.slot
    }

    /// Makes the namespace and plugs it into `bridge`.
    pub(crate) fn create(&self, bridge: &str) -> Result<()> {
        let (namespace, cable, address) = (self.namespace(), self.cable(), self.address());
        let hardware = bridge::hardware_address(self.host_number());
        ip(&format!("netns add {namespace}"))?;
        ip(&format!("link add {cable} type veth peer name eth0 address {hardware} netns {namespace}"))?;
        ip(&format!("link set {cable} master {bridge} up"))?;
        ip(&format!("-n {namespace} addr add {address}/24 dev eth0"))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
        ip(&format!("-n {namespace} link set lo up"))?;
        ip(&format!("-n {namespace} route add default via {HOST_ADDRESS}"))?;
        let settings =
            "echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet";
        self.run(&["sh", "-c", settings]).map(drop)
    }

    /// A command that runs in the namespace, with the host's file system and mounts.
    ///
    /// `ip netns exec` would mount a sysfs of its own, in which the kubelet finds no cgroups.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Runs a program in the namespace to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = self.command(words[0]);
        tool::output(command.args(&words[1..]))
    }

    /// Takes the cable out or puts it back.
    pub(crate) fn plug(&self, up: bool) -> Result<()> {
        ip(&format!("link set {} {}", self.cable(), if up { "up" } else { "down" })).map(drop)
    }

    /// Loses every packet that crosses the edge of the slot, silently, but for those from and to `inside`.
    pub(crate) fn blackhole(&self, inside: &[String]) -> Result<()> {
        let exception = |field: &str| match inside {
            [] => String::new(),
            inside => format!("ip {field} {{ {} }} accept;", inside.join(", ")),
        };
        self.clear()?;
        let rules = format!(
            "table inet {BLACKHOLE} {{
                chain in {{
                    type filter hook prerouting priority -400;
                    iifname != eth0 accept; {} drop;
                }}
                chain out {{
                    type filter hook postrouting priority 400;
                    oifname != eth0 accept; {} drop;
                }}
            }}",
            exception("saddr"),
            exception("daddr"),
        );
        self.run(&["nft", &rules]).map(drop)
    }

    /// Ends [`Self::blackhole`].
    pub(crate) fn clear(&self) -> Result<()> {
        match self.run(&["nft", "delete", "table", "inet", BLACKHOLE]) {
            Err(Error::Command { output, .. }) if output.contains("No such file") => Ok(()),
            other => other.map(drop),
        }
    }

    /// Gives what pods of `range` send beyond `site`, which holds the pods of all nodes, the slot's address.
    ///
    /// Between pods addresses stay as they are, also from node to node.
    pub(crate) fn masquerade(&self, range: &str, site: &str) -> Result<()> {
        let rules = format!(
            "table ip holdfast_pods {{
                chain out {{
                    type nat hook postrouting priority srcnat;
                    ip saddr {range} ip daddr != {{ {site}, {MULTICAST} }} masquerade;
                }}
            }}"
        );
        self.run(&["nft", &rules]).map(drop)
    }

    /// Sends packets for the addresses of `range` to the slot whose address is `via`.
    pub(crate) fn route(&self, range: &str, via: &str) -> Result<()> {
        ip(&format!("-n {} route add {range} via {via}", self.namespace())).map(drop)
    }

    /// Has the host send packets for the addresses of `range` to this slot.
    pub(crate) fn route_from_host(&self, range: &str) -> Result<()> {
        ip(&format!("route add {range} via {}", self.address())).map(drop)
    }

    /// Removes cable, namespace and the host's routes, if they are there.
    pub(crate) fn remove(&self) -> Result<()> {
        ip(&format!("route flush via {}", self.address()))?;
        if Path::new("/sys/class/net").join(self.cable()).exists() {
            ip(&format!("link del {}", self.cable()))?;
        }
        if self.path().exists() {
            ip(&format!("netns del {}", self.namespace()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use crate::dirs::Cache;
    use crate::kernel::bridge;
    use crate::lease::Lease;

    /// Nobody listens there: a refusal comes from the slot's end of the cable, silence from nowhere.
    fn knock(address: &str) -> ErrorKind {
        let address: SocketAddr = format!("{address}:6443").parse().unwrap();
        TcpStream::connect_timeout(&address, Duration::from_secs(2)).unwrap_err().kind()
    }

    #[test]
    fn the_next_owner_of_a_slot_is_heard_at_once() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        // While it is plugged in the bridge stays up, and what the host knows about neighbours stays too.
        let (neighbour, slot) = (Lease::take("x", &cache).unwrap(), Lease::take("y", &cache).unwrap());
        let network = slot.record().network();
        let bridge = bridge::ensure().unwrap();
        neighbour.record().network().create(bridge).unwrap();
        for _ in 0..3 {
            network.create(bridge).unwrap();
            assert_eq!(knock(&network.address()), ErrorKind::ConnectionRefused);
            network.remove().unwrap();
        }
        slot.end().unwrap();
        neighbour.end().unwrap();
    }
}
