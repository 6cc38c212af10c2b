//! The directory behind a volume: made open for every user, removed only when it is surely that volume's.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::PersistentVolume;

use super::claim::PROVISIONED_BY;
use super::{HOST_PATH, LOCAL};
use crate::error::{At, Result};

/// Whether a volume of ours was released and is to be deleted then.
pub(super) fn is_to_be_deleted(volume: &PersistentVolume) -> bool {
    let annotations = volume.metadata.annotations.as_ref();
    let by = annotations.and_then(|all| all.get(PROVISIONED_BY)).map(String::as_str);
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    matches!(by, Some(LOCAL | HOST_PATH))
        && phase == Some("Released")
        && policy == Some("Delete")
        && volume.metadata.deletion_timestamp.is_none()
}

/// The volume's directory if it is the one below `root` that is called as the volume; a volume that was edited to
/// point elsewhere has none.
pub(super) fn directory(volume: &PersistentVolume, root: &Path) -> Option<PathBuf> {
    let spec = volume.spec.as_ref()?;
    let local = spec.local.as_ref().map(|local| local.path.as_str());
    let path = local.or_else(|| spec.host_path.as_ref().map(|host| host.path.as_str()))?;
    let own = root.join(volume.metadata.name.as_deref()?);
    (Path::new(path) == own).then_some(own)
}

/// Makes a volume's directory, writable for whatever user a container runs as.
pub(super) fn create_directory(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).at("create", dir)?;
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(dir, open).at("open for all users", dir)
}

/// Removes a volume's directory, if it is still there.
pub(super) fn remove_directory(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", dir),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn volume(phase: &str, policy: &str, path: &str) -> PersistentVolume {
        serde_json::from_value(json!({
            "metadata": { "name": "pvc-1", "annotations": { PROVISIONED_BY: LOCAL } },
            "spec": { "persistentVolumeReclaimPolicy": policy, "local": { "path": path } },
            "status": { "phase": phase },
        }))
        .unwrap()
    }

    #[test]
    fn only_released_volumes_with_policy_delete_go() {
        assert!(is_to_be_deleted(&volume("Released", "Delete", "/v/pvc-1")));
        assert!(!is_to_be_deleted(&volume("Released", "Retain", "/v/pvc-1")));
        assert!(!is_to_be_deleted(&volume("Bound", "Delete", "/v/pvc-1")));
    }

    #[test]
    fn no_directory_but_its_own_is_ever_removed() {
        let root = Path::new("/v");
        assert_eq!(directory(&volume("Released", "Delete", "/v/pvc-1"), root), Some("/v/pvc-1".into()));
        for other in ["/v/pvc-2", "/v", "/etc", "/v/pvc-1/.."] {
            assert_eq!(directory(&volume("Released", "Delete", other), root), None);
        }
    }
}
