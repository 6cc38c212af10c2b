//! The program as a user runs it, against vaults in directories: no cluster, no network.

mod app;
mod home;
mod program;
mod shown;
mod usage;
mod vault;
