//! The ways to a cluster, against a real API server and against one made to fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod containers;
mod credentials;
mod faults;
mod objects;
mod outages;
mod support;
