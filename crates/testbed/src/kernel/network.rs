//! The bridge that all sites share, and the network namespace and cable of one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dirs;
use crate::error::{Error, Result};
use crate::lock::FileLock;
use crate::tool;

/// The bridge on the host. Addresses are of 198.18.0.0/15, which RFC 2544 keeps for testing.
const BRIDGE: &str = "hf0";

/// The host's own address on the bridge: servers for all sites listen here.
pub const HOST_ADDRESS: &str = "198.18.0.1";

/// The last number of [`HOST_ADDRESS`].
const HOST_NUMBER: u16 = 1;

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

    /// Makes the namespace and plugs it into the bridge.
    pub(crate) fn create(&self) -> Result<()> {
        ensure_bridge()?;
        let (namespace, cable, address) = (self.namespace(), self.cable(), self.address());
        let hardware = hardware_address(self.host_number());
        ip(&format!("netns add {namespace}"))?;
        ip(&format!("link add {cable} type veth peer name eth0 address {hardware} netns {namespace}"))?;
        ip(&format!("link set {cable} master {BRIDGE} up"))?;
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

    /// Loses every packet that crosses the site's edge, silently, or stops doing so.
    pub(crate) fn blackhole(&self, on: bool) -> Result<()> {
        if !on {
            let deleted = self.run(&["nft", "delete", "table", "inet", "holdfast_partition"]);
            return match deleted {
                Err(Error::Command { output, .. }) if output.contains("No such file") => Ok(()),
                other => other.map(drop),
            };
        }
        let rules = "table inet holdfast_partition {
            chain in { type filter hook prerouting priority -400; iifname eth0 drop; }
            chain out { type filter hook postrouting priority 400; oifname eth0 drop; }
        }";
        self.run(&["nft", rules]).map(drop)
    }

    /// Removes cable and namespace, if they are there.
    pub(crate) fn remove(&self) -> Result<()> {
        if Path::new("/sys/class/net").join(self.cable()).exists() {
            ip(&format!("link del {}", self.cable()))?;
        }
        if self.path().exists() {
            ip(&format!("netns del {}", self.namespace()))?;
        }
        Ok(())
    }
}

/// Makes the bridge if it is not there.
pub(crate) fn ensure_bridge() -> Result<()> {
    let _held = FileLock::wait(&dirs::network_lock())?;
    if !bridge_exists() {
        ip(&format!("link add {BRIDGE} address {} type bridge", hardware_address(HOST_NUMBER)))?;
        ip(&format!("addr add {HOST_ADDRESS}/24 dev {BRIDGE}"))?;
        ip(&format!("link set {BRIDGE} up"))?;
    }
    Ok(())
}

/// Removes the bridge if `unused` says that nobody needs it; asked under the lock that makers take.
pub(crate) fn remove_bridge_if(unused: impl FnOnce() -> bool) -> Result<()> {
    let _held = FileLock::wait(&dirs::network_lock())?;
    let ports = Path::new("/sys/class/net").join(BRIDGE).join("brif");
    let plugged = std::fs::read_dir(ports).is_ok_and(|mut ports| ports.next().is_some());
    if bridge_exists() && !plugged && unused() {
        ip(&format!("link del {BRIDGE}"))?;
    }
    Ok(())
}

/// The hardware address that goes with `198.18.0.<number>`: locally administered, the rest spells the other.
///
/// A random one would differ for the next owner of a slot, while the host and all sites believe for up to 45 s that
/// the address is still at the old one (`base_reachable_time` in arp(7), times 1.5): the next owner hears nothing.
fn hardware_address(number: u16) -> String {
    format!("02:00:c6:12:00:{number:02x}")
}

fn bridge_exists() -> bool {
    Path::new("/sys/class/net").join(BRIDGE).exists()
}

fn ip(words: &str) -> Result<String> {
    tool::run("ip", &words.split(' ').collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use crate::dirs::Cache;
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
        neighbour.record().network().create().unwrap();
        for _ in 0..3 {
            network.create().unwrap();
            assert_eq!(knock(&network.address()), ErrorKind::ConnectionRefused);
            network.remove().unwrap();
        }
        slot.end().unwrap();
        neighbour.end().unwrap();
    }
}
