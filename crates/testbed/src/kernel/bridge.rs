//! The bridge that all sites share, and the host at it.

use std::path::Path;

use super::iproute::ip;
use crate::dirs;
use crate::error::Result;
use crate::lock::FileLock;

/// The bridge on the host. Addresses are of 198.18.0.0/15, which RFC 2544 keeps for testing.
const BRIDGE: &str = "hf0";

/// The host's own address on the bridge: servers for all sites listen here.
pub const HOST_ADDRESS: &str = "198.18.0.1";

/// The last number of [`HOST_ADDRESS`].
const HOST_NUMBER: u16 = 1;

/// Makes the bridge if it is not there, and gives its name.
pub(crate) fn ensure() -> Result<&'static str> {
    let _held = FileLock::wait(&dirs::network_lock())?;
    if !exists() {
        ip(&format!("link add {BRIDGE} address {} type bridge", hardware_address(HOST_NUMBER)))?;
        ip(&format!("addr add {HOST_ADDRESS}/24 dev {BRIDGE}"))?;
        ip(&format!("link set {BRIDGE} up"))?;
    }
    Ok(BRIDGE)
}

/// Removes the bridge if `unused` says that nobody needs it; asked under the lock that makers take.
pub(crate) fn remove_if(unused: impl FnOnce() -> bool) -> Result<()> {
    let _held = FileLock::wait(&dirs::network_lock())?;
    let ports = Path::new("/sys/class/net").join(BRIDGE).join("brif");
    let plugged = std::fs::read_dir(ports).is_ok_and(|mut ports| ports.next().is_some());
    if exists() && !plugged && unused() {
        ip(&format!("link del {BRIDGE}"))?;
    }
    Ok(())
}

/// The hardware address that goes with `198.18.0.<number>`: locally administered, the rest spells the other.
///
/// A random one would differ for the next owner of a slot, while the host and all sites believe for up to 45 s that
/// the address is still at the old one (`base_reachable_time` in arp(7), times 1.5): the next owner hears nothing.
pub(super) fn hardware_address(number: u16) -> String {
    format!("02:00:c6:12:00:{number:02x}")
}

fn exists() -> bool {
    Path::new("/sys/class/net").join(BRIDGE).exists()
}
