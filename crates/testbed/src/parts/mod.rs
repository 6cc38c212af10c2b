//! The real servers and tools: what they are, at which version, and where their programs are.

mod go;
mod kubernetes;
mod npm;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::dirs::Cache;
use crate::error::{At, Error, Result};
use crate::lock::FileLock;
use crate::report::Reporter;

/// The Kubernetes version of a site unless it asks for another.
pub const KUBERNETES: &str = "1.36.3";

/// What [`Part::FakeGcs`] is, around its module.
const GCS_MAIN: &str = include_str!("../../assets/gcs/main.go.txt");

/// A server or tool that is built from its public Go module, or comes as a package of npm.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// etcd, API server, controller manager, scheduler, kubelet, kube-proxy and kubectl in one program.
    Kubernetes(String),
    /// containerd, its runc shim and `ctr`.
    Containerd,
    /// The network plugins bridge, loopback, ptp, host-local and portmap.
    Cni,
    /// VersityGW, S3 over a directory.
    VersityGw,
    /// MinIO, the second make of S3.
    Minio,
    /// fake-gcs-server, a stand-in for Google Cloud Storage, with a way in by the XML API.
    FakeGcs,
    /// Azurite, Microsoft's own stand-in for Azure Blob Storage. It needs Node.js.
    Azurite,
    /// kwok, nodes and pods without kubelets, with its stage files.
    Kwok,
    /// CoreDNS.
    CoreDns,
    /// restic, the oracle of the vault's format.
    Restic,
    /// kopia, a peer in benchmarks.
    Kopia,
    /// Velero, a peer in benchmarks.
    Velero,
    /// Velero's plugin for S3.
    VeleroAws,
    /// The CSI sidecar that serves claims.
    CsiProvisioner,
    /// The CSI sidecar that takes snapshots, with the snapshot controller.
    CsiSnapshotter,
    /// The CustomResourceDefinitions of snapshots and group snapshots.
    SnapshotDefinitions,
    /// The conformance test of CSI drivers.
    CsiSanity,
}

