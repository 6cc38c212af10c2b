//! Two sites and object storage between them: what is cut off, what burns, and what that leaves to the other.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use holdfast_testbed::{HOST_ADDRESS, Partition, Result, S3, Site};

const LIMIT: Duration = Duration::from_secs(90);

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: probe}
spec:
  containers: [{name: probe, image: "testbed.local/busybox:1", command: [sleep, "3600"]}]
"#;

#[tokio::test]
async fn one_site_burns_and_the_other_goes_on() -> Result<()> {
    let s3 = S3::start().await?;
    let b = Site::builder("b").node().default_storage_class("fast-b");
    let (mut a, b) = tokio::try_join!(Site::builder("a").node().start(), b.start())?;
    println!("a: {:?}\nb: {:?}", a.times(), b.times());
    println!("memory: a {} MiB, b {} MiB", a.memory_mib()?, b.memory_mib()?);
    for site in [&a, &b] {
        site.apply(POD).await?;
        site.wait("default", "pod/probe", "condition=Ready", LIMIT).await?;
        assert!(reaches_s3(site, &s3).await, "{} reaches S3", site.name());
    }
    assert!(b.kubectl(&["get", "storageclass"]).await?.contains("fast-b (default)"));

    for how in [Partition::Unplugged, Partition::Blackhole] {
        a.partition(how)?;
        assert!(!answers(&a), "{how:?}: the host does not reach a");
        assert!(answers(&b));
        a.heal()?;
        let begun = Instant::now();
        while !answers(&a) {
            assert!(begun.elapsed() < LIMIT, "{how:?}: healed");
        }
        assert!(reaches_s3(&a, &s3).await, "{how:?}: a reaches S3 again");
    }

    let begun = Instant::now();
    a.kill().await?;
    println!("a burnt: {:.1?}", begun.elapsed());
    assert!(!answers(&a));
    assert!(a.kubeconfig().is_file() && a.logs_dir().join("kubelet.log").is_file());
    assert!(!a.volumes_dir().exists() && !a.kubelet_root().exists());
    assert!(reaches_s3(&b, &s3).await, "b does not notice");
    b.stop().await?;
    s3.stop().await
}

#[tokio::test]
async fn a_component_that_dies_is_named_and_can_come_back() -> Result<()> {
    let mut site = Site::builder("c").start().await?;
    site.kill_component("kube-apiserver")?;
    assert!(site.kubectl(&["get", "ns"]).await.is_err());
    site.restart_component("kube-apiserver")?;
    let begun = Instant::now();
    while site.kubectl(&["get", "--raw", "/readyz"]).await.is_err() {
        assert!(begun.elapsed() < LIMIT);
    }
    let error = site.pause("kube-apisrver").unwrap_err().to_string();
    assert!(error.contains("kube-apiserver, "), "{error}");
    site.stop().await
}

/// Whether the host gets a connection to the site's API server.
fn answers(site: &Site) -> bool {
    let address = format!("{}:6443", site.address()).parse().expect("an address");
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

/// Whether a pod of the site gets an answer of the server's at the host's address.
async fn reaches_s3(site: &Site, s3: &S3) -> bool {
    let ask = format!(
        "printf 'GET / HTTP/1.1\\r\\nHost: s3\\r\\nConnection: close\\r\\n\\r\\n' | nc -w 5 {HOST_ADDRESS} {}",
        s3.address().port()
    );
    let answer = site.exec("default", "probe", &["sh", "-c", &ask]).await;
    answer.is_ok_and(|answer| answer.contains("HTTP/1.1"))
}
