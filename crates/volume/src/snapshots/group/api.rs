//! The API of group snapshots, at the version that a cluster serves, and who takes them there.

use holdfast_cluster::{Cluster, ListOptions, RawObject, kinds};
use holdfast_model::ResourceType;

use crate::error::Result;

const GROUP: &str = "groupsnapshot.storage.k8s.io";
/// Versions that are understood, the best first. They differ in how members are listed.
const VERSIONS: [&str; 3] = ["v1", "v1beta2", "v1beta1"];

/// The API at one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupApi {
    version: &'static str,
}

impl GroupApi {
    #[cfg(test)]
    pub(in crate::snapshots) fn newest() -> Self {
        Self { version: VERSIONS[0] }
    }

    /// The API that a cluster serves, with its VolumeGroupSnapshotClasses. `None` if it serves none, or if
    /// we may not see them.
    ///
    /// # Errors
    /// The cluster cannot be reached.
    pub(crate) async fn find(cluster: &Cluster) -> Result<Option<(Self, Vec<RawObject>)>> {
        for version in VERSIONS {
            let api = Self { version };
            match cluster.list_all(&api.classes(), ListOptions::default()).await {
                Ok(classes) => return Ok(Some((api, classes))),
                Err(error) if error.is_not_found() => {}
                Err(error) if error.is_forbidden() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// `VolumeGroupSnapshot`.
    pub(super) fn groups(self) -> ResourceType {
        kinds::resource(GROUP, self.version, "VolumeGroupSnapshot", "volumegroupsnapshots", true)
    }

    /// `VolumeGroupSnapshotContent`.
    pub(super) fn contents(self) -> ResourceType {
        let (kind, plural) = ("VolumeGroupSnapshotContent", "volumegroupsnapshotcontents");
        kinds::resource(GROUP, self.version, kind, plural, false)
    }

    fn classes(self) -> ResourceType {
        let (kind, plural) = ("VolumeGroupSnapshotClass", "volumegroupsnapshotclasses");
        kinds::resource(GROUP, self.version, kind, plural, false)
    }

    /// `apiVersion` of its objects.
    pub(super) fn api_version(self) -> String {
        format!("{GROUP}/{}", self.version)
    }
}
