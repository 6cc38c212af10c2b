//! Scenarios on real clusters, run through the program as a user runs it.
//!
//! Two sites and an S3 server are shared by the scenarios of one run; each takes its own namespaces,
//! home and bucket. Scenarios that destroy something start their own. What explains a failure (the
//! program's output, the objects' state) is left in `target/scenarios/<name>`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod access;
mod blocks;
mod clouds;
mod driver;
mod files;
mod groups;
mod keys;
mod killed;
mod line;
mod locations;
mod memory;
mod nodes;
mod plan;
mod postgres;
mod program;
mod shop;
mod snapshots;
mod stand;
mod standby;
mod storage;
mod trouble;
mod walk;
