//! Volumes into the vault and back, whatever is in them and whatever becomes of the run.

#![allow(
    clippy::single_range_in_vec_init,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod blocks;
mod blocks_vault;
mod hostile;
mod in_place;
mod interrupted;
mod oracle;
mod support;
mod volumes;
