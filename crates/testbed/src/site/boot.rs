//! Bringing a site up: what can go at once goes at once, and everything is waited for with a bound.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::{Api, Patch, PatchParams};
use tokio::task::JoinHandle;

use super::builder::SiteBuilder;
use super::ground::Ground;
use super::node::{self, Machine, NodePlan};
use super::{Site, Times, control_plane, kwok};
use crate::component::{Component, Spec};
use crate::error::{Error, Result};
use crate::lease::{self, Lease};
use crate::tool::blocking;
use crate::{client, guard, images};

/// Bounds of the stages: ten times what they take, for a machine that compiles meanwhile.
const API_LIMIT: Duration = Duration::from_secs(90);
pub(super) const NODE_LIMIT: Duration = Duration::from_secs(120);
const DNS_LIMIT: Duration = Duration::from_secs(120);

const COREDNS: &str = include_str!("../../assets/coredns.yaml");
const NODE_PROXIER: &str = include_str!("../../assets/node-proxier.yaml");

impl Site {
    pub(super) async fn boot(builder: SiteBuilder) -> Result<Self> {
        let (ground, builder) = blocking("preparing a site", move || {
            let ground = Ground::prepare(&builder)?;
            Ok((ground, builder))
        })
        .await?;
        let client = match client::connect(&ground.plan.kubeconfig("admin")).await {
            Ok(client) => client,
            Err(error) => return lease::end_all(&ground.leases).and(Err(error)),
        };
        let mut site = Self {
            plan: ground.plan,
            kubernetes: ground.kubernetes,
            client,
            machines: ground.machines,
            kwok_nodes: Vec::new(),
            components: Vec::new(),
            times: Times::default(),
            leases: ground.leases,
        };
        let begun = Instant::now();
        site.start_control_plane(&builder)?;
        let imported = site.start_containerd(&ground.images)?;
        site.wait_for_api().await?;
        site.times.control_plane = begun.elapsed();
        site.start_controllers()?;
        site.apply(&site.addons(&builder)).await?;
        imported.await.unwrap_or(Err(Error::Interrupted { what: "importing images" }))?;
        if !site.machines.is_empty() {
            site.wait_for_nodes().await?;
            site.times.node = begun.elapsed();
        }
        if let Some(csi) = ground.csi {
            site.start_csi(&csi, builder.second_csi).await?;
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

    pub(super) fn start(&mut self, spec: Spec) -> Result<()> {
        let record = self.leases.first().map(Lease::record).ok_or_else(|| self.no_component("any more"))?;
        self.components.push(Component::start(spec, record)?);
        Ok(())
    }

    fn start_control_plane(&mut self, builder: &SiteBuilder) -> Result<()> {
        self.start(control_plane::etcd(&self.plan, &self.kubernetes))?;
        let (admission, flags) = (&builder.admission, &builder.apiserver_flags);
        self.start(control_plane::apiserver(&self.plan, &self.kubernetes, admission, flags))
    }

    /// Starts containerd of every node and gives it its images while the control plane comes up.
    fn start_containerd(&mut self, images: &[PathBuf]) -> Result<JoinHandle<Result<()>>> {
        let imports = self.machines.iter_mut().map(|node| node.start_containerd(images.to_vec(), NODE_LIMIT));
        let imports = imports.collect::<Result<Vec<_>>>()?;
        Ok(tokio::spawn(async move { futures::future::try_join_all(imports).await.map(drop) }))
    }

    pub(super) async fn wait_for_api(&mut self) -> Result<()> {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while begun.elapsed() < API_LIMIT {
            tick.tick().await;
            self.check()?;
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
        self.machines.iter_mut().try_for_each(Machine::start_kubelet)
    }

    /// Manifests of what a site has from the start.
    fn addons(&self, builder: &SiteBuilder) -> String {
        let mut all = Vec::new();
        if !self.machines.is_empty() {
            all.push(NODE_PROXIER.to_owned());
            let coredns = COREDNS.replace("@IMAGE@", images::COREDNS).replace("@NODE@", &self.plan.node(0));
            all.push(coredns.replace("@ADDRESS@", &self.plan.service_dns()));
        }
        for (number, name) in builder.storage_classes.iter().enumerate() {
            all.push(crate::provision::storage_class(name, number == 0));
        }
        all.join("---\n")
    }

    /// Waits until all nodes are Ready, and says of each what the control plane cannot know.
    async fn wait_for_nodes(&mut self) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let plans: Vec<NodePlan> = self.machines.iter().map(|machine| machine.plan.clone()).collect();
        for plan in plans {
            let name = plan.name();
            let kubelet = plan.numbered("kubelet");
            self.wait_for(&kubelet, "its node is not Ready", NODE_LIMIT, || async {
                Ok(nodes.get_opt(&name).await?.is_some_and(|found| node::is_ready(&found)))
            })
            .await?;
            let facts = Patch::Merge(node::facts(&plan));
            nodes
                .patch(&name, &PatchParams::default(), &facts)
                .await
                .map_err(Error::kubernetes(format!("annotating node {name}")))?;
        }
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
        if self.machines.is_empty() {
            return Ok(());
        }
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), "kube-system");
        self.wait_for("kubelet", "CoreDNS is not available", DNS_LIMIT, || async {
            let status = deployments.get_opt("coredns").await?.and_then(|found| found.status);
            Ok(status.and_then(|status| status.available_replicas).is_some_and(|count| count > 0))
        })
        .await
    }

    /// An error if a component ended by itself.
    fn check(&mut self) -> Result<()> {
        let alive =
            self.machines.iter_mut().filter(|machine| machine.is_on()).flat_map(Machine::components_mut);
        self.components.iter_mut().chain(alive).try_for_each(Component::check)
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
            self.check()?;
            // Errors of a server that just came up are part of waiting for it.
            if ready().await.unwrap_or(false) {
                return Ok(());
            }
        }
        Err(self.component(component)?.not_ready(what, begun.elapsed()))
    }
}
