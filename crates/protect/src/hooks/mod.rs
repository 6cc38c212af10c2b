//! Hooks: what is run in an application's containers around a capture.
//!
//! A `pre` hook that fails stops the backup. Before the first `pre` or `hold` runs, every `post`
//! hook is written down as owed, in the cluster and in the journal; it is struck off only when it
//! has run. A [`Sessions`] holds the sessions that stay open during the capture.

mod exec;
mod hold;
mod place;

pub(crate) use exec::run_restored;
pub use exec::{Released, release, run_pre};
pub use hold::Sessions;
pub use place::{Place, owed, place_of};
