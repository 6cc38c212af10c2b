//! A site with two real nodes: how their pods find each other, where volumes are, and what a dead node leaves.

use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_testbed::{CSI_LATE_CLASS, CSI_SHARED_CLASS, HOST_ADDRESS, Partition, Result, Site};

const LIMIT: Duration = Duration::from_secs(90);

/// What a test's pods do besides: a process of the machine by whose command line they are found.
const SLEEP: [&str; 2] = ["71001", "71002"];

#[tokio::test]
#[ignore = "long: a node has to be missed"]
async fn pods_of_two_nodes_find_each_other_and_one_node_dies() -> Result<()> {
    let mut site = Site::builder("pair").csi().nodes(2).start().await?;
    println!("started: {:?}, {} MiB", site.times(), site.memory_mib()?);
    assert_eq!(site.node_names(), ["pair-node", "pair-node-1"]);
    for number in 0..2 {
        site.apply(&server(number)).await?;
    }
    for number in 0..2 {
        site.wait("default", &format!("pod/web-{number}"), "condition=Ready", LIMIT).await?;
    }
    pods_are_in_their_zones(&site).await?;
    pods_find_each_other(&site).await?;
    what_is_inside_goes_on_when_the_site_is_cut_off(&site).await?;
    a_node_is_cut_off_and_found_again(&mut site).await?;
    a_late_volume_is_in_the_zone_of_its_pod(&site).await?;
    a_shared_volume_is_at_the_node_of_its_pod(&site).await?;
    a_dead_node_is_noticed_and_comes_back(&mut site).await?;
    the_control_plane_outlives_the_node_beside_it(&mut site).await?;
    let (dir, begun) = (site.logs_dir().parent().expect("its directory").to_owned(), Instant::now());
    site.stop().await?;
    println!("stopped: {:.1?}", begun.elapsed());
    // Directories of its other nodes are beside its own, and so are other tests' sites.
    let own = dir.display().to_string();
    let mut left = mounts_below(dir.parent().expect("the run's directory"));
    left.retain(|point| point.starts_with(&own));
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn more_nodes_than_addresses_are_refused() {
    let error = Site::builder("crowd").nodes(9).start().await.unwrap_err();
    assert_eq!(error.code(), "testbed.too_many_nodes");
}

async fn pods_are_in_their_zones(site: &Site) -> Result<()> {
    for (number, node) in site.node_names().iter().enumerate() {
        assert_eq!(get(site, &format!("pod/web-{number}"), "{.spec.nodeName}").await?, *node);
        let ready = r#"{.status.conditions[?(@.type=="Ready")].status}"#;
        assert_eq!(get(site, &format!("node/{node}"), ready).await?, "True");
        let range = get(site, &format!("node/{node}"), "{.spec.podCIDR}").await?;
        let address = address(site, number).await?;
        let third =
            |text: &str| text.split('.').nth(2).expect("a number").parse::<usize>().expect("a number");
        assert_eq!(third(&range), 16 * number, "{range}");
        assert_eq!(third(&address) / 16, number, "{address}");
    }
    Ok(())
}

async fn pods_find_each_other(site: &Site) -> Result<()> {
    for number in 0..2 {
        let (here, there) = (format!("web-{number}"), format!("web-{}", 1 - number));
        let own = address(site, number).await?;
        let cluster = get(site, &format!("service/{there}"), "{.spec.clusterIP}").await?;
        for target in
            [address(site, 1 - number).await?, cluster, format!("{there}.default.svc.cluster.local")]
        {
            let said = ask(site, &here, &target).await?;
            assert!(said.starts_with(&there), "{here} asks {target}: {said}");
            assert!(said.contains(&format!("{own}:")), "{there} sees {here}'s own address, {own}: {said}");
        }
        assert!(site.kubectl(&["logs", &here]).await?.contains(&format!("{here} started")));
        assert_eq!(answer_to_host(&own).as_deref(), Some(here.as_str()), "the host reaches {here}");
    }
    Ok(())
}

/// Both ways of cutting a site off leave its nodes each other.
async fn what_is_inside_goes_on_when_the_site_is_cut_off(site: &Site) -> Result<()> {
    let (there, probe) = (address(site, 1).await?, format!("bash -c 'exec 3<>/dev/tcp/{HOST_ADDRESS}/1'"));
    let outside = || {
        let said =
            site.command_in_netns("timeout").args(["2", "sh", "-c", &probe]).output().expect("bash runs");
        String::from_utf8_lossy(&said.stderr).contains("refused")
    };
    assert!(outside(), "the host is there, and nobody listens");
    for how in [Partition::Unplugged, Partition::Blackhole] {
        let begun = Instant::now();
        site.partition(how)?;
        assert!(!outside() && answer_to_host(&there).is_none(), "{how:?}");
        let inner = format!("exec 3<>/dev/tcp/{there}/8080 && head -n1 <&3");
        let said = site.command_in_netns("bash").args(["-c", &inner]).output().expect("bash runs");
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "web-1", "{how:?}");
        site.heal()?;
        while answer_to_host(&there).is_none() {
            assert!(begun.elapsed() < LIMIT, "{how:?}: healed");
        }
        println!("site cut off and healed, {how:?}: {:.1?}", begun.elapsed());
    }
    Ok(())
}

