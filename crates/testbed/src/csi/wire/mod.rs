//! Messages of CSI 1.13, of the kubelet's plugin registration and of clients, as far as they are used here.
//!
//! Numbers and types are those of the specification's protobuf. A `oneof` is written as its alternatives side by side
//! and an enum as its number: both are the same on the wire. Fields that are not listed are skipped when read.

mod group;
mod metadata;
mod node;
mod plugin;
mod snapshot;
mod volume;

pub(super) use group::*;
pub(super) use metadata::*;
pub(super) use node::*;
pub(super) use plugin::*;
pub(super) use snapshot::*;
pub(super) use volume::*;

/// A message without fields that are read.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Empty {}

/// A capability of any of the services: the number of an RPC.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Rpc {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
}

/// One entry of [`ServiceCapabilities`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServiceCapability {
    #[prost(message, optional, tag = "1")]
    pub(crate) rpc: Option<Rpc>,
}

/// The answer to the questions for capabilities of the services, which look alike.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServiceCapabilities {
    #[prost(message, repeated, tag = "1")]
    pub(crate) capabilities: Vec<ServiceCapability>,
}

impl ServiceCapabilities {
    pub(crate) fn of(kinds: &[i32]) -> Self {
        let capability = |kind: &i32| ServiceCapability { rpc: Some(Rpc { kind: *kind }) };
        Self { capabilities: kinds.iter().map(capability).collect() }
    }
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}
