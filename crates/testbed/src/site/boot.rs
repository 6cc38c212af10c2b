//! Bringing a site up: what can go at once goes at once, and everything is waited for with a bound.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::builder::SiteBuilder;
use super::plan::{Plan, text};
use super::{Site, Times, control_plane, csi, kubeconfig, kwok, node, pki};
use crate::component::{Component, Spec, not_ready, until};
use crate::dirs::Cache;
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::parts::{Built, Part};
use crate::record::Record;
use crate::tool::blocking;
use crate::{client, guard, host, images, sweep};

/// Bounds of the stages: ten times what they take, for a machine that compiles meanwhile.
const API_LIMIT: Duration = Duration::from_secs(90);
const NODE_LIMIT: Duration = Duration::from_secs(120);
const DNS_LIMIT: Duration = Duration::from_secs(120);

const COREDNS: &str = include_str!("../../assets/coredns.yaml");
const NODE_PROXIER: &str = include_str!("../../assets/node-proxier.yaml");

/// Names of the annotation that tells movers where volumes of pods are.
const KUBELET_ROOT: &str = "holdfast.dev/kubelet-root";

/// All that is needed before the first process starts.
struct Ground {
    lease: Lease,
    plan: Plan,
    kubernetes: Built,
    containerd: Option<Built>,
    kwok: Option<Built>,
    csi: Option<csi::Parts>,
    images: Vec<PathBuf>,
}

impl Site {
    pub(super) async fn boot(builder: SiteBuilder) -> Result<Self> {
        let (ground, builder) = blocking("preparing a site", move || {
            let ground = prepare(&builder)?;
            Ok((ground, builder))
        })
        .await?;
        let client = match client::connect(&ground.plan.kubeconfig("admin")).await {
            Ok(client) => client,
            Err(error) => return ground.lease.end().and(Err(error)),
        };
        let mut site = Self {
            plan: ground.plan,
            kubernetes: ground.kubernetes,
            containerd: ground.containerd,
            client,
            kwok_nodes: Vec::new(),
            components: Vec::new(),
            times: Times::default(),
            lease: Some(ground.lease),
        };
        let begun = Instant::now();
        site.start_control_plane(&builder)?;
        let imported = site.start_containerd(ground.images)?;
        site.wait_for_api().await?;
        site.times.control_plane = begun.elapsed();
        site.start_controllers()?;
        site.apply(&site.addons(&builder)).await?;
        if let Some(imported) = imported {
            imported.await.unwrap_or(Err(Error::Interrupted { what: "importing images" }))?;
            site.start_node().await?;
            site.times.node = begun.elapsed();
        }
        if let Some(csi) = ground.csi {
            site.start_csi(&csi).await?;
        }
        if let Some(kwok) = ground.kwok {
            site.start(control_plane::kwok(&site.plan, &kwok))?;
            site.kwok_nodes = kwok::create_nodes(&mut site, builder.kwok_nodes).await?;
        }
        site.wait_for_rest().await?;
        site.times.complete = begun.elapsed();
        let text = format!("site {} is up: {:.1}s", site.name(), begun.elapsed().as_secs_f64());
        builder.report.note(&text);
        Ok(site)
    }

    fn record(&self) -> Result<&Record> {
        let record = self.lease.as_ref().map(Lease::record);
        record.ok_or_else(|| self.no_component("any more"))
    }

    pub(super) fn start(&mut self, spec: Spec) -> Result<()> {
        let component = Component::start(spec, self.record()?)?;
        self.components.push(component);
        Ok(())
    }

    fn start_control_plane(&mut self, builder: &SiteBuilder) -> Result<()> {
        self.start(control_plane::etcd(&self.plan, &self.kubernetes))?;
        let (admission, flags) = (&builder.admission, &builder.apiserver_flags);
        self.start(control_plane::apiserver(&self.plan, &self.kubernetes, admission, flags))
    }

    /// Starts containerd and gives it its images while the control plane comes up.
    fn start_containerd(
        &mut self,
        images: Vec<PathBuf>,
    ) -> Result<Option<tokio::task::JoinHandle<Result<()>>>> {
        let Some(containerd) = self.containerd.clone() else { return Ok(None) };
        self.start(node::containerd(&self.plan, &containerd))?;
        let plan = self.plan.clone();
        Ok(Some(tokio::spawn(async move {
            let begun = Instant::now();
            let up = until(NODE_LIMIT, || {
                let (plan, containerd) = (plan.clone(), containerd.clone());
                blocking("asking containerd", move || Ok(node::containerd_answers(&plan, &containerd)))
            })
            .await?;
            if !up {
                return Err(not_ready("containerd", begun.elapsed(), &plan.log("containerd")));
            }
            blocking("importing images", move || {
                images.iter().try_for_each(|image| node::import(&plan, &containerd, image))
            })
            .await
        })))
    }

