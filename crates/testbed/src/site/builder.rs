//! What a site is asked to be.

use std::path::PathBuf;

use super::Site;
use super::plan::{NODES, check_name};
use crate::dirs::Cache;
use crate::error::{Error, Result};
use crate::parts::KUBERNETES;
use crate::report::Reporter;

/// The default StorageClass of every site.
pub const STORAGE_CLASS: &str = "local";

/// Description of a site; [`Self::start`] makes it real.
#[derive(Debug, Clone)]
#[must_use = "a site runs only once it is started"]
pub struct SiteBuilder {
    pub(super) name: String,
    pub(super) kubernetes: String,
    pub(super) nodes: u16,
    pub(super) csi: bool,
    pub(super) second_csi: bool,
    pub(super) kwok_nodes: usize,
    pub(super) images: Vec<PathBuf>,
    pub(super) admission: Vec<String>,
    pub(super) apiserver_flags: Vec<String>,
    pub(super) storage_classes: Vec<String>,
    pub(super) cache: Option<Cache>,
    pub(super) report: Reporter,
}

impl SiteBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            kubernetes: KUBERNETES.into(),
            nodes: 0,
            csi: false,
            second_csi: false,
            kwok_nodes: 0,
            images: Vec::new(),
            admission: Vec::new(),
            apiserver_flags: Vec::new(),
            storage_classes: vec![STORAGE_CLASS.into()],
            cache: None,
            report: Reporter::stderr(),
        }
    }

    /// With a real node: containers, volumes, Services and DNS.
    pub fn node(mut self) -> Self {
        self.nodes = self.nodes.max(1);
        self
    }

    /// With `count` real nodes, at most 8; the control plane runs with the first.
    ///
    /// Each of several nodes is an availability zone of its own, called `<site>-0`, `<site>-1` and so on, and counts as
    /// dead after it has said nothing for 20 s. Volumes of the default class are at the node of their first pod.
    pub fn nodes(mut self, count: u16) -> Self {
        self.nodes = count;
        self
    }

    /// With a real node and a CSI driver beside the default storage: classes [`super::CSI_CLASS`],
    /// [`super::CSI_LATE_CLASS`], [`super::CSI_IMAGE_CLASS`] and, without snapshots, [`super::CSI_PLAIN_CLASS`]; with
    /// several nodes also [`super::CSI_SHARED_CLASS`]. It takes group snapshots, and tells clients which blocks of
    /// snapshots changed.
    pub fn csi(mut self) -> Self {
        self.csi = true;
        self.node()
    }

    /// As [`Self::csi`], with a second driver that takes snapshots: class [`super::CSI_SECOND_CLASS`].
    pub fn two_csi(mut self) -> Self {
        self.second_csi = true;
        self.csi()
    }

    /// With nodes that only look like it: kwok marks their pods running, and any Job succeeded.
    ///
    /// They are labelled `type=kwok` and tainted; [`crate::fixtures::kwok_namespace`] sends pods to them.
    pub fn kwok_nodes(mut self, count: usize) -> Self {
        self.kwok_nodes = count;
        self
    }

    /// Another version of Kubernetes, as in `1.35.4`; built once, which takes minutes.
    pub fn kubernetes(mut self, version: impl Into<String>) -> Self {
        self.kubernetes = version.into();
        self
    }

    /// An image archive that all nodes have from the start.
    pub fn image(mut self, archive: impl Into<PathBuf>) -> Self {
        self.images.push(archive.into());
        self
    }

    /// One more admission plugin of the API server.
    pub fn admission_plugin(mut self, name: impl Into<String>) -> Self {
        self.admission.push(name.into());
        self
    }

    /// One more flag of the API server, as `--name=value`.
    pub fn apiserver_flag(mut self, flag: impl Into<String>) -> Self {
        self.apiserver_flags.push(flag.into());
        self
    }

    /// One more StorageClass of the same provisioner, not the default one.
    pub fn storage_class(mut self, name: impl Into<String>) -> Self {
        self.storage_classes.push(name.into());
        self
    }

    /// Calls the default StorageClass `name` instead of [`STORAGE_CLASS`], as at a centre with other storage.
    pub fn default_storage_class(mut self, name: impl Into<String>) -> Self {
        self.storage_classes[0] = name.into();
        self
    }

    /// Another cache than the user's.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Where progress goes; standard error unless said otherwise.
    pub fn report(mut self, report: Reporter) -> Self {
        self.report = report;
        self
    }

    /// Builds what is missing, takes a slot, and starts the site. It is complete when this returns.
    ///
    /// # Errors
    /// With the end of the log of the component that did not come up. Nothing is left running then.
    pub async fn start(self) -> Result<Site> {
        check_name(&self.name)?;
        if self.nodes > NODES {
            return Err(Error::TooManyNodes { site: self.name, nodes: self.nodes, limit: NODES });
        }
        Site::boot(self).await
    }
}
