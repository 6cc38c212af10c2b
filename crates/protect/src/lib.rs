//! Application ↔ recovery point: capture, hooks, restore, and what a dead run left to be done.
//!
//! A [`backup`] reads an application from a cluster into its repository; its last act creates the
//! snapshot that holds `point.json`, and only with that does a [`point`] exist. A restore goes the
//! other way. Both report what happens to an [`progress::Observer`] and write what must survive
//! their death to a [`progress::Journal`] before they do it.

pub mod backup;
pub mod capture;
pub mod diff;
pub mod error;
pub mod exclusion;
pub mod hooks;
pub mod point;
pub mod progress;
pub mod rbac;
pub mod restore;
pub mod standby;
pub mod sweep;

pub use error::{Error, Result};
