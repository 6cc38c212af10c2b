//! What a site takes from the kernel, each by a name that follows from its slot.

pub(crate) mod cgroup;
pub(crate) mod extents;
pub(crate) mod freeze;
pub(crate) mod loops;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod processes;
