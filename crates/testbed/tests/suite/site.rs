//! One site by itself: what an application finds there.

use std::time::{Duration, Instant};

use holdfast_testbed::{Result, Site, fixtures, images, provision};

const LIMIT: Duration = Duration::from_secs(90);

/// A Deployment with its volume, behind a Service.
const SHOP: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: testbed.local/busybox:1
        command: [sh, -c, "echo started; echo forty-two > /data/answer; while true; do nc -l -p 8080 -e cat /data/answer; done"]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"#;

#[tokio::test]
async fn an_application_runs_with_its_volume_and_its_service() -> Result<()> {
    let site = Site::builder("one").node().start().await?;
    println!("started: {:?}, {} MiB", site.times(), site.memory_mib()?);
    let begun = Instant::now();
    site.apply(SHOP).await?;
    site.wait("shop", "deployment/web", "condition=Available", LIMIT).await?;
    println!("application available: {:.1?}", begun.elapsed());

    let by_name = ["nc", "web.shop.svc.cluster.local", "80"];
    assert_eq!(site.exec("shop", "deployment/web", &by_name).await?.trim(), "forty-two");
    let address = jsonpath(&site, &["service/web", "-n", "shop"], "{.spec.clusterIP}").await?;
    let reach = format!("exec 3<>/dev/tcp/{address}/80 && cat <&3");
    let answer = site.command_in_netns("bash").args(["-c", &reach]).output().expect("bash runs");
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "forty-two");
    assert!(site.kubectl(&["logs", "-n", "shop", "deployment/web"]).await?.contains("started"));

    let root =
        jsonpath(&site, &["node", &site.node_name()], r"{.metadata.annotations.holdfast\.dev/kubelet-root}")
            .await?;
    assert_eq!(root, site.kubelet_root().to_string_lossy());
    a_program_of_ours_runs_from_its_image(&site).await?;
    a_volume_lives_as_long_as_its_claim(&site).await?;
    site.stop().await
}

/// A dynamically linked program finds its loader and libraries in the image made around it.
async fn a_program_of_ours_runs_from_its_image(site: &Site) -> Result<()> {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("image.tar");
    let name = "holdfast.dev/testbed:test";
    images::archive_of_binary(name, env!("CARGO_BIN_EXE_holdfast-testbed").as_ref(), &[], &archive)?;
    site.import_image(&archive).await?;
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: ours, namespace: shop}}\nspec:\n  restartPolicy: Never\n  \
         containers: [{{name: c, image: '{name}', args: [--version], securityContext: {{runAsUser: 999}}}}]\n"
    );
    site.apply(&pod).await?;
    site.wait("shop", "pod/ours", "jsonpath={.status.phase}=Succeeded", LIMIT).await?;
    let said = site.kubectl(&["logs", "-n", "shop", "ours"]).await?;
    assert_eq!(said.trim(), concat!("holdfast-testbed ", env!("CARGO_PKG_VERSION")));
    Ok(())
}

/// The directory and the PersistentVolume go with the claim; a neighbour's stay.
async fn a_volume_lives_as_long_as_its_claim(site: &Site) -> Result<()> {
    let volume = jsonpath(site, &["pvc/data", "-n", "shop"], "{.spec.volumeName}").await?;
    let dir = site.volumes_dir().join(&volume);
    assert_eq!(std::fs::read_to_string(dir.join("answer")).expect("a file of the pod"), "forty-two\n");

    let class = format!(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: std}}\nprovisioner: {}\n---\n\
         apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: other, namespace: shop}}\n\
         spec: {{storageClassName: std, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n",
        provision::HOST_PATH
    );
    site.apply(&class).await?;
    site.wait("shop", "pvc/other", "jsonpath={.status.phase}=Bound", LIMIT).await?;
    let neighbour = jsonpath(site, &["pvc/other", "-n", "shop"], "{.spec.volumeName}").await?;

    site.kubectl(&["delete", "-n", "shop", "deployment/web", "pvc/data"]).await?;
    let object = format!("pv/{volume}");
    site.wait("shop", &object, "delete", LIMIT).await?;
    assert!(!dir.exists(), "{}", dir.display());
    assert!(site.volumes_dir().join(&neighbour).is_dir());
    Ok(())
}

#[tokio::test]
async fn kwok_nodes_run_applications_whose_images_cannot_be_had() -> Result<()> {
    let site = Site::builder("fake").kwok_nodes(2).start().await?;
    println!("started: {:?}", site.times());
    assert_eq!(site.kwok_nodes(), ["fake-kwok-1", "fake-kwok-2"]);
    site.apply(&fixtures::kwok_namespace("store")).await?;
    for crds in fixtures::CRDS {
        site.apply(&fixtures::crds(crds)?).await?;
    }
    for app in ["cassandra", "guestbook"] {
        let manifests = fixtures::app(app)?;
        let args = ["apply", "-n", "store", "--server-side", "-f", "-"];
        site.kubectl_with(&args, manifests.as_bytes()).await?;
    }
    let begun = Instant::now();
    site.wait("store", "deployment/frontend", "condition=Available", LIMIT).await?;
    site.wait("store", "statefulset/cassandra", "jsonpath={.status.readyReplicas}=3", LIMIT).await?;
    println!("fixtures available: {:.1?}", begun.elapsed());
    let bound = jsonpath(&site, &["pvc", "-n", "store"], "{.items[*].status.phase}").await?;
    assert_eq!(bound, "Bound Bound Bound");
    site.stop().await
}

#[tokio::test]
#[ignore = "long: makes the PostgreSQL image where it is not cached"]
async fn long_postgres_keeps_its_rows_on_a_volume() -> Result<()> {
    let cache = holdfast_testbed::Cache::of_user()?;
    let image = images::postgres(&cache, &holdfast_testbed::Reporter::stderr())?;
    let site = Site::builder("pg").node().image(image).start().await?;
    let manifests = SHOP.replace(images::BUSYBOX, images::POSTGRES).replace(
        r#"[sh, -c, "echo started; echo forty-two > /data/answer; while true; do nc -l -p 8080 -e cat /data/answer; done"]"#,
        r#"null
        readinessProbe: {exec: {command: [psql, -c, "select 1"]}, periodSeconds: 1}"#,
    );
    site.apply(&manifests).await?;
    site.wait("shop", "deployment/web", "condition=Available", LIMIT).await?;
    let psql = |sql: &'static str| ["psql", "-At", "-c", sql];
    let rows = "create table t as select generate_series(1, 1000) n";
    site.exec("shop", "deployment/web", &psql(rows)).await?;
    site.kubectl(&["delete", "pod", "-n", "shop", "--all", "--now"]).await?;
    site.wait("shop", "deployment/web", "condition=Available", LIMIT).await?;
    let sum = site.exec("shop", "deployment/web", &psql("select sum(n) from t")).await?;
    assert_eq!(sum.trim(), "500500");
    let bench = ["sh", "-c", "pgbench -i -q && pgbench -t 20"];
    assert!(site.exec("shop", "deployment/web", &bench).await?.contains("tps"));
    site.stop().await
}

async fn jsonpath(site: &Site, what: &[&str], path: &str) -> Result<String> {
    let format = format!("-o=jsonpath={path}");
    let mut args = vec!["get"];
    args.extend(what);
    args.push(&format);
    site.kubectl(&args).await
}
