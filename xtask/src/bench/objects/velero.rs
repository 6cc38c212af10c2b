//! Velero, as its users run it, except that its server is a process on this machine and not a pod:
//! client limits lifted, so that it is not measured by its own brake.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use holdfast_testbed::{Cache, Part, S3, Site};

use super::shape::Shape;
use super::{Measured, control_plane, floor};
use crate::bench::measure::{Cost, Watch};
use crate::stage;

const BUCKET: &str = "velero";
/// What restores look at to learn which image their helpers have; nothing runs by it.
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: velero, namespace: velero}\nspec:\n  \
    replicas: 0\n  selector: {matchLabels: {deploy: velero}}\n  template:\n    metadata: {labels: {deploy: velero}}\n    \
    spec: {containers: [{name: velero, image: \"velero/velero:v1.18.3\"}]}\n";

/// How long its server may take to be ready for work.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long a backup or restore may take.
const DONE_WITHIN: Duration = Duration::from_secs(1_800);

/// Backs the objects of a shape up from one site and restores them to another.
pub async fn measure(shape: Shape, measured: &mut Measured) -> Result<()> {
    let s3 = S3::start().await?;
    s3.bucket(BUCKET).await?;
    let home = tempfile::tempdir()?;
    let velero = Velero::new(&s3, home.path().to_owned())?;
    let source = control_plane("velero-a").await?;
    shape.fill(&source.client()).await?;
    let server = velero.serve(&source).await?;
    let namespaces = shape.all_namespaces().join(",");
    let backup =
        ["backup", "create", "bench", "--include-namespaces", &namespaces, "--snapshot-volumes=false"];
    measured.note("velero capture", velero.work(&source, &server, "backup", &backup).await?);
    drop(server);
    source.stop().await?;

    let target = control_plane("velero-b").await?;
    let server = velero.serve(&target).await?;
    velero.until(&target, "backups/bench", "{.status.phase}", |phase| phase == "Completed").await?;
    let restore = ["restore", "create", "bench", "--from-backup", "bench"];
    measured.note("velero restore", velero.work(&target, &server, "restore", &restore).await?);
    let found = floor::count(&target.client(), &shape).await?;
    ensure!(found == shape.count, "Velero restored {found} of {} Secrets", shape.count);
    drop(server);
    target.stop().await?;
    s3.stop().await?;
    Ok(())
}

struct Velero {
    program: PathBuf,
    home: PathBuf,
    location: String,
}

/// A server that is killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Velero {
    fn new(s3: &S3, home: PathBuf) -> Result<Self> {
        let (cache, report) = (Cache::of_user()?, stage::reporter());
        let program = Part::Velero.build(&cache, &report)?.bin("velero");
        let plugin = Part::VeleroAws.build(&cache, &report)?.bin("velero-plugin-for-aws");
        let plugins = home.join("plugins");
        std::fs::create_dir(&plugins)?;
        std::fs::copy(&plugin, plugins.join("velero-plugin-for-aws"))?;
        let (access, secret) = (s3.access_key(), s3.secret_key());
        let location = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: velero}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: cloud, namespace: velero}}\nstringData:\n  cloud: |\n    \
             [default]\n    aws_access_key_id={access}\n    aws_secret_access_key={secret}\n---\n\
             apiVersion: velero.io/v1\nkind: BackupStorageLocation\n\
             metadata: {{name: default, namespace: velero}}\nspec:\n  provider: aws\n  default: true\n  \
             objectStorage: {{bucket: {BUCKET}}}\n  credential: {{name: cloud, key: cloud}}\n  \
             config: {{region: {}, s3ForcePathStyle: \"true\", s3Url: \"{}\", checksumAlgorithm: \"\"}}\n",
            s3.region(),
            s3.endpoint(),
        );
        let location = format!("{location}---\n{DEPLOYMENT}");
        Ok(Self { program, home, location })
    }

    fn command(&self, site: &Site) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", site.kubeconfig()).env("HOME", &self.home).current_dir(&self.home);
        command.env("VELERO_NAMESPACE", "velero").stdin(Stdio::null());
        command
    }

    /// Installs it at a site and starts its server, which is ready once the storage was found valid.
    async fn serve(&self, site: &Site) -> Result<Server> {
        let installed = self.command(site).args(["install", "--crds-only"]).output()?;
        let said = String::from_utf8_lossy(&installed.stderr).into_owned();
        ensure!(installed.status.success(), "velero install: {said}");
        site.apply(&self.location).await?;
        let log = File::create(self.home.join(format!("{}.log", site.name())))?;
        let mut server = self.command(site);
        server.arg("server").arg("--plugin-dir").arg(self.home.join("plugins"));
        server.args(["--client-qps", "5000", "--client-burst", "10000", "--backup-sync-period", "5s"]);
        server.args(["--metrics-address", "127.0.0.1:0", "--profiler-address", "127.0.0.1:0"]);
        server.stdout(log.try_clone()?).stderr(log);
        let server = Server(server.spawn().context("cannot start velero")?);
        self.until(site, "backupstoragelocations/default", "{.status.phase}", |phase| phase == "Available")
            .await?;
        Ok(server)
    }

    /// Has something done and measures the server's cost until it is.
    async fn work(&self, site: &Site, server: &Server, what: &str, arguments: &[&str]) -> Result<Cost> {
        let watch = Watch::begin(server.0.id());
        let asked = self.command(site).args(arguments).output()?;
        ensure!(asked.status.success(), "velero {what}: {}", String::from_utf8_lossy(&asked.stderr));
        let object = format!("{what}s/bench");
        let ended = |phase: &str| phase.starts_with("Completed") || phase.contains("Failed");
        let phase = self.until(site, &object, "{.status.phase}", ended).await?;
        let cost = watch.end();
        ensure!(phase == "Completed", "velero {what}: {phase}; {}", self.log_of(site));
        Ok(cost)
    }

    /// Waits until a field of an object of Velero's pleases, and gives it.
    async fn until(
        &self,
        site: &Site,
        object: &str,
        field: &str,
        good: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let limit = if object.starts_with("backupstorage") { READY_WITHIN } else { DONE_WITHIN };
        let (begun, mut last) = (Instant::now(), String::new());
        let (object, output) = (object.replacen('/', ".velero.io/", 1), format!("jsonpath={field}"));
        while begun.elapsed() < limit {
            match site.kubectl(&["-n", "velero", "get", &object, "-o", &output]).await {
                Ok(found) if good(found.trim()) => return Ok(found.trim().to_owned()),
                Ok(found) => last = found,
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bail!("velero at {}: {object} is `{last}`; {}", site.name(), self.log_of(site))
    }

    /// The errors and the end of its server's log.
    fn log_of(&self, site: &Site) -> String {
        let log = std::fs::read_to_string(self.home.join(format!("{}.log", site.name()))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let errors = lines.iter().filter(|line| line.contains("level=error")).take(10);
        let last = lines.iter().skip(lines.len().saturating_sub(10));
        let shown: Vec<&str> = errors.chain(last).copied().collect();
        format!("its log:\n{}", shown.join("\n"))
    }
}
