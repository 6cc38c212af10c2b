//! Holdfast's command line, as a user runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use holdfast_testbed::Site;

use super::shape::Shape;
use crate::bench::measure::{Cost, cost_of};

/// The release program and a directory for homes and vaults.
pub struct Holdfast {
    binary: PathBuf,
    directory: PathBuf,
}

/// A vault with one application in it.
pub struct VaultOf<'a> {
    holdfast: &'a Holdfast,
    home: PathBuf,
}

const APPLICATION: &str = "bench";

impl Holdfast {
    /// The built program; vaults go below `directory`.
    pub fn new(binary: PathBuf, directory: &Path) -> Self {
        Self { binary, directory: directory.to_owned() }
    }

    /// Its version.
    pub fn version(&self) -> Result<String> {
        let done = Command::new(&self.binary).arg("--version").output().context("cannot start holdfast")?;
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// Makes a vault of its own and declares the namespaces of a shape as an application.
    pub fn vault(&self, name: &str, site: &Site, shape: &Shape) -> Result<VaultOf<'_>> {
        let directory = self.directory.join(name);
        std::fs::create_dir_all(directory.join("vault"))?;
        let vault = VaultOf { holdfast: self, home: directory.join("home") };
        let url = format!("file://{}", directory.join("vault").display());
        let key = directory.join("recovery.key");
        vault.run(
            vault.command(site).args(["vault", "init", "bench", "--url", &url, "--recovery-key"]).arg(key),
        )?;
        let mut add = vault.command(site);
        add.args(["app", "add", APPLICATION]);
        for namespace in shape.all_namespaces() {
            add.args(["--namespace", &namespace]);
        }
        vault.run(&mut add)?;
        Ok(vault)
    }
}

impl VaultOf<'_> {
    /// Backs the application up.
    pub fn backup(&self, site: &Site) -> Result<Cost> {
        cost_of(self.command(site).args(["backup", APPLICATION]), &[0]).map(|(cost, _)| cost)
    }

    /// Restores the newest point to another site.
    pub fn restore(&self, from: &Site, to: &Site) -> Result<Cost> {
        let mut command = self.command(from);
        command.env("KUBECONFIG", std::env::join_paths([from.kubeconfig(), to.kubeconfig()])?);
        command.args(["restore", &format!("{APPLICATION}/latest"), "--to", to.name()]);
        cost_of(&mut command, &[0]).map(|(cost, _)| cost)
    }

    /// Plans a restore of the newest point to the site that it is of; gives the plan's JSON as well.
    pub fn plan(&self, site: &Site) -> Result<(Cost, String)> {
        let mut command = self.command(site);
        command.args(["restore", &format!("{APPLICATION}/latest"), "--to", site.name(), "--plan"]);
        cost_of(command.args(["--existing", "update", "-o", "json"]), &[0])
    }

    fn command(&self, site: &Site) -> Command {
        let mut command = Command::new(&self.holdfast.binary);
        command.arg("--home").arg(&self.home).args(["--context", site.name()]);
        command.env("KUBECONFIG", site.kubeconfig());
        command
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        let done = command.output().context("cannot start holdfast")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "holdfast: {}: {}", done.status, said.trim());
        Ok(())
    }
}
