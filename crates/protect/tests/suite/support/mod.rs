//! What several tests use.

pub mod backup;
pub mod files;
