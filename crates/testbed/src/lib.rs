//! Real clusters on one small machine: what tests, benchmarks and the demo run against.
//!
//! Nothing here plays Kubernetes or S3, and for other clouds' storage the well-known stand-ins are used. The servers are built from their public modules, cached outside the source
//! tree, and started as ordinary processes; only machines are missing, and network namespaces stand in for them.
//!
//! ```text
//!   host: bridge hf0 198.18.0.1 ── S3 (VersityGW, MinIO) listens here, pods and host reach it
//!      │ cable hfv1                      │ cable hfv2
//!   ┌──┴── site a, netns hf-1 ────────┐  └── site b, netns hf-2 …
//!   │ 198.18.0.11                     │
//!   │ etcd ← kube-apiserver :6443     │      each site has, by its slot number n:
//!   │   ↑ controller-manager,         │        cgroup /hf-n        every process, so that all can be ended
//!   │   │ scheduler, provisioner,     │        netns hf-n          every address
//!   │   │ kwok (fake nodes)           │        /run/holdfast-testbed/n   sockets, containers' state
//!   │ kubelet → containerd → runc     │        <cache>/runs/<run>/<site> etcd, images, volumes, log/
//!   │ kube-proxy, CoreDNS, pods       │
//!   └─────────────────────────────────┘
//! ```
//!
//! ```no_run
//! # async fn test() -> holdfast_testbed::Result<()> {
//! let site = holdfast_testbed::Site::builder("a").node().start().await?;
//! site.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").await?;
//! site.stop().await
//! # }
//! ```
//!
//! [`SiteBuilder::nodes`] gives a site several real nodes, each with a slot of its own but for the first, which shares
//! the control plane's. They are plugged into a switch of the site, whose uplink goes to the bridge:
//!
//! ```text
//!   hf0 ── hfu1 ── switch hfs1 ┬── hfv1 ── netns hf-1: control plane, node 0, pods 10.21.0.0/20, zone a-0
//!                              └── hfv2 ── netns hf-2:                node 1, pods 10.21.16.0/20, zone a-1
//! ```
//!
//! A site is complete when `start` returns: nodes Ready, names resolve, the default StorageClass works, and, where
//! [`SiteBuilder::csi`] asked for it, storage with snapshots from a [driver](csi) of our own. It ends with
//! its value; if its process is killed, a [guard] ends it, and the next start sweeps what even a killed guard left.
//! Slots are taken by file lock, so any number of tests and a kept demo run beside each other.

mod client;
mod cloud;
mod component;
pub mod csi;
mod dirs;
mod error;
mod exchange;
pub mod fixtures;
pub mod guard;
pub mod host;
pub mod images;
mod kernel;
mod lease;
mod lock;
mod parts;
pub mod provision;
mod proxy;
mod record;
mod report;
mod s3;
mod server;
mod site;
mod sweep;
mod teardown;
mod tool;

pub use cloud::{Azure, Gcs};
pub use dirs::Cache;
pub use error::{Error, Result};
pub use kernel::bridge::HOST_ADDRESS;
pub use parts::{Built, KUBERNETES, Part};
pub use proxy::{FaultProxy, Faults};
pub use report::{Event, Reporter};
pub use s3::{Make, S3};
pub use site::{
    CSI_CLASS, CSI_IMAGE_CLASS, CSI_LATE_CLASS, CSI_PLAIN_CLASS, CSI_SECOND_CLASS, CSI_SHARED_CLASS,
    Partition, SNAPSHOT_CLASS, STORAGE_CLASS, Site, SiteBuilder, Times,
};
pub use sweep::{Running, down, list, sweep};
