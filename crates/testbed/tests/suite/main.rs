//! What the testbed promises to tests that build on it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod csi;
mod csi_images;
mod csi_metadata;
mod csi_sanity;
mod grpc;
mod leftovers;
mod metadata;
mod nodes;
mod s3;
mod site;
mod storage;
mod two_sites;
