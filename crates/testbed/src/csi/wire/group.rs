//! Group snapshots as the GroupController service sees them.

use std::collections::BTreeMap;

use prost::Message;

use super::{Snapshot, Timestamp};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreateGroup {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) volume_ids: Vec<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) parameters: BTreeMap<String, String>,
}

/// A request that names a group snapshot and all that are in it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GroupById {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) snapshot_ids: Vec<String>,
}

/// The answer to `CreateVolumeGroupSnapshot` and `GetVolumeGroupSnapshot`, which look alike.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DescribedGroup {
    #[prost(message, optional, tag = "1")]
    pub(crate) group: Option<Group>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Group {
    #[prost(string, tag = "1")]
    pub(crate) group_id: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) snapshots: Vec<Snapshot>,
    #[prost(message, optional, tag = "3")]
    pub(crate) created: Option<Timestamp>,
    #[prost(bool, tag = "4")]
    pub(crate) ready: bool,
}
