//! Where the story happens: two clusters and a vault, ours or the user's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Asks the shop's page through its Service, from a pod of the same cluster.
pub const PAGE: [&str; 12] = [
    "exec",
    "-n",
    "shop",
    "deploy/web",
    "-c",
    "httpd",
    "--",
    "busybox",
    "wget",
    "-q",
    "-O-",
    "http://web.shop.svc.cluster.local/cgi-bin/orders",
];

/// One cluster as the story uses it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Name in the story.
    pub name: String,
    /// Program `kubectl`.
    pub kubectl: PathBuf,
    /// Its kubeconfig, unless the user's own.
    pub kubeconfig: Option<PathBuf>,
    /// Its context.
    pub context: String,
}

impl Place {
    /// A `kubectl` command at this place.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        command.arg("--context").arg(&self.context).args(arguments);
        command
    }

    /// Runs `kubectl` and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.kubectl(arguments))
            .with_context(|| format!("kubectl {} at site {}", arguments.join(" "), self.name))
    }

    /// Applies manifests, server-side because some CRDs are too large for the annotation.
    pub fn apply(&self, namespace: &str, file: &Path) -> Result<()> {
        let path = file.to_string_lossy();
        let common = ["apply", "--server-side", "--force-conflicts", "-f", &path];
        match namespace {
            "" => self.run(&common)?,
            namespace => self.run(&[&common[..], &["-n", namespace]].concat())?,
        };
        Ok(())
    }

    /// Waits until `kubectl` with these arguments succeeds and its output pleases.
    pub fn until(
        &self,
        what: &str,
        bound: Duration,
        arguments: &[&str],
        good: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let begun = Instant::now();
        loop {
            let said = match self.run(arguments) {
                Ok(said) if good(said.trim()) => return Ok(said),
                Ok(said) => said,
                Err(error) => format!("{error:#}"),
            };
            if begun.elapsed() > bound {
                bail!(
                    "site {}: {what} did not come about within {} s; last seen: {said}",
                    self.name,
                    bound.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Asks the shop's database, at this place.
    pub fn query(&self, sql: &str) -> Result<String> {
        self.run(&[
            "exec", "-n", "shop", "db-0", "-c", "postgres", "--", "psql", "-U", "postgres", "-d", "shop",
            "-XqAt", "-c", sql,
        ])
    }

    /// Asks the shop's page through its Service, from inside this cluster. The way to a pod that has just become ready is open some moments later.
    pub fn page(&self) -> Result<String> {
        let given_up = Instant::now() + Duration::from_secs(30);
        loop {
            match self.run(&PAGE) {
                Ok(page) if page.trim().is_empty() && Instant::now() < given_up => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                said => return said,
            }
        }
    }
}

/// Runs a command and gives its standard output; a failure carries what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let done = command.stdin(Stdio::null()).output().context("cannot start it")?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(done.status.success(), "{}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    Ok(said)
}
