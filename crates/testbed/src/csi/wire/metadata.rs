//! Which blocks of snapshots have data or changed: the SnapshotMetadata service, and that of its clients in a cluster.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetAllocated {
    #[prost(string, tag = "1")]
    pub(crate) snapshot_id: String,
    #[prost(int64, tag = "2")]
    pub(crate) starting_offset: i64,
    #[prost(int32, tag = "3")]
    pub(crate) max_results: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetDelta {
    #[prost(string, tag = "1")]
    pub(crate) base_id: String,
    #[prost(string, tag = "2")]
    pub(crate) target_id: String,
    #[prost(int64, tag = "3")]
    pub(crate) starting_offset: i64,
    #[prost(int32, tag = "4")]
    pub(crate) max_results: i32,
}

/// One of the answers to either request.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(int32, tag = "1")]
    pub(crate) block_type: i32,
    /// In bytes.
    #[prost(int64, tag = "2")]
    pub(crate) capacity: i64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) blocks: Vec<Block>,
}

/// A range of bytes.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Block {
    #[prost(int64, tag = "1")]
    pub(crate) offset: i64,
    #[prost(int64, tag = "2")]
    pub(crate) size: i64,
}

/// `snapshotmetadata.GetMetadataAllocatedRequest`: the same for clients, who name objects and show who they are.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClientAllocated {
    #[prost(string, tag = "1")]
    pub(crate) security_token: String,
    #[prost(string, tag = "2")]
    pub(crate) namespace: String,
    #[prost(string, tag = "3")]
    pub(crate) snapshot_name: String,
    #[prost(int64, tag = "4")]
    pub(crate) starting_offset: i64,
    #[prost(int32, tag = "5")]
    pub(crate) max_results: i32,
}

/// `snapshotmetadata.GetMetadataDeltaRequest`. The base is named by its handle: its object may be gone.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClientDelta {
    #[prost(string, tag = "1")]
    pub(crate) security_token: String,
    #[prost(string, tag = "2")]
    pub(crate) namespace: String,
    #[prost(string, tag = "3")]
    pub(crate) base_id: String,
    #[prost(string, tag = "4")]
    pub(crate) target_name: String,
    #[prost(int64, tag = "5")]
    pub(crate) starting_offset: i64,
    #[prost(int32, tag = "6")]
    pub(crate) max_results: i32,
}
