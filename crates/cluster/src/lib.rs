//! One Kubernetes cluster: connect, discover, list and watch raw JSON, write, wait, exec.
//!
//! Objects pass through as the bytes the API server sent ([`RawObject`]); nothing is turned into
//! typed structs that would drop the fields they do not know. All calls go through one
//! [`Cluster`], which bounds how many are under way, backs off when the server is overloaded, and
//! repeats what may be repeated. Errors name the call, the cluster, the server's words, and what
//! to do ([`Error`]).
//!
//! This room knows nothing of vaults, points or plans.

mod access;
mod call;
mod client;
mod cluster;
mod connect;
mod discovery;
mod discovery_plain;
mod error;
mod exec;
mod exec_channels;
mod facts;
mod failure;
pub mod kinds;
mod kubeconfig;
mod lease;
mod limiter;
mod list;
mod login;
mod logs;
mod object;
mod path;
mod read;
mod refusal;
mod retry;
mod server_clock;
mod settings;
mod state;
mod token;
mod transport;
mod wait;
mod warning;
mod watch;
mod write;

pub use call::{Call, Target};
pub use cluster::Cluster;
pub use discovery::{Discovery, Resource, StaleGroup};
pub use error::{Error, Result};
pub use exec::{Exec, ExecInput, ExecOutput, ExecResult, ExecSession};
pub use facts::{Facts, Node, StorageClass, Unknown, Version};
pub use kubeconfig::{Connect, contexts};
pub use lease::{KeptLease, Lease, LeaseRequest};
pub use list::{ListEvent, ListOptions};
pub use logs::LogOptions;
pub use object::{Metadata, Owner, RawObject};
pub use refusal::{Reason, Refusal};
pub use settings::Settings;
pub use state::describe;
pub use watch::Change;
pub use write::{Created, Delete, Deleted, Propagation, Stored, Write};
