//! Many volumes of one application on a real site: all side by side, and one after the other.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_testbed::{CSI_CLASS, S3, Site, host};
use serde_json::{Value, json};

use super::filesystem::FileSystem;
use super::measure::{Cost, cost_of, median};
use super::report::{Report, seconds};
use super::{Arguments, enclosure};
use crate::{image, stage};

/// Volumes of the application.
const VOLUMES: usize = 20;
/// Bytes of each, in MiB, which cannot be compressed.
const MIB_EACH: usize = 64;
/// Name of the application and of its namespace.
const NAME: &str = "many";
/// How long the application may take to be there with its data.
const LIMIT: Duration = Duration::from_secs(300);

/// Measures and judges.
pub fn run(arguments: &Arguments, mut report: Report) -> Result<Report> {
    report.bench = "volumes-many";
    let each = ((MIB_EACH as f64 * arguments.scale) as usize).max(1);
    report.work = json!({"volumes": VOLUMES, "mib_each": each});
    let ground = enclosure::ground()?;
    let disk = FileSystem::fresh(&ground, "homes")?;
    let program = arguments.program()?;
    let archive = image::write(&program, &disk.path().join("image.tar"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (alone, beside) =
        runtime.block_on(measure(&program, &archive, disk.path(), each, arguments.runs, &mut report))?;
    let time = |costs: &[Cost]| median(&costs.iter().map(|cost| cost.seconds).collect::<Vec<_>>());
    report.note_ratio("side_by_side", time(&beside) / time(&alone));
    let row = |name: &str, costs: &[Cost]| {
        let rate = (VOLUMES * each) as f64 / time(costs);
        vec![name.to_owned(), seconds(time(costs)), format!("{rate:.0} MiB/s")]
    };
    let rows = vec![row("one after the other", &alone), row("side by side", &beside)];
    report.table("volumes of one application", &["", "backup", "rate"], rows);
    report.details.insert("alone".into(), serde_json::to_value(&alone)?);
    report.details.insert("beside".into(), serde_json::to_value(&beside)?);
    report.hold("side_by_side", 0.5);
    Ok(report)
}

/// Alternates between both ways; every backup goes into a vault of its own.
async fn measure(
    program: &Path,
    archive: &Path,
    homes: &Path,
    each: usize,
    runs: usize,
    report: &mut Report,
) -> Result<(Vec<Cost>, Vec<Cost>)> {
    host::prepare(&stage::reporter())?;
    let s3 = S3::start().await?;
    let site = Site::builder(NAME).csi().image(archive).report(stage::reporter()).start().await?;
    site.apply(&manifests(each)).await?;
    site.wait(NAME, "pod/user", "condition=Ready", LIMIT).await.context("the volumes are not filled")?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for run in 0..runs {
        report.note_load();
        for (movers, costs) in [(1, &mut alone), (VOLUMES, &mut beside)] {
            let bucket = s3.bucket(&format!("{NAME}-{run}-{movers}")).await?;
            let vault = Vault { program: program.to_owned(), home: homes.join(&bucket), bucket };
            vault.init(&site, &s3)?;
            let cost = vault.backup(&site, &s3, movers)?;
            eprintln!("    {movers:>2} at once: {:.1} s", cost.seconds);
            costs.push(cost);
        }
    }
    site.stop().await?;
    s3.stop().await?;
    Ok((alone, beside))
}

/// The claims, and a pod that fills them before it is ready.
fn manifests(each: usize) -> String {
    let mut all = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAME}}}\n---\n");
    let (mut mounts, mut volumes) = (String::new(), String::new());
    for n in 0..VOLUMES {
        let _ = write!(
            all,
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: v{n}, namespace: {NAME}}}\n\
             spec: {{storageClassName: {CSI_CLASS}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n---\n"
        );
        let _ = writeln!(mounts, "    - {{name: v{n}, mountPath: /v/{n}}}");
        let _ = writeln!(volumes, "  - {{name: v{n}, persistentVolumeClaim: {{claimName: v{n}}}}}");
    }
    let fill = format!(
        "for v in /v/*; do dd if=/dev/urandom of=$v/data bs=1M count={each} 2>/dev/null; done; sync; touch /ready; exec sleep 1000000"
    );
    let _ = write!(
        all,
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: user, namespace: {NAME}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n\
         \x20 - name: c\n    image: testbed.local/busybox:1\n    imagePullPolicy: Never\n    command: [sh, -c, '{fill}']\n\
         \x20   readinessProbe: {{exec: {{command: [test, -e, /ready]}}, periodSeconds: 5}}\n    volumeMounts:\n{mounts}  volumes:\n{volumes}"
    );
    all
}

/// A home and a bucket for one backup.
struct Vault {
    program: PathBuf,
    home: PathBuf,
    bucket: String,
}

impl Vault {
    fn command(&self, site: &Site, s3: &S3) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(&self.home).env("KUBECONFIG", site.kubeconfig());
        command.envs(s3.env()).env_remove("RUST_BACKTRACE");
        command
    }

    fn init(&self, site: &Site, s3: &S3) -> Result<()> {
        let (url, key) = (format!("s3://{}/dr", self.bucket), self.home.with_extension("key"));
        let mut init = self.command(site, s3);
        init.args(["vault", "init", NAME, "--url", &url, "--endpoint", &s3.endpoint(), "--recovery-key"])
            .arg(key);
        let mut add = self.command(site, s3);
        add.args(["app", "add", NAME, "--namespace", NAME, "--context", site.name()]);
        for command in [&mut init, &mut add] {
            let done = command.output().context("cannot start holdfast")?;
            let said = String::from_utf8_lossy(&done.stderr);
            ensure!(done.status.success(), "holdfast: {}: {}", done.status, said.trim());
        }
        Ok(())
    }

    /// Backs up with so many movers at once; every volume must have been captured.
    fn backup(&self, site: &Site, s3: &S3, movers: usize) -> Result<Cost> {
        let mut command = self.command(site, s3);
        command.args([
            "backup",
            NAME,
            "--context",
            site.name(),
            "-o",
            "json",
            "--movers",
            &movers.to_string(),
        ]);
        let (cost, said) = cost_of(&mut command, &[0])?;
        let point: Value = serde_json::from_str(&said).context("holdfast printed no JSON")?;
        let captured = point["volumes"].as_array().map_or(0, Vec::len);
        ensure!(captured == VOLUMES, "{captured} of {VOLUMES} volumes were captured");
        Ok(cost)
    }
}
