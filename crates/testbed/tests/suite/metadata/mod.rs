//! Messages of the snapshot metadata service for clients, as its definition has them.

use prost::Message;

/// `GetMetadataAllocatedRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct Allocated {
    #[prost(string, tag = "1")]
    pub security_token: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub snapshot_name: String,
    #[prost(int64, tag = "4")]
    pub starting_offset: i64,
    #[prost(int32, tag = "5")]
    pub max_results: i32,
}

/// `GetMetadataDeltaRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct Delta {
    #[prost(string, tag = "1")]
    pub security_token: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub base_snapshot_id: String,
    #[prost(string, tag = "4")]
    pub target_snapshot_name: String,
    #[prost(int64, tag = "5")]
    pub starting_offset: i64,
    #[prost(int32, tag = "6")]
    pub max_results: i32,
}

/// Either response.
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    #[prost(int32, tag = "1")]
    pub block_metadata_type: i32,
    #[prost(int64, tag = "2")]
    pub volume_capacity_bytes: i64,
    #[prost(message, repeated, tag = "3")]
    pub block_metadata: Vec<Block>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Block {
    #[prost(int64, tag = "1")]
    pub byte_offset: i64,
    #[prost(int64, tag = "2")]
    pub size_bytes: i64,
}