/// How a part's programs come out of its module.
enum Recipe {
    /// `go install` of these packages.
    Install(&'static [&'static str]),
    /// As `Install`, and these files of the module joined into `share/<name>`.
    InstallWithFiles(&'static [&'static str], &'static str, &'static [&'static str]),
    /// The module's go.mod has `replace` lines: one of ours requires it and repeats them.
    Wrapped { packages: &'static [&'static str], extra: &'static [(&'static str, &'static str)] },
    /// No programs, but these files of the module joined into `share/<name>`.
    Files(&'static str, &'static [&'static str]),
    /// A program of ours around the components of Kubernetes.
    Kubernetes,
    /// This program of ours around the module.
    Around(&'static str),
    /// A package of npm, with this program.
    Npm { program: &'static str, file: &'static str },
}

impl Part {
    /// Every part at its default version, the ones that a site needs first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Self::of_site(KUBERNETES);
        all.extend([Self::VersityGw, Self::Kwok, Self::Restic, Self::Minio, Self::Kopia]);
        all.extend([Self::Velero, Self::VeleroAws, Self::FakeGcs, Self::Azurite]);
        all.extend([Self::CsiProvisioner, Self::CsiSnapshotter, Self::SnapshotDefinitions, Self::CsiSanity]);
        all
    }

    /// What a site with a node needs.
    #[must_use]
    pub fn of_site(kubernetes: &str) -> Vec<Self> {
        vec![Self::Kubernetes(kubernetes.into()), Self::Containerd, Self::Cni, Self::CoreDns]
    }

    /// The part called `name`, as [`Self::name`] gives it; `kubernetes-1.35.4` is a version of that one.
    pub fn named(name: &str) -> Result<Self> {
        if let Some(version) = name.strip_prefix("kubernetes-") {
            return Ok(Self::Kubernetes(version.into()));
        }
        let all = Self::all();
        let names = all.iter().map(Self::name).collect::<Vec<_>>().join(", ");
        let unknown =
            || Error::MissingTool { tool: format!("part {name}"), hint: format!("name one of {names}") };
        all.iter().find(|part| part.name() == name).cloned().ok_or_else(unknown)
    }

    /// Its name, as on the command line and in the cache.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kubernetes(_) => "kubernetes",
            Self::Containerd => "containerd",
            Self::Cni => "cni",
            Self::VersityGw => "versitygw",
            Self::Minio => "minio",
            Self::FakeGcs => "fake-gcs",
            Self::Azurite => "azurite",
            Self::Kwok => "kwok",
            Self::CoreDns => "coredns",
            Self::Restic => "restic",
            Self::Kopia => "kopia",
            Self::Velero => "velero",
            Self::VeleroAws => "velero-aws",
            Self::CsiProvisioner => "csi-provisioner",
            Self::CsiSnapshotter => "csi-snapshotter",
            Self::SnapshotDefinitions => "snapshot-definitions",
            Self::CsiSanity => "csi-sanity",
        }
    }

    /// Its version, without a leading `v`.
    #[must_use]
    pub fn version(&self) -> &str {
        match self {
            Self::Kubernetes(version) => version,
            Self::Containerd => "2.4.2",
            Self::Cni => "1.9.1",
            Self::VersityGw => "1.8.0",
            Self::Minio => "0.0.0-20260212201848-7aac2a2c5b7c",
            Self::FakeGcs => "1.56.1",
            // The newest that runs with the Node.js of Debian 12.
            Self::Azurite => "3.35.0",
            Self::Kwok => "0.8.0",
            Self::CoreDns => "1.15.0",
            Self::Restic => "0.19.1",
            Self::Kopia => "0.21.1",
            Self::Velero => "1.18.3",
            Self::VeleroAws => "1.14.3",
            Self::CsiProvisioner => "5.3.0",
            Self::CsiSnapshotter => "8.7.0",
            Self::SnapshotDefinitions => "8.6.0",
            Self::CsiSanity => "5.6.0",
        }
    }

    fn module(&self) -> &'static str {
        match self {
            Self::Kubernetes(_) => "k8s.io/kubernetes",
            Self::Containerd => "github.com/containerd/containerd/v2",
            Self::Cni => "github.com/containernetworking/plugins",
            Self::VersityGw => "github.com/versity/versitygw",
            Self::Minio => "github.com/minio/minio",
            Self::FakeGcs => "github.com/fsouza/fake-gcs-server",
            Self::Azurite => "azurite",
            Self::Kwok => "sigs.k8s.io/kwok",
            Self::CoreDns => "github.com/coredns/coredns",
            Self::Restic => "github.com/restic/restic",
            Self::Kopia => "github.com/kopia/kopia",
            Self::Velero => "github.com/vmware-tanzu/velero",
            Self::VeleroAws => "github.com/vmware-tanzu/velero-plugin-for-aws",
            Self::CsiProvisioner => "github.com/kubernetes-csi/external-provisioner/v5",
            Self::CsiSnapshotter => "github.com/kubernetes-csi/external-snapshotter/v8",
            Self::SnapshotDefinitions => "github.com/kubernetes-csi/external-snapshotter/client/v8",
            Self::CsiSanity => "github.com/kubernetes-csi/csi-test/v5",
        }
    }

    fn recipe(&self) -> Recipe {
        match self {
            Self::Kubernetes(_) => Recipe::Kubernetes,
            Self::Containerd => {
                Recipe::Install(&["cmd/containerd", "cmd/containerd-shim-runc-v2", "cmd/ctr"])
            }
            Self::Cni => Recipe::Install(&[
                "plugins/main/bridge",
                "plugins/main/loopback",
                "plugins/main/ptp",
                "plugins/ipam/host-local",
                "plugins/meta/portmap",
            ]),
            Self::VersityGw => Recipe::Install(&["cmd/versitygw"]),
            Self::VeleroAws => Recipe::Install(&["velero-plugin-for-aws"]),
            Self::Minio | Self::CoreDns => Recipe::Install(&[""]),
            Self::FakeGcs => Recipe::Around(GCS_MAIN),
            Self::Azurite => Recipe::Npm { program: "azurite-blob", file: "dist/src/blob/main.js" },
            Self::Kwok => Recipe::InstallWithFiles(
                &["cmd/kwok"],
                "stages.yaml",
                &[
                    "kustomize/stage/node/fast/node-initialize.yaml",
                    "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
                    "kustomize/stage/pod/fast/pod-ready.yaml",
                    "kustomize/stage/pod/fast/pod-complete.yaml",
                    "kustomize/stage/pod/fast/pod-delete.yaml",
                ],
            ),
            Self::Restic => Recipe::Wrapped { packages: &["cmd/restic"], extra: &[] },
            Self::Kopia => Recipe::Wrapped { packages: &[""], extra: &[] },
            Self::Velero => {
                Recipe::Wrapped { packages: &["cmd/velero"], extra: &[("k8s.io/cli-runtime", "v0.33.13")] }
            }
            Self::CsiProvisioner => Recipe::Wrapped { packages: &["cmd/csi-provisioner"], extra: &[] },
            Self::CsiSanity => Recipe::Wrapped { packages: &["cmd/csi-sanity"], extra: &[] },
            Self::CsiSnapshotter => {
                Recipe::Wrapped { packages: &["cmd/csi-snapshotter", "cmd/snapshot-controller"], extra: &[] }
            }
            Self::SnapshotDefinitions => Recipe::Files(
                "crds.yaml",
                &[
                    "config/crd/snapshot.storage.k8s.io_volumesnapshotclasses.yaml",
                    "config/crd/snapshot.storage.k8s.io_volumesnapshotcontents.yaml",
                    "config/crd/snapshot.storage.k8s.io_volumesnapshots.yaml",
                    "config/crd/groupsnapshot.storage.k8s.io_volumegroupsnapshotclasses.yaml",
                    "config/crd/groupsnapshot.storage.k8s.io_volumegroupsnapshotcontents.yaml",
                    "config/crd/groupsnapshot.storage.k8s.io_volumegroupsnapshots.yaml",
                ],
            ),
        }
    }

    /// Gives the built part, building it first if the cache does not have it.
    ///
    /// Two processes do not build at the same time: the second waits and finds the work done.
    pub fn build(&self, cache: &Cache, report: &Reporter) -> Result<Built> {
        let built = Built { dir: cache.parts().join(self.to_string()) };
        if built.dir.is_dir() {
            return Ok(built);
        }
        let lock = cache.parts().join("build.lock");
        let held = match FileLock::attempt(&lock)? {
            Some(held) => held,
            None => report.step("waiting for another process that builds", || FileLock::wait(&lock))?,
        };
        if !built.dir.is_dir() {
            let what = format!("building {} {}", self.name(), self.version());
            report.step(&what, || self.build_into(&built.dir, cache, &what, report))?;
        }
        drop(held);
        Ok(built)
    }

    /// Builds beside `dir` and renames, so that `dir` is whole or not there.
    fn build_into(&self, dir: &Path, cache: &Cache, what: &str, report: &Reporter) -> Result<()> {
        let work = cache.parts().join(format!(".building-{self}"));
        if work.exists() {
            std::fs::remove_dir_all(&work).at("remove", &work)?;
        }
        let build = go::Build::new(self, &work, cache.parts().join(format!("{self}.log")), what, report)?;
        match self.recipe() {
            Recipe::Install(packages) => build.install(packages)?,
            Recipe::InstallWithFiles(packages, name, files) => {
                build.install(packages)?;
                build.join_files(name, files)?;
            }
            Recipe::Wrapped { packages, extra } => build.wrapped(packages, extra)?,
            Recipe::Files(name, files) => build.join_files(name, files)?,
            Recipe::Kubernetes => kubernetes::build(&build, self.version())?,
            Recipe::Around(main) => build.around(main)?,
            Recipe::Npm { program, file } => npm::install(&build, self, program, file)?,
        }
        let out = build.finish()?;
        std::fs::rename(&out, dir).at("rename", &out)?;
        std::fs::remove_dir_all(&work).at("remove", &work)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name(), self.version())
    }
}

/// A part whose programs are there.
#[derive(Debug, Clone)]
pub struct Built {
    dir: PathBuf,
}

impl Built {
    /// The directory of its programs.
    #[must_use]
    pub fn bin_dir(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// One of its programs.
    #[must_use]
    pub fn bin(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    /// One of the files that come with it.
    #[must_use]
    pub fn share(&self, name: &str) -> PathBuf {
        self.dir.join("share").join(name)
    }
}

/// The error of a build step that ended badly.
fn failed(part: &Part, log: &Path) -> Error {
    Error::Build { part: part.to_string(), log: log.to_owned(), tail: crate::tool::tail(log, 30) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_by_its_name() {
        for part in Part::all() {
            assert_eq!(Part::named(part.name()).unwrap(), part);
        }
        assert_eq!(Part::named("kubernetes-1.35.4").unwrap(), Part::Kubernetes("1.35.4".into()));
        assert!(Part::named("kubernets").unwrap_err().to_string().contains("containerd"));
    }
}
