//! Bytes between a volume and a vault.
//!
//! [`files`] captures and restores one directory tree, [`blocks`] one block device; neither knows
//! Kubernetes or pods.
//! [`mover`] is what runs in a pod beside one volume. [`jobs`] starts movers that capture the
//! volumes of claims, live or from [`snapshots`] of the storage, [`handover`] fills new claims and hands
//! them to an application, [`refill`] restores into the volumes of claims that it has, [`standby`] keeps
//! volumes at another site as the points of an application come. [`system`] keeps the namespace that
//! movers run in.
//!
//! Nothing here knows of plans, or of applications beyond the claims it is told of.

mod access;
pub mod blocks;
mod error;
pub mod files;
mod findings;
pub mod handover;
pub mod jobs;
mod manifest;
pub mod mover;
mod progress;
pub mod refill;
mod restored;
mod root;
mod settings;
pub mod snapshots;
mod sparse;
pub mod standby;
pub mod system;

pub use error::{Error, Result};
pub use settings::{MoverSettings, RepositoryAccess};
