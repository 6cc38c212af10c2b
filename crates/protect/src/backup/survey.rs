//! A look around before anything is touched: what there is, and whether it can be as is wanted.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_cluster::{Discovery, Facts, ListOptions, kinds};
use holdfast_model::Consistency;
use holdfast_model::scope::Selector;
use holdfast_model::volume::VolumeRules;
use holdfast_volume::snapshots::SnapshotClasses;

use super::BackupRequest;
use super::chosen::capture_request;
use super::consistency::{Covered, Ways, check_floor};
use crate::capture::{Claims, Namespaces, claims};
use crate::error::{Error, Result};
use crate::point::{PointSummary, list};

/// What was found before anything is touched.
pub(super) struct Surroundings {
    pub(super) discovery: Arc<Discovery>,
    pub(super) facts: Facts,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) claims: Claims,
    pub(super) covered: Covered,
    pub(super) rules: VolumeRules,
    pub(super) classes: SnapshotClasses,
    pub(super) parent: Option<PointSummary>,
}

impl Surroundings {
    /// Reads the cluster and the repository.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::FloorNotReached`], [`Error::Cluster`], [`Error::Vault`]
    pub(super) async fn look(request: &BackupRequest, selector: &Selector) -> Result<Self> {
        let BackupRequest { cluster, application, repository, floor, .. } = request;
        let spec = &application.spec;
        let discovery = Arc::new(cluster.discover().await?);
        let (facts, namespaces, points) = futures::join!(
            cluster.facts_with(&discovery),
            Namespaces::select(cluster, &spec.scope, selector),
            list(repository),
        );
        let (facts, namespaces) = (facts?, namespaces?);
        check_not_empty(request, &namespaces)?;
        let names: Vec<&str> = namespaces.names().collect();
        let (claims, covered) = futures::join!(
            claims(cluster, selector, &namespaces),
            Covered::find(cluster, &spec.hooks, &names),
        );
        let (claims, covered) = (claims?, covered?);
        let rules = VolumeRules::new(&spec.volumes)
            .map_err(|source| Error::Scope { application: application.name.clone(), source })?;
        let classes = match claims.capture.is_empty() {
            true => SnapshotClasses::default(),
            false => SnapshotClasses::read(cluster).await?,
        };
        if floor.is_some_and(|floor| floor > Consistency::Live) {
            let mounted = mounted(request, &names).await?;
            let (snapshots, together) = snapshots(request, &claims, &rules, &classes).await?;
            check_floor(*floor, &claims.capture, &covered, &Ways { mounted, snapshots, together })?;
        }
        let parent = points?.newest().cloned();
        let namespaces = Arc::new(namespaces);
        Ok(Self { discovery, facts, namespaces, claims, covered, rules, classes, parent })
    }
}

fn check_not_empty(request: &BackupRequest, namespaces: &Namespaces) -> Result<()> {
    let application = &request.application;
    if !namespaces.is_empty() || !application.spec.scope.cluster.kinds.is_empty() {
        return Ok(());
    }
    Err(Error::Empty {
        application: application.name.clone(),
        cluster: request.cluster.name().to_owned(),
        reason: format!("no namespace matches {}", application.spec.scope.namespaces.join(", ")),
    })
}

/// Claims whose storage takes a snapshot of them, and whether it takes all of these at one moment.
async fn snapshots(
    request: &BackupRequest,
    claims: &Claims,
    rules: &VolumeRules,
    classes: &SnapshotClasses,
) -> Result<(BTreeSet<(String, String)>, bool)> {
    let (mut found, mut all) = (BTreeSet::new(), Vec::new());
    for claim in &claims.capture {
        let name = claim.object["spec"]["volumeName"].as_str().unwrap_or_default();
        let volume = request.cluster.get(&kinds::persistent_volumes(), None, name).await?;
        let wanted = capture_request(claim, rules, &request.application.spec.hooks);
        // What is unclear about a class is told when the claim is captured.
        if let Ok(Some(by)) = wanted.snapshot_by(classes, &claim.object, &volume.unwrap_or_default()) {
            found.insert((claim.namespace.clone(), claim.name.clone()));
            all.push(by);
        }
    }
    let namespaces: BTreeSet<&String> = found.iter().map(|(namespace, _)| namespace).collect();
    let together = namespaces.len() < 2 && classes.cut_together(&all);
    Ok((found, together))
}

/// Claims that pods have mounted which have not ended.
async fn mounted(request: &BackupRequest, namespaces: &[&str]) -> Result<BTreeSet<(String, String)>> {
    let mut mounted = BTreeSet::new();
    for namespace in namespaces {
        let fields = Some("status.phase!=Succeeded,status.phase!=Failed".to_owned());
        let options = ListOptions { fields, ..ListOptions::in_namespace(*namespace) };
        for pod in request.cluster.list_all(&kinds::pods(), options).await? {
            let Ok(pod) = pod.parse() else { continue };
            let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
            let claims = volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
            mounted.extend(claims.map(|claim| ((*namespace).to_owned(), claim.to_owned())));
        }
    }
    Ok(mounted)
}
