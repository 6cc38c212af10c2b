//! How consistent the volumes of a point are: what can be reached, and what was.
//!
//! A volume is `application` if a hook covers it: a hold session in a pod that mounts it (or that
//! names it among its late paths), or a pre and a post hook with the same target in such a pod,
//! which is how an application is told to stop writing and to go on. A volume that nobody has
//! mounted does not change while it is read, and is as its last user left it: `crash`. The files of
//! a running pod without such a hook are `live`.

use std::collections::BTreeSet;

use holdfast_cluster::Cluster;
use holdfast_model::Consistency;
use holdfast_model::hook::{HookTarget, Hooks};
use holdfast_model::point::{CaptureMethod, VolumeCapture};

use crate::capture::Claim;
use crate::error::{ConsistencyName, Error, Result};
use crate::hooks::place_of;

/// Claims that hooks cover, as `(namespace, name)`.
#[derive(Debug, Default)]
pub(super) struct Covered(BTreeSet<(String, String)>);

impl Covered {
    /// Finds the pods of the hooks and what they mount.
    pub(super) async fn find(cluster: &Cluster, hooks: &Hooks, namespaces: &[&str]) -> Result<Self> {
        let mut covered = Self::default();
        for hook in &hooks.hold {
            if let Some(place) = place_of(cluster, &hook.target, namespaces).await? {
                let late = hook.late.iter().map(|late| late.claim.clone());
                covered.add(&place.namespace, place.claims.into_iter().chain(late));
            }
        }
        for target in paired(hooks) {
            if let Some(place) = place_of(cluster, target, namespaces).await? {
                covered.add(&place.namespace, place.claims.into_iter());
            }
        }
        Ok(covered)
    }

    fn add(&mut self, namespace: &str, claims: impl Iterator<Item = String>) {
        self.0.extend(claims.map(|claim| (namespace.to_owned(), claim)));
    }

    /// Whether a hook covers the claim.
    fn has(&self, namespace: &str, claim: &str) -> bool {
        self.0.contains(&(namespace.to_owned(), claim.to_owned()))
    }

    /// What a volume that was read in this way is.
    pub(super) fn consistency(&self, namespace: &str, claim: &str, method: CaptureMethod) -> Consistency {
        match method {
            _ if self.has(namespace, claim) => Consistency::Application,
            CaptureMethod::HeldFiles | CaptureMethod::Snapshot => Consistency::Crash,
            CaptureMethod::LiveFiles | CaptureMethod::HostPath => Consistency::Live,
        }
    }

    /// What the volumes of a point are together: as the least consistent of them. Snapshots that the
    /// storage took as one fit together, as does one alone; without any volume nothing can be torn.
    pub(super) fn of_point(&self, volumes: &[VolumeCapture]) -> Consistency {
        let each = volumes.iter().map(|of| self.consistency(&of.namespace, &of.claim, of.method));
        match each.min() {
            None => Consistency::Application,
            Some(Consistency::Crash) if are_one(volumes) => Consistency::Group,
            Some(least) => least,
        }
    }
}

/// Whether all volumes were cut at one moment.
fn are_one(volumes: &[VolumeCapture]) -> bool {
    // Two drivers may call their groups the same.
    let group = |volume: &VolumeCapture| {
        let cut = volume.cut.as_ref()?;
        Some((cut.driver.clone(), cut.group.clone()?))
    };
    match volumes {
        [one] => one.cut.is_some(),
        [first, ..] => {
            let of_first = group(first);
            of_first.is_some() && volumes.iter().all(|volume| group(volume) == of_first)
        }
        [] => true,
    }
}

/// Targets that have a pre hook as well as a post hook.
fn paired(hooks: &Hooks) -> impl Iterator<Item = &HookTarget> {
    let resumed = |target: &HookTarget| hooks.post.iter().any(|hook| hook.target == *target);
    hooks.pre.iter().map(|hook| &hook.target).filter(move |target| resumed(target))
}

/// How claims will be read, as far as that decides their consistency.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Those that running pods have mounted.
    pub(super) mounted: BTreeSet<(String, String)>,
    /// Those whose storage takes a snapshot of them.
    pub(super) snapshots: BTreeSet<(String, String)>,
    /// All of these are cut at one moment.
    pub(super) together: bool,
}

impl Ways {
    fn method(&self, claim: &Claim) -> CaptureMethod {
        let name = (claim.namespace.clone(), claim.name.clone());
        match () {
            () if self.snapshots.contains(&name) => CaptureMethod::Snapshot,
            () if self.mounted.contains(&name) => CaptureMethod::LiveFiles,
            () => CaptureMethod::HeldFiles,
        }
    }
}

