//! Container images made here, because no registry is asked: OCI archives that `ctr image import` takes.

mod archive;
mod layer;
mod postgres;
mod program;
mod servers;

pub use archive::{Image, ImageConfig};
pub use layer::Layer;
pub use postgres::postgres;
pub use program::archive_of_binary;
pub use servers::{busybox, coredns, pause};

/// The name under which nodes pin the sandbox image.
pub(crate) const PAUSE: &str = "testbed.local/pause:1";

/// CoreDNS, for the Deployment in each site.
pub(crate) const COREDNS: &str = "testbed.local/coredns:1";

/// A shell with busybox's programs.
pub const BUSYBOX: &str = "testbed.local/busybox:1";

/// PostgreSQL 15 of Debian, run as user 999 with its data in `/data/pg`.
pub const POSTGRES: &str = "testbed.local/postgres:15";