    pub(super) async fn wait_for_api(&mut self) -> Result<()> {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while begun.elapsed() < API_LIMIT {
            tick.tick().await;
            self.components.iter_mut().try_for_each(Component::check)?;
            let ask = http::Request::get("/readyz").body(Vec::new());
            let Ok(ask) = ask else { break };
            let answer = tokio::time::timeout(Duration::from_secs(2), self.client.request_text(ask));
            if matches!(answer.await, Ok(Ok(_))) {
                return Ok(());
            }
        }
        Err(self.component("kube-apiserver")?.not_ready("it is not ready", begun.elapsed()))
    }

    fn start_controllers(&mut self) -> Result<()> {
        self.start(control_plane::controller_manager(&self.plan, &self.kubernetes))?;
        self.start(control_plane::scheduler(&self.plan, &self.kubernetes))?;
        let provisioner = Spec::new("provisioner", guard::program()?)
            .arg("provision")
            .flag("kubeconfig", self.kubeconfig())
            .flag("root", self.plan.volumes());
        self.start(provisioner)?;
        if self.containerd.is_some() {
            self.start(node::kubelet(&self.plan, &self.kubernetes))?;
            self.start(node::kube_proxy(&self.plan, &self.kubernetes))?;
        }
        Ok(())
    }

    /// Manifests of what a site has from the start.
    fn addons(&self, builder: &SiteBuilder) -> String {
        let mut all = Vec::new();
        if builder.node {
            all.push(NODE_PROXIER.to_owned());
            let coredns = COREDNS.replace("@IMAGE@", images::COREDNS);
            all.push(coredns.replace("@ADDRESS@", &self.plan.service_dns()));
        }
        for (number, name) in builder.storage_classes.iter().enumerate() {
            all.push(crate::provision::storage_class(name, number == 0));
        }
        all.join("---\n")
    }

    async fn start_node(&mut self) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let name = self.plan.node();
        self.wait_for("kubelet", "its node is not Ready", NODE_LIMIT, || async {
            Ok(nodes.get_opt(&name).await?.is_some_and(|found| node::is_ready(&found)))
        })
        .await?;
        let annotation =
            json!({ "metadata": { "annotations": { KUBELET_ROOT: text(self.plan.kubelet_root()) } } });
        nodes
            .patch(&name, &PatchParams::default(), &Patch::Merge(annotation))
            .await
            .map_err(Error::kubernetes(format!("annotating node {name}")))?;
        Ok(())
    }

    /// Waits for what the controllers make for everyone, and for names to resolve.
    async fn wait_for_rest(&mut self) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "default");
        let what = "the default ServiceAccount is not there";
        self.wait_for("kube-controller-manager", what, API_LIMIT, || async {
            Ok(accounts.get_opt("default").await?.is_some())
        })
        .await?;
        if self.containerd.is_none() {
            return Ok(());
        }
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), "kube-system");
        self.wait_for("kubelet", "CoreDNS is not available", DNS_LIMIT, || async {
            let status = deployments.get_opt("coredns").await?.and_then(|found| found.status);
            Ok(status.and_then(|status| status.available_replicas).is_some_and(|count| count > 0))
        })
        .await
    }

    /// Waits until `ready` says so; fails at once if a component ended, and at `limit` with `component`'s log.
    pub(super) async fn wait_for<F, Fut>(
        &mut self,
        component: &str,
        what: &str,
        limit: Duration,
        mut ready: F,
    ) -> Result<()>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = kube::Result<bool>>,
    {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while begun.elapsed() < limit {
            tick.tick().await;
            self.components.iter_mut().try_for_each(Component::check)?;
            // Errors of a server that just came up are part of waiting for it.
            if ready().await.unwrap_or(false) {
                return Ok(());
            }
        }
        Err(self.component(component)?.not_ready(what, begun.elapsed()))
    }
}

/// Checks the machine, builds what is missing, takes a slot and lays out the site's directory.
fn prepare(builder: &SiteBuilder) -> Result<Ground> {
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
    let mut archives = Vec::new();
    let mut real = None;
    if builder.node {
        real = Some((build(Part::Containerd)?, build(Part::Cni)?));
        archives = vec![images::pause(&cache)?, images::coredns(&cache, report)?, images::busybox(&cache)?];
        archives.extend(builder.images.iter().cloned());
    }
    sweep::sweep(&cache, report)?;
    guard::ensure(&cache)?;
    let lease = Lease::take(&builder.name, &cache)?;
    let prepared = lay_out(&lease, real.as_ref().map(|(_, cni)| cni));
    match prepared {
        Ok(plan) => {
            let containerd = real.map(|(containerd, _)| containerd);
            Ok(Ground { lease, plan, kubernetes, containerd, kwok, csi, images: archives })
        }
        Err(error) => {
            lease.end()?;
            Err(error)
        }
    }
}

/// Makes namespace, cgroup, certificates and configuration.
fn lay_out(lease: &Lease, cni: Option<&Built>) -> Result<Plan> {
    let record = lease.record();
    let plan = Plan::of(record)?;
    record.network().create()?;
    record.cgroup().create()?;
    pki::create(&plan)?;
    kubeconfig::create(&plan)?;
    if let Some(cni) = cni {
        node::configure(&plan, &record.cgroup(), cni)?;
    }
    Ok(plan)
}
