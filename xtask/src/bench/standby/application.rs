//! What is protected: a Deployment with one volume, which it fills before it does anything else.

use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_testbed::{CSI_CLASS, Site};

use super::stand::Stand;

/// How long an application may take to be there with its data.
const LIMIT: Duration = Duration::from_secs(600);

const MIB: f64 = 1024.0;

/// Files that are written to.
const FILES: u32 = 64;

/// An application, in a namespace of its name.
pub struct Application {
    name: String,
    /// Shell commands that fill the volume, its directory being the current one.
    fill: String,
    /// Shell commands that go on for ever.
    live: String,
    gib: f64,
}

impl Application {
    /// One that overwrites so many per cent of its volume a minute, every second a piece of it, and writes the time
    /// every 100 ms: seconds since the machine booted, which site and measuring program count alike.
    pub fn writing(name: &str, gib: f64, percent: f64) -> Self {
        let each = ((gib * MIB / f64::from(FILES)) as u32).max(1);
        let piece = (gib * MIB * 1024.0 * percent / 100.0 / 60.0).max(1.0) as u32;
        let room = (each * 1024).saturating_sub(piece).clamp(1, 32_767);
        let fill = format!(
            "mkdir -p files; n=0; while [ $n -lt {FILES} ]; do \
             dd if=/dev/urandom of=files/$n bs=1M count={each} 2>/dev/null; n=$((n+1)); done"
        );
        let live = format!(
            "(while :; do dd if=/dev/urandom of=files/$((RANDOM%{FILES})) bs=1k count={piece} \
             seek=$((RANDOM%{room})) conv=notrunc 2>/dev/null; sleep 1; done) & \
             while :; do read up rest < /proc/uptime; echo $up >> beats; sleep 0.1; done"
        );
        Self { name: name.to_owned(), fill, live, gib }
    }

    /// One that has so much, which compresses well, and does nothing.
    pub fn resting(name: &str, gib: f64) -> Self {
        let files = ((gib * MIB / 64.0) as u32).max(1);
        let fill = format!(
            "mkdir -p files; dd if=/dev/zero bs=1M count=64 2>/dev/null | tr \"\\\\0\" x > all; \
             n=0; while [ $n -lt {files} ]; do cp all files/$n; \
             dd if=/dev/urandom of=files/$n bs=64k count=1 conv=notrunc 2>/dev/null; n=$((n+1)); done; rm all"
        );
        Self { name: name.to_owned(), fill, live: "exec sleep 1000000".to_owned(), gib }
    }

    /// Runs it at the first site until its volume is filled, protects it and makes its first point.
    pub fn deploy(&self, stand: &Stand) -> Result<()> {
        let name = &self.name;
        stand.apply(&stand.a, &self.manifests())?;
        stand.until(&stand.a, LIMIT, &self.exec("test -e /data/filled && echo yes"), |said| said == "yes")?;
        stand.program.run(&["app", "add", name, "--namespace", name, "--context", "a"])?;
        stand.backup(name).context("the first backup")?;
        Ok(())
    }

    /// What it says in its container.
    pub fn ask(&self, stand: &Stand, site: &Site, script: &str) -> Result<String> {
        stand.kubectl(site, &self.exec(script))
    }

    /// Removes it from a site, with its volume.
    pub fn remove(&self, stand: &Stand, site: &Site) -> Result<()> {
        stand.kubectl(site, &["delete", "namespace", &self.name, "--timeout=120s"]).map(drop)
    }

    fn exec<'a>(&'a self, script: &'a str) -> [&'a str; 8] {
        ["exec", "-n", &self.name, "deploy/user", "--", "sh", "-c", script]
    }

    fn manifests(&self) -> String {
        let Self { name, fill, live, gib } = self;
        let mib = (gib * MIB * 1.5) as u64 + 256;
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---\n\
             apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data, namespace: {name}}}\n\
             spec: {{storageClassName: {CSI_CLASS}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: {mib}Mi}}}}}}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: user, namespace: {name}}}\nspec:\n  \
             strategy: {{type: Recreate}}\n  selector: {{matchLabels: {{app: user}}}}\n  template:\n    \
             metadata: {{labels: {{app: user}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n      \
             - name: user\n        image: testbed.local/busybox:1\n        imagePullPolicy: Never\n        workingDir: /data\n        \
             command: [sh, -c, '[ -e filled ] || {{ {fill}; sync; touch filled; }}; {live}']\n        \
             volumeMounts: [{{name: d, mountPath: /data}}]\n      \
             volumes: [{{name: d, persistentVolumeClaim: {{claimName: data}}}}]\n"
        )
    }
}