/// Refuses a backup whose volumes cannot be as consistent as is wanted.
pub(super) fn check_floor(
    floor: Option<Consistency>,
    claims: &[Claim],
    covered: &Covered,
    ways: &Ways,
) -> Result<()> {
    let Some(floor) = floor else { return Ok(()) };
    let at_once = ways.together && ways.snapshots.len() == claims.len();
    let reachable = |claim: &&Claim| {
        let method = ways.method(claim);
        match covered.consistency(&claim.namespace, &claim.name, method) {
            Consistency::Crash if method == CaptureMethod::Snapshot && at_once => Consistency::Group,
            reached => reached,
        }
    };
    let below: Vec<&Claim> = claims.iter().filter(|claim| reachable(claim) < floor).collect();
    let Some(lowest) = below.iter().map(reachable).min() else { return Ok(()) };
    let names: Vec<String> =
        below.iter().map(|claim| format!("{}/{}", claim.namespace, claim.name)).collect();
    let reason = format!(
        "{} would be read while in use, or each at a moment of its own, and no hook covers {}: add a hook, a VolumeSnapshotClass for its driver, scale its pods down, or lower what is wanted",
        names.join(", "),
        if names.len() == 1 { "it" } else { "them" },
    );
    Err(Error::FloorNotReached { wanted: ConsistencyName(floor), reachable: ConsistencyName(lowest), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn claim(name: &str) -> Claim {
        Claim { namespace: "shop".into(), name: name.into(), object: Value::Null }
    }

    fn names(claims: &[&str]) -> BTreeSet<(String, String)> {
        claims.iter().map(|claim| ("shop".to_owned(), (*claim).to_owned())).collect()
    }

    #[test]
    fn a_volume_is_what_its_hook_and_its_use_make_it() {
        let covered = Covered(names(&["data"]));
        for (claim, method, expected) in [
            ("data", CaptureMethod::LiveFiles, Consistency::Application),
            ("files", CaptureMethod::LiveFiles, Consistency::Live),
            ("files", CaptureMethod::HostPath, Consistency::Live),
            ("files", CaptureMethod::HeldFiles, Consistency::Crash),
        ] {
            assert_eq!(covered.consistency("shop", claim, method), expected, "{claim} {method:?}");
        }
        assert_eq!(covered.consistency("bank", "data", CaptureMethod::LiveFiles), Consistency::Live);
    }

    #[test]
    fn a_floor_that_cannot_be_reached_is_refused_with_the_volumes_that_stand_in_the_way() {
        let claims = [claim("data"), claim("files"), claim("idle")];
        let covered = Covered(names(&["data"]));
        let mounted = Ways { mounted: names(&["data", "files"]), ..Ways::default() };
        assert!(check_floor(None, &claims, &covered, &mounted).is_ok());
        assert!(check_floor(Some(Consistency::Live), &claims, &covered, &mounted).is_ok());
        let error =
            check_floor(Some(Consistency::Crash), &claims, &covered, &mounted).unwrap_err().to_string();
        assert!(error.contains("shop/files") && !error.contains("shop/idle"), "{error}");
        let error = check_floor(Some(Consistency::Application), &claims, &covered, &mounted).unwrap_err();
        assert!(error.to_string().contains("shop/files, shop/idle"), "{error}");
        assert!(check_floor(Some(Consistency::Application), &claims[..1], &covered, &mounted).is_ok());
        assert!(check_floor(Some(Consistency::Application), &[], &covered, &mounted).is_ok());
        let cut = Ways { mounted: names(&["files", "data"]), snapshots: names(&["files"]), together: true };
        assert!(check_floor(Some(Consistency::Crash), &claims[..2], &covered, &cut).is_ok());
        assert!(check_floor(Some(Consistency::Group), &claims[1..2], &covered, &cut).is_ok());
        assert!(check_floor(Some(Consistency::Group), &claims[..2], &covered, &cut).is_err());
        let both = Ways { snapshots: names(&["files", "idle"]), ..Ways::default() };
        assert!(check_floor(Some(Consistency::Group), &claims[1..], &covered, &both).is_err());
        let both = Ways { together: true, ..both };
        assert!(check_floor(Some(Consistency::Group), &claims[1..], &covered, &both).is_ok());
    }

    #[test]
    fn groups_of_two_drivers_are_not_one_though_they_are_called_the_same() {
        let volume = |claim: &str, driver: &str| -> VolumeCapture {
            let at = "2026-11-22T10:15:01Z";
            serde_json::from_value(serde_json::json!({
                "namespace": "shop", "claim": claim, "volume": "pv", "storageClass": "fast", "capacity": 1,
                "accessModes": ["ReadWriteOnce"], "method": "snapshot", "snapshot": "1f2e",
                "cut": {"at": at, "driver": driver, "class": "c", "group": "1"},
                "started": at, "finished": at, "entries": 1, "bytes": 1, "bytesRead": 1, "bytesStored": 1,
                "changedWhileRead": 0,
            }))
            .unwrap()
        };
        let covered = Covered::default();
        let of = |volumes: &[VolumeCapture]| covered.of_point(volumes);
        assert_eq!(of(&[volume("a", "x"), volume("b", "x")]), Consistency::Group);
        assert_eq!(of(&[volume("a", "x"), volume("b", "y")]), Consistency::Crash);
    }
}
