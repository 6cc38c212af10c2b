//! Volumes as the Controller service sees them.

use std::collections::BTreeMap;

use prost::Message;

use super::Empty;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreateVolume {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) capacity: Option<CapacityRange>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) capabilities: Vec<VolumeCapability>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) parameters: BTreeMap<String, String>,
    #[prost(message, optional, tag = "6")]
    pub(crate) source: Option<ContentSource>,
    #[prost(message, optional, tag = "7")]
    pub(crate) accessibility: Option<TopologyRequirement>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreatedVolume {
    #[prost(message, optional, tag = "1")]
    pub(crate) volume: Option<Volume>,
}

/// Either a snapshot or a volume.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContentSource {
    #[prost(message, optional, tag = "1")]
    pub(crate) snapshot: Option<SourceId>,
    #[prost(message, optional, tag = "2")]
    pub(crate) volume: Option<SourceId>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SourceId {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}

/// How a volume is to be used: as a block device or mounted.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VolumeCapability {
    #[prost(message, optional, tag = "1")]
    pub(crate) block: Option<Empty>,
    #[prost(message, optional, tag = "2")]
    pub(crate) mount: Option<Empty>,
    #[prost(message, optional, tag = "3")]
    pub(crate) access_mode: Option<AccessMode>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AccessMode {
    #[prost(int32, tag = "1")]
    pub(crate) mode: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CapacityRange {
    #[prost(int64, tag = "1")]
    pub(crate) required_bytes: i64,
    #[prost(int64, tag = "2")]
    pub(crate) limit_bytes: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Volume {
    #[prost(int64, tag = "1")]
    pub(crate) capacity_bytes: i64,
    #[prost(string, tag = "2")]
    pub(crate) volume_id: String,
    #[prost(message, optional, tag = "4")]
    pub(crate) source: Option<ContentSource>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) topology: Vec<Topology>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TopologyRequirement {
    #[prost(message, repeated, tag = "1")]
    pub(crate) requisite: Vec<Topology>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Topology {
    #[prost(btree_map = "string, string", tag = "1")]
    pub(crate) segments: BTreeMap<String, String>,
}

/// A request that names a volume or a snapshot and nothing else.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ById {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValidateCapabilities {
    #[prost(string, tag = "1")]
    pub(crate) volume_id: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) capabilities: Vec<VolumeCapability>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValidatedCapabilities {
    #[prost(message, optional, tag = "1")]
    pub(crate) confirmed: Option<Confirmed>,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Confirmed {
    #[prost(message, repeated, tag = "2")]
    pub(crate) capabilities: Vec<VolumeCapability>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListVolumes {
    #[prost(int32, tag = "1")]
    pub(crate) max_entries: i32,
    #[prost(string, tag = "2")]
    pub(crate) starting_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VolumeList {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<CreatedVolume>,
    #[prost(string, tag = "2")]
    pub(crate) next_token: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Capacity {
    #[prost(int64, tag = "1")]
    pub(crate) available_bytes: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExpandVolume {
    #[prost(string, tag = "1")]
    pub(crate) volume_id: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) capacity: Option<CapacityRange>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExpandedVolume {
    #[prost(int64, tag = "1")]
    pub(crate) capacity_bytes: i64,
    #[prost(bool, tag = "2")]
    pub(crate) node_expansion_required: bool,
}
