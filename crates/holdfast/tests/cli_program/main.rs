//! The program as a user runs it, against vaults in directories: no cluster, no network.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod app;
mod home;
mod program;
mod shown;
mod usage;
mod vault;
