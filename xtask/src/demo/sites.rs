//! The setting of the story: two sites and an S3 server of ours, or what the user brings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_testbed::host::prepare;
use holdfast_testbed::{Cache, KUBERNETES, Part, S3, Site, fixtures, images};
use tempfile::TempDir;

use super::ground::Place;
use super::program::Program;
use super::telling::Telling;
use crate::workspace::{self, Profile};
use crate::{image, stage};

/// Namespaces of the third-party applications and their fixtures.
const THIRD_PARTY: [(&str, &str); 5] = [
    ("boutique", "online-boutique"),
    ("bookinfo", "bookinfo"),
    ("bookinfo", "bookinfo-mesh"),
    ("guestbook", "guestbook"),
    ("cassandra", "cassandra"),
];
const CRDS: [&str; 4] = ["istio", "calico", "volumesnapshot", "kubesphere"];
const BUCKET: &str = "vault";

/// What is running once the setting stands.
pub struct Stage {
    pub s3: S3,
    pub a: Site,
    pub b: Site,
    /// The program `holdfast`.
    pub binary: PathBuf,
    /// Its home and the merged kubeconfig.
    pub directory: TempDir,
    /// How `vault init` is told of the vault.
    pub vault: Vec<String>,
    /// The stock program.
    pub restic: PathBuf,
}

/// Builds what is missing and starts two sites and an S3 server.
pub async fn set(telling: &Telling) -> Result<Stage> {
    let report = stage::reporter();
    prepare(&report)?;
    let cache = Cache::of_user()?;
    let mut parts = Part::of_site(KUBERNETES);
    parts.extend([Part::VersityGw, Part::Kwok, Part::Restic]);
    for part in parts {
        part.build(&cache, &report)?;
    }
    let restic = Part::Restic.build(&cache, &report)?.bin("restic");
    workspace::build_testbed()?;
    let binary = workspace::build_program(Profile::Release)?.join("holdfast");
    let archive = image::write(&binary, &image::default_path())?;

    let s3 = S3::start().await?;
    s3.bucket(BUCKET).await?;
    let postgres = images::postgres(&cache, &report)?;
    let start =
        |name: &str| Site::builder(name).node().kwok_nodes(1).image(&archive).image(&postgres).start();
    let (a, b) = tokio::try_join!(start("a"), start("b"))?;
    for site in [&a, &b] {
        let times = site.times();
        telling.fact(
            &format!("site {}", site.name()),
            format!(
                "Kubernetes {KUBERNETES}, control plane after {:.1} s, node Ready after {:.1} s",
                times.control_plane.as_secs_f64(),
                times.node.as_secs_f64(),
            ),
        );
    }
    telling.fact("S3", s3.endpoint());
    let directory = tempfile::tempdir()?;
    let vault = vault_arguments(&format!("s3://{BUCKET}/dr"), Some(&s3.endpoint()), directory.path());
    Ok(Stage { s3, a, b, binary, directory, vault, restic })
}

fn vault_arguments(url: &str, endpoint: Option<&str>, directory: &Path) -> Vec<String> {
    let key = directory.join("recovery.key").to_string_lossy().into_owned();
    let mut arguments: Vec<String> = ["--url", url, "--recovery-key", &key].map(str::to_owned).to_vec();
    if let Some(endpoint) = endpoint {
        arguments.extend(["--endpoint".to_owned(), endpoint.to_owned()]);
    }
    arguments
}

/// A site as the story uses it.
pub fn place(site: &Site, cache_kubectl: &Path) -> Place {
    Place {
        name: site.name().to_owned(),
        kubectl: cache_kubectl.to_owned(),
        kubeconfig: Some(site.kubeconfig()),
        context: site.name().to_owned(),
    }
}

/// `kubectl` as built for the sites.
pub fn kubectl() -> Result<PathBuf> {
    let cache = Cache::of_user()?;
    Ok(Part::Kubernetes(KUBERNETES.into()).build(&cache, &stage::reporter())?.bin("kubectl"))
}

