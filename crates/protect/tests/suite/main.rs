//! Backup and restore of objects, on real clusters.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod backup_hooks;
mod backup_objects;
mod point_formats;
mod restore;
mod support;
