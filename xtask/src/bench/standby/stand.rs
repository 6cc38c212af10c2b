//! Two sites, an S3 server between them, and the program with a vault on it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use holdfast_testbed::{S3, Site, host};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::bench::measure::{Cost, cost_of};
use crate::demo::program::Program;
use crate::{image, stage};

const BUCKET: &str = "standby";

/// What everything here runs on.
pub struct Stand {
    runtime: Runtime,
    s3: S3,
    /// Where the application is.
    pub a: Site,
    /// Where it stands by.
    pub b: Site,
    /// `holdfast`, which knows both and the vault.
    pub program: Program,
}

impl Stand {
    /// Starts it all; the program's home is in `directory`.
    pub fn start(binary: &Path, directory: &Path) -> Result<Self> {
        host::prepare(&stage::reporter())?;
        let archive = image::write(binary, &directory.join("image.tar"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let site = |name: &str| Site::builder(name).csi().image(&archive).report(stage::reporter()).start();
        let (s3, a, b) = runtime.block_on(async {
            let s3 = S3::start().await?;
            s3.bucket(BUCKET).await?;
            let (a, b) = tokio::try_join!(site("a"), site("b"))?;
            anyhow::Ok((s3, a, b))
        })?;
        let kubeconfigs = std::env::join_paths([a.kubeconfig(), b.kubeconfig()])?;
        let program = Program::new(binary, &directory.join("home"))
            .with("KUBECONFIG", kubeconfigs)
            .with("AWS_ACCESS_KEY_ID", s3.access_key())
            .with("AWS_SECRET_ACCESS_KEY", s3.secret_key());
        let (url, key) = (format!("s3://{BUCKET}/dr"), directory.join("recovery.key"));
        let key = key.to_string_lossy();
        let endpoint = s3.endpoint();
        let init = ["vault", "init", "main", "--url", &url, "--endpoint", &endpoint, "--recovery-key", &key];
        program.run(&init)?;
        Ok(Self { runtime, s3, a, b, program })
    }

    /// Runs the program to its end; gives its cost and what it reports, which must be complete.
    pub fn measured(&self, arguments: &[&str]) -> Result<(Cost, Value)> {
        const COMPLETE_OR_PARTIAL: [i32; 2] = [0, 3];
        let mut command = self.program.command(arguments);
        let (cost, said) = cost_of(command.args(["-o", "json"]), &COMPLETE_OR_PARTIAL)?;
        let report: Value = serde_json::from_str(&said).context("holdfast printed no JSON")?;
        let what = arguments.join(" ");
        ensure!(report["outcome"] == "Completed", "holdfast {what}: {:#}", report["problems"]);
        Ok((cost, report))
    }

    /// Makes a point.
    pub fn backup(&self, name: &str) -> Result<Cost> {
        Ok(self.measured(&["backup", name, "--context", "a"])?.0)
    }

    /// Applies manifests at a site.
    pub fn apply(&self, site: &Site, manifests: &str) -> Result<()> {
        self.runtime.block_on(site.apply(manifests))?;
        Ok(())
    }

    /// Runs `kubectl` at a site.
    pub fn kubectl(&self, site: &Site, arguments: &[&str]) -> Result<String> {
        Ok(self.runtime.block_on(site.kubectl(arguments))?)
    }

    /// Waits until `kubectl` says what is wanted.
    pub fn until(
        &self,
        site: &Site,
        limit: Duration,
        arguments: &[&str],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        loop {
            let said = self.kubectl(site, arguments);
            match said {
                Ok(said) if wanted(said.trim()) => return Ok(()),
                said if begun.elapsed() > limit => {
                    bail!("site {}: kubectl {}: last seen {said:?}", site.name(), arguments.join(" "))
                }
                _ => std::thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    /// Takes it all down.
    pub fn stop(self) -> Result<()> {
        self.runtime.block_on(async {
            self.a.stop().await?;
            self.b.stop().await?;
            self.s3.stop().await?;
            Ok(())
        })
    }
}