/// The program with the sites' contexts and the server's credentials.
pub fn program(stage: &Stage) -> Result<Program> {
    let kubeconfigs = std::env::join_paths([stage.a.kubeconfig(), stage.b.kubeconfig()])?;
    Ok(Program::new(&stage.binary, &stage.directory.path().join("home"))
        .with("KUBECONFIG", kubeconfigs)
        .with("AWS_ACCESS_KEY_ID", stage.s3.access_key())
        .with("AWS_SECRET_ACCESS_KEY", stage.s3.secret_key()))
}

/// Deploys the third-party applications with the definitions they need.
pub fn thirdparty(place: &Place) -> Result<()> {
    for name in CRDS {
        place.apply("", &fixtures::crds_path(name))?;
    }
    place.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
    let directory = tempfile::tempdir()?;
    for (namespace, fixture) in THIRD_PARTY {
        let manifest = directory.path().join(format!("{namespace}.yaml"));
        std::fs::write(&manifest, fixtures::kwok_namespace(namespace))?;
        place.apply("", &manifest)?;
        place.apply(namespace, &fixtures::app_path(fixture))?;
    }
    for namespace in ["boutique", "bookinfo", "guestbook"] {
        place.run(&[
            "wait",
            "-n",
            namespace,
            "--for=condition=Available",
            "--timeout=90s",
            "deploy",
            "--all",
        ])?;
    }
    let ready = "jsonpath={.status.readyReplicas}";
    place.until(
        "Cassandra",
        Duration::from_secs(90),
        &["get", "-n", "cassandra", "sts/cassandra", "-o", ready],
        |said| said == "3",
    )?;
    Ok(())
}

/// Leaves everything running and says what to try.
pub fn keep(telling: &Telling, stage: Stage, holdfast: &Program) -> Result<()> {
    let Stage { s3, a, b, directory, restic, .. } = stage;
    let (kubeconfig, home) = (b.kubeconfig(), directory.keep());
    drop(a);
    telling.say("site b and the S3 server keep running. Try:");
    telling.command(&format!("export KUBECONFIG={}", kubeconfig.display()));
    telling.command(&format!(
        "export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}",
        s3.access_key(),
        s3.secret_key()
    ));
    telling.command(&format!("{} points shop", holdfast.shown()));
    telling.command(&format!(
        "{} restore shop/latest --to b --namespace-map shop=shop-copy --allow-privileged",
        holdfast.shown()
    ));
    telling.command(&format!(
        "eval \"$({} vault restic-env shop)\" && {} snapshots",
        holdfast.shown(),
        restic.display()
    ));
    telling.command("holdfast-testbed list      # and `holdfast-testbed down b` when you are done");
    telling.fact("home", home.display());
    b.keep()?;
    s3.keep()?;
    Ok(())
}

/// A context of the user's kubeconfig.
pub fn own_place(context: &str) -> Result<Place> {
    let place = Place {
        name: context.to_owned(),
        kubectl: "kubectl".into(),
        kubeconfig: None,
        context: context.to_owned(),
    };
    place
        .run(&["version", "--request-timeout=10s"])
        .context("is kubectl on PATH and the cluster reachable?")?;
    let existing = place.run(&["get", "namespaces", "-o", "name"])?;
    ensure!(
        !existing.lines().any(|line| line == "namespace/shop"),
        "context {context} already has a namespace `shop`; the story would disturb it. Remove it or use another cluster"
    );
    Ok(place)
}

/// The user's own vault.
pub fn own_vault(url: &str, endpoint: Option<&str>, directory: &Path) -> Vec<String> {
    vault_arguments(url, endpoint, directory)
}

/// The shop's manifests, with the images of a registry of the user's.
pub fn examples(registry: Option<&str>, directory: &Path) -> Result<PathBuf> {
    let original = workspace::root().join("examples");
    let Some(registry) = registry else { return Ok(original) };
    let own = directory.join("examples");
    std::fs::create_dir_all(own.join("shop"))?;
    for file in ["crd.yaml", "shop.yaml", "neighbour.yaml", "application.yaml"] {
        let text = std::fs::read_to_string(original.join("shop").join(file))?;
        std::fs::write(own.join("shop").join(file), text.replace("testbed.local/", &format!("{registry}/")))?;
    }
    Ok(own)
}
