//! A CSI driver of our own, for what needs snapshots: none of the public ones can be had as a program here.
//!
//! A volume is a btrfs subvolume and a snapshot a read-only one, all in one file on a loop device. A block volume is a
//! sparse file in its subvolume, on a loop device of its own. The driver is a process of the host, not a pod, and
//! registers itself with the kubelet. Source of the rules: the Container Storage Interface specification, 1.13.
//!
//! Every node has a driver of its own; those of one site share a pool, and a file lock keeps them apart. The pool
//! pretends to be local disks with a common store for snapshots: a volume is at one node, which the claim's first pod
//! or, where none is waited for, the provisioner chooses; it can be made of any snapshot or volume of the site.
//! A StorageClass with the parameter [`SHARED`] makes volumes that are at whatever node wants them, one at a time,
//! as from a storage network.

mod alone;
mod btrfs;
mod catalogue;
mod driver;
mod identity;
mod node;
mod page;
mod pool;
mod request;
mod rpc;
mod snapshots;
mod volumes;
mod wire;

pub use alone::Alone;
pub use driver::{Options, registration_socket, run};

/// The segment of a node in CSI topology.
pub(crate) const TOPOLOGY: &str = "testbed.holdfast.dev/csi-node";

/// Parameter of a StorageClass, `"true"` for volumes without a node of their own.
pub(crate) const SHARED: &str = "shared";

/// File of a block volume in its subvolume.
const DISK: &str = "disk.img";
