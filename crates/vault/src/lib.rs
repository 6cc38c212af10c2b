//! Recovery points in object storage.
//!
//! A [`Vault`] is a place in a [`Store`]; for each tenant it keeps one restic v2 [`Repository`] per
//! application and a sealed catalogue. A [`Writer`] stores files, trees and snapshots, a [`Reader`]
//! finds and fetches them; stock restic checks and restores what is written here. The format is
//! described in `docs/format.md`. This crate knows nothing of Kubernetes.

mod check;
mod chunk;
mod clock;
mod compress;
mod crypto;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod host;
mod id;
mod index;
mod lock;
mod pack;
mod read;
mod repository;
mod snapshot;
mod store;
mod tree;
mod vault;
mod write;

pub use check::{CheckOptions, CheckProgress, CheckReport, Finding};
pub use clock::Clock;
pub use error::{Error, Result};
pub use id::{BlobId, BlobKind, FileId, IndexId, InvalidId, PackId, SnapshotId};
pub use index::{IndexSource, Position};
pub use read::{FetchReport, Reader};
pub use repository::{CreateOptions, KeyCost, LockPolicy, OpenOptions, Repository, RepositoryPassword};
pub use snapshot::{Snapshot, SnapshotSummary};
pub use store::{Claim, Credentials, Listed, RetryPolicy, Store, StoreOptions, StoreStats};
pub use tree::{ExtendedAttribute, Mode, Node, NodeKind, Tree};
pub use vault::{Entry, Features, RootKey, Tenant, Vault, VaultInit};
pub use write::{FileContent, FileWriter, WriteStats, Writer, WriterOptions};
