//! The vault against stock restic, damage, and object stores.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod clouds;
mod compatibility;
mod damage;
mod golden;
mod locks;
mod support;