/// One node alone is cut off; the other and the control plane go on.
async fn a_node_is_cut_off_and_found_again(site: &mut Site) -> Result<()> {
    let there = address(site, 1).await?;
    for how in [Partition::Unplugged, Partition::Blackhole] {
        let begun = Instant::now();
        site.partition_node(1, how)?;
        assert!(ask(site, "web-0", &there).await.is_err(), "{how:?}");
        site.heal_node(1)?;
        while !ask(site, "web-0", &there).await.unwrap_or_default().starts_with("web-1") {
            assert!(begun.elapsed() < LIMIT, "{how:?}: healed");
        }
        println!("node cut off and healed, {how:?}: {:.1?}", begun.elapsed());
    }
    assert_eq!(site.partition_node(2, Partition::Unplugged).unwrap_err().code(), "testbed.no_component");
    Ok(())
}

async fn a_late_volume_is_in_the_zone_of_its_pod(site: &Site) -> Result<()> {
    let begun = Instant::now();
    site.apply(&claim("late", CSI_LATE_CLASS)).await?;
    site.apply(&pod("late", "topology.kubernetes.io/zone: pair-1", "late")).await?;
    site.wait("default", "pod/late", "condition=Ready", LIMIT).await?;
    site.exec("default", "late", &["sh", "-c", "echo kept > /data/f; sync"]).await?;
    let affinity = get(site, &volume_of(site, "late").await?, "{.spec.nodeAffinity}").await?;
    assert!(affinity.contains(r#"["pair-node-1"]"#), "{affinity}");
    println!("late volume: {:.1?}", begun.elapsed());
    Ok(())
}

async fn a_shared_volume_is_at_the_node_of_its_pod(site: &Site) -> Result<()> {
    let begun = Instant::now();
    site.apply(&claim("shared", CSI_SHARED_CLASS)).await?;
    site.wait("default", "pvc/shared", "jsonpath={.status.phase}=Bound", LIMIT).await?;
    assert_eq!(get(site, &volume_of(site, "shared").await?, "{.spec.nodeAffinity}").await?, "");
    for (number, command) in [(1, "echo from-1 > /data/f"), (0, "cat /data/f")] {
        let name = format!("shared-{number}");
        site.apply(&pod(&name, &format!("topology.kubernetes.io/zone: pair-{number}"), "shared")).await?;
        site.wait("default", &format!("pod/{name}"), "condition=Ready", LIMIT).await?;
        let said = site.exec("default", &name, &["sh", "-c", command]).await?;
        assert_eq!(said.trim(), if number == 0 { "from-1" } else { "" });
        site.kubectl(&["delete", "pod", &name, "--now"]).await?;
    }
    println!("shared volume: {:.1?}", begun.elapsed());
    Ok(())
}

async fn a_dead_node_is_noticed_and_comes_back(site: &mut Site) -> Result<()> {
    assert_eq!([running(SLEEP[0]), running(SLEEP[1])], [1, 1]);
    let root = get(site, "node/pair-node-1", r"{.metadata.annotations.holdfast\.dev/kubelet-root}").await?;
    assert!(!mounts_below(root.as_ref()).is_empty());
    let begun = Instant::now();
    site.kill_node(1).await?;
    println!("node killed: {:.1?}", begun.elapsed());
    assert_eq!([running(SLEEP[0]), running(SLEEP[1])], [1, 0]);
    assert!(mounts_below(root.as_ref()).is_empty());
    site.wait("default", "node/pair-node-1", "condition=Ready=Unknown", LIMIT).await?;
    println!("node noticed to be dead: {:.1?}", begun.elapsed());
    assert!(ask(site, "web-0", &address(site, 0).await?).await?.starts_with("web-0"), "the other goes on");

    let begun = Instant::now();
    site.start_node(1).await?;
    println!("node Ready again: {:.1?}", begun.elapsed());
    while site.exec("default", "late", &["cat", "/data/f"]).await.unwrap_or_default().trim() != "kept" {
        assert!(begun.elapsed() < LIMIT, "the volume comes back with its pod");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("its pods run again: {:.1?}", begun.elapsed());
    while !ask(site, "web-0", "web-1").await.unwrap_or_default().starts_with("web-1") {
        assert!(begun.elapsed() < LIMIT, "its Service answers");
    }
    Ok(())
}

/// With the first node DNS and the controllers of storage are away, and come back with it.
async fn the_control_plane_outlives_the_node_beside_it(site: &mut Site) -> Result<()> {
    site.kill_node(0).await?;
    assert_eq!([running(SLEEP[0]), running(SLEEP[1])], [0, 1]);
    assert!(site.exec("default", "web-0", &["true"]).await.is_err());
    site.exec("default", "web-1", &["true"]).await?;
    let begun = Instant::now();
    site.start_node(0).await?;
    println!("first node Ready again: {:.1?}", begun.elapsed());
    site.apply(&claim("after", CSI_SHARED_CLASS)).await?;
    site.wait("default", "pvc/after", "jsonpath={.status.phase}=Bound", LIMIT).await?;
    while !ask(site, "web-1", "web-0").await.unwrap_or_default().starts_with("web-0") {
        assert!(begun.elapsed() < LIMIT, "its Service answers, by its name");
    }
    println!("its pods, names and storage are back: {:.1?}", begun.elapsed());
    Ok(())
}

/// A pod of one node that says its name and who asks, behind a Service of the same name.
fn server(number: usize) -> String {
    let name = format!("web-{number}");
    let answer = format!("echo {name}; netstat -tn | grep -E \\\":8080 .*:.*(ESTAB|CLOSE)\\\"");
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{selector: {{app: {name}}}, ports: [{{port: 8080}}]}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  \
         nodeSelector: {{topology.kubernetes.io/zone: pair-{number}}}\n  terminationGracePeriodSeconds: 0\n  \
         containers:\n  - name: c\n    image: testbed.local/busybox:1\n    \
         command: [sh, -c, \"sleep {} & echo {name} started; while true; do nc -l -p 8080 -e sh -c '{answer}'; done\"]\n",
        SLEEP[number]
    )
}

fn claim(name: &str, class: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\n\
         spec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
    )
}

fn pod(name: &str, selector: &str, claim: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  nodeSelector: {{{selector}}}\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: testbed.local/busybox:1\n    \
         command: [sleep, '3600']\n    volumeMounts: [{{name: d, mountPath: /data}}]\n  \
         volumes: [{{name: d, persistentVolumeClaim: {{claimName: {claim}}}}}]\n"
    )
}

/// What the server at `target` says to `pod`: its name, then the connection as it sees it.
async fn ask(site: &Site, pod: &str, target: &str) -> Result<String> {
    site.exec("default", pod, &["nc", "-w", "3", target, "8080"]).await
}

/// The first word of the server at `address` to the host, if it is reached.
fn answer_to_host(address: &str) -> Option<String> {
    let address = format!("{address}:8080").parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    said.lines().next().map(str::to_owned)
}

async fn address(site: &Site, number: usize) -> Result<String> {
    get(site, &format!("pod/web-{number}"), "{.status.podIP}").await
}

async fn volume_of(site: &Site, claim: &str) -> Result<String> {
    Ok(format!("pv/{}", get(site, &format!("pvc/{claim}"), "{.spec.volumeName}").await?))
}

async fn get(site: &Site, object: &str, path: &str) -> Result<String> {
    site.kubectl(&["get", object, &format!("-o=jsonpath={path}")]).await
}

/// How many processes of the machine are a `sleep` of exactly this length.
fn running(length: &str) -> usize {
    let line = format!("sleep\0{length}\0");
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    processes
        .filter(|process| {
            std::fs::read(process.path().join("cmdline")).is_ok_and(|cmd| cmd == line.as_bytes())
        })
        .count()
}

fn mounts_below(dir: &Path) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| Path::new(point).starts_with(dir)).map(str::to_owned).collect()
}
