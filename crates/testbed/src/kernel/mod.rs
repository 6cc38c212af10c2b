//! What a site takes from the kernel, each by a name that follows from its slot.

pub(crate) mod bridge;
pub(crate) mod cgroup;
pub(crate) mod extents;
pub(crate) mod freeze;
mod iproute;
pub(crate) mod loops;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod processes;
pub(crate) mod switch;
