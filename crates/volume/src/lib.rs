//! Bytes between a volume and a vault.
//!
//! [`files`] captures and restores one directory tree and knows neither Kubernetes nor pods.
//! [`mover`] is what runs in a pod beside one volume. [`jobs`] starts movers that capture the
//! volumes of claims, live or from [`snapshots`] of the storage, [`handover`] fills new claims and
//! hands them to an application, [`refill`] restores into the volumes of claims that it has.
//! [`system`] keeps the namespace that movers run in.
//!
//! Nothing here knows of plans, or of applications beyond the claims it is told of.

mod error;
pub mod files;
pub mod handover;
pub mod jobs;
mod manifest;
pub mod mover;
pub mod refill;
mod settings;
pub mod snapshots;
pub mod system;

pub use error::{Error, Result};
pub use settings::{MoverSettings, RepositoryAccess};
