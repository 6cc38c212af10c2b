//! A CSI driver of our own, for what needs snapshots: none of the public ones can be had as a program here.
//!
//! The driver is a process of the host, not a pod, and registers itself with the kubelet. All it keeps is in one btrfs
//! in one file on a loop device. Source of the rules: the Container Storage Interface specification, 1.13.
//!
//! Every node has a driver of its own; those of one site share a pool, and a file lock keeps them apart. The pool
//! pretends to be local disks with a common store for snapshots: a volume is at one node, which the claim's first pod
//! or, where none is waited for, the provisioner chooses; it can be made of any snapshot or volume of the site.
//! A StorageClass with the parameter [`SHARED`] makes volumes that every node reaches, as a network
//! file system does; nothing keeps pods of two nodes from having one at the same time.
//!
//! Volumes have one of two forms. A *tree* is a directory: a subvolume, which pods are shown as it is. An *image* is a
//! sparse file as large as the volume, on a loop device: pods are shown the device, or, of a claim with volume mode
//! Filesystem, the ext4 on it, which is made when such a volume is first shown and was never written to. Block volumes
//! are images, others are trees unless the StorageClass has the parameter `form: image`. A copy has the form of its
//! source, so that a volume made of a snapshot of an image can be of either mode.
//!
//! Beside the services of every driver it has those for group snapshots and, alpha in the specification, for the
//! metadata of snapshots of images: which blocks have data, and which changed since another. The latter it also
//! serves to clients in the cluster, at the first node for all of a site, see [`Clients`].
//!
//! A test can have drivers refuse RPCs, or break streams of metadata off, see [`Trouble`].
//!
//! A tree can be written to by pods of several nodes, where the volume is at several; an image by those of one. An
//! empty volume for readers only is refused, as by storage that would have nobody fill it.
//!
//! What holds:
//! - A snapshot of a tree is a snapshot of its subvolume. One of an image is taken while the file system on it is
//!   frozen and what was written to its device is flushed: it needs no repair, at most the replay of its journal by
//!   who looks at it as a device. Copies are writable, so a read-only one is mounted writable and shown read-only.
//! - A group snapshot is of one moment for images, raw devices that are written to included; any with a tree is refused,
//!   for no two subvolumes can be cut at once.
//! - Changed blocks are told from where the data of two snapshots is on the disk, so both have to exist. They are all
//!   that differ, and those to which the same bytes were written anew.
//! - Whoever froze a file system himself, as hooks do, finds it frozen afterwards.
//! - A volume is enlarged where it is shown, but for a mounted ext4 on a machine that withholds `CAP_SYS_RESOURCE`: that
//!   is refused with `FAILED_PRECONDITION`, as by a driver that expands offline.
//! - A driver that is killed while it holds file systems still leaves them so, and who writes to them waits: the next
//!   driver on the pool lets go of them, and so does taking a site down.

mod alone;
mod btrfs;
mod catalogue;
mod changes;
mod clients;
mod content;
mod cut;
mod disk;
mod driver;
mod groups;
mod identity;
mod image;
mod metadata;
mod node;
mod page;
mod pool;
mod request;
mod rpc;
mod serve;
mod snapshots;
#[cfg(test)]
mod trial;
mod trouble;
mod volumes;
mod wire;

pub use alone::Alone;
pub use clients::Clients;
pub use disk::Disk;
pub use serve::{Options, registration_socket, run};
pub use trouble::Trouble;

/// The segment of a node in CSI topology.
pub(crate) const TOPOLOGY: &str = "testbed.holdfast.dev/csi-node";

/// Parameter of a StorageClass, `"true"` for volumes without a node of their own.
pub(crate) const SHARED: &str = "shared";

/// Parameter of a StorageClass that chooses how the pool keeps a volume.
pub(crate) const FORM: &str = "form";

/// Value of [`FORM`] for volumes that are images of disks, mounted or not.
pub(crate) const IMAGE: &str = "image";
