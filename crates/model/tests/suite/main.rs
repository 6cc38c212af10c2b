//! What the model makes of manifests: fixtures, and properties of all that can be generated.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod restore_fixtures;
mod restore_properties;
