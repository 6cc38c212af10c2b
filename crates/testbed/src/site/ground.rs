//! What a site stands on before its first process starts: programs, slots, directories, namespaces, certificates.

use std::path::PathBuf;

use super::builder::SiteBuilder;
use super::node::{self, Machine, NodePlan, Programs};
use super::plan::Plan;
use super::{csi, kubeconfig, pki};
use crate::dirs::Cache;
use crate::error::{At, Result};
use crate::kernel::bridge;
use crate::lease::{self, Lease};
use crate::parts::{Built, Part};
use crate::record::Record;
use crate::report::Reporter;
use crate::{guard, host, images, sweep};

/// All that is needed before the first process starts.
pub(super) struct Ground {
    /// The site's own, which its first node shares, and one for every other node.
    pub(super) leases: Vec<Lease>,
    pub(super) plan: Plan,
    pub(super) machines: Vec<Machine>,
    pub(super) kubernetes: Built,
    pub(super) kwok: Option<Built>,
    pub(super) csi: Option<csi::Parts>,
    pub(super) images: Vec<PathBuf>,
}

impl Ground {
    /// Checks the machine, builds what is missing, takes slots and lays out directories.
    pub(super) fn prepare(builder: &SiteBuilder) -> Result<Self> {
        let report = &builder.report;
        host::prepare(report)?;
        let cache = builder.cache.clone().map_or_else(Cache::of_user, Ok)?;
        let build = |part: Part| part.build(&cache, report);
        let kubernetes = build(Part::Kubernetes(builder.kubernetes.clone()))?;
        let kwok = (builder.kwok_nodes > 0).then(|| build(Part::Kwok)).transpose()?;
        let csi = || -> Result<csi::Parts> {
            Ok(csi::Parts {
                provisioner: build(Part::CsiProvisioner)?,
                snapshotter: build(Part::CsiSnapshotter)?,
                definitions: build(Part::SnapshotDefinitions)?,
            })
        };
        let csi = builder.csi.then(csi).transpose()?;
        let (mut programs, mut images) = (None, Vec::new());
        if builder.nodes > 0 {
            let (containerd, cni) = (build(Part::Containerd)?, build(Part::Cni)?);
            programs = Some(Programs { kubernetes: kubernetes.clone(), containerd, cni });
            images = node_images(builder, &cache, report)?;
        }
        sweep::sweep(&cache, report)?;
        guard::ensure(&cache)?;
        let leases = take(&builder.name, builder.nodes, &cache)?;
        match lay_out(&leases, builder.nodes, programs.as_ref()) {
            Ok((plan, machines)) => Ok(Self { leases, plan, machines, kubernetes, kwok, csi, images }),
            Err(error) => lease::end_all(&leases).and(Err(error)),
        }
    }
}

fn node_images(builder: &SiteBuilder, cache: &Cache, report: &Reporter) -> Result<Vec<PathBuf>> {
    let mut all = vec![images::pause(cache)?, images::coredns(cache, report)?, images::busybox(cache)?];
    all.extend(builder.images.iter().cloned());
    Ok(all)
}

/// Takes the slot of a site and those of its further nodes, or none.
fn take(name: &str, nodes: u16, cache: &Cache) -> Result<Vec<Lease>> {
    let mut leases = vec![Lease::take(name, cache)?];
    for node in 1..nodes {
        match Lease::for_node(name, node, cache) {
            Ok(lease) => leases.push(lease),
            Err(error) => return lease::end_all(&leases).and(Err(error)),
        }
    }
    Ok(leases)
}

/// Makes namespaces, cgroups, certificates and configuration.
fn lay_out(leases: &[Lease], nodes: u16, programs: Option<&Programs>) -> Result<(Plan, Vec<Machine>)> {
    let records: Vec<&Record> = leases.iter().map(Lease::record).collect();
    let plan = Plan::of(records[0], nodes);
    plug_in(&plan, &records)?;
    let places = records.iter().map(|record| NodePlan::of(&plan, record)).collect::<Result<Vec<_>>>()?;
    // A control plane without nodes has a place too, but no kubelet.
    let kubelets = &places[..usize::from(nodes)];
    pki::create(&plan, kubelets)?;
    kubeconfig::create(&plan, kubelets)?;
    let machines = programs.map(|programs| equip(&plan, places, &records, programs)).transpose()?;
    Ok((plan, machines.unwrap_or_default()))
}

/// Gives every slot its namespace and cgroup, and joins the slots of several nodes by a switch.
fn plug_in(plan: &Plan, records: &[&Record]) -> Result<()> {
    let (shared, switch) = (bridge::ensure()?, records[0].switch());
    if plan.has_several_nodes() {
        switch.create(shared)?;
    }
    let bridge = if plan.has_several_nodes() { switch.name() } else { shared.to_owned() };
    records.iter().try_for_each(|record| {
        record.network().create(&bridge)?;
        record.cgroup().create()
    })
}

fn equip(
    plan: &Plan,
    places: Vec<NodePlan>,
    records: &[&Record],
    programs: &Programs,
) -> Result<Vec<Machine>> {
    let volumes = plan.volumes();
    std::fs::create_dir_all(&volumes).at("create", volumes)?;
    let nodes = places.into_iter().zip(records);
    let machines = nodes.map(|(place, record)| Machine::prepare(place, record, programs));
    let machines = machines.collect::<Result<Vec<_>>>()?;
    node::join(&machines)?;
    Ok(machines)
}
