//! Restores on real clusters: two sites, whose pods kwok plays, and a repository in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod elsewhere;
mod existing;
#[path = "../support/files.rs"]
mod files;
mod hostile;
mod namespaces;
mod plan;
mod ports;
mod scale;
mod support;
mod terms;
