//! Snapshots as the Controller service sees them.

use std::collections::BTreeMap;

use prost::Message;

use super::Timestamp;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreateSnapshot {
    #[prost(string, tag = "1")]
    pub(crate) volume_id: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) parameters: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreatedSnapshot {
    #[prost(message, optional, tag = "1")]
    pub(crate) snapshot: Option<Snapshot>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Snapshot {
    #[prost(int64, tag = "1")]
    pub(crate) size_bytes: i64,
    #[prost(string, tag = "2")]
    pub(crate) snapshot_id: String,
    #[prost(string, tag = "3")]
    pub(crate) volume_id: String,
    #[prost(message, optional, tag = "4")]
    pub(crate) created: Option<Timestamp>,
    #[prost(bool, tag = "5")]
    pub(crate) ready: bool,
    #[prost(string, tag = "6")]
    pub(crate) group_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListSnapshots {
    #[prost(int32, tag = "1")]
    pub(crate) max_entries: i32,
    #[prost(string, tag = "2")]
    pub(crate) starting_token: String,
    #[prost(string, tag = "3")]
    pub(crate) volume_id: String,
    #[prost(string, tag = "4")]
    pub(crate) snapshot_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotList {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<CreatedSnapshot>,
    #[prost(string, tag = "2")]
    pub(crate) next_token: String,
}
