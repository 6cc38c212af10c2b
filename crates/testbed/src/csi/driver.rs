//! The driver that all its functions belong to.

use std::path::PathBuf;

use super::catalogue::Catalogue;
use super::pool::Pool;

/// A driver of one node.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) name: String,
    pub(super) node: String,
    pub(super) socket: PathBuf,
    pub(super) snapshots: bool,
    pub(super) pool: Pool,
    pub(super) catalogue: Catalogue,
}
