//! PostgreSQL under load, captured by its own protocol: every acknowledged transaction comes back.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use holdfast_testbed::{Cache, KUBERNETES, Part, Reporter};

use crate::program::Program;
use crate::shop::Shop;
use crate::stand::{Stand, kubectl};

/// Transactions a second.
const RATE: u32 = 200;

/// A customer with several sessions, each counting what was acknowledged.
struct Load {
    sessions: Vec<Child>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicI64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(shop: &Shop<'_>) -> Self {
        const SESSIONS: u32 = 4;
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicI64::new(0));
        let (mut sessions, mut threads) = (Vec::new(), Vec::new());
        for session in 0..SESSIONS {
            let mut psql = psql(shop);
            let (mut input, output) =
                (psql.stdin.take().expect("stdin"), psql.stdout.take().expect("stdout"));
            let (stopped, count) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            threads.push(std::thread::spawn(move || {
                let sql = format!("insert into orders (item) values ('session {session}') returning id;\n");
                let pause = Duration::from_secs(1) * SESSIONS / RATE;
                while !stopped.load(Ordering::Relaxed) && input.write_all(sql.as_bytes()).is_ok() {
                    std::thread::sleep(pause);
                }
            }));
            threads.push(std::thread::spawn(move || {
                let lines = BufReader::new(output).lines().map_while(Result::ok);
                for _id in lines.filter_map(|line| line.parse::<i64>().ok()) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }));
            sessions.push(psql);
        }
        Self { sessions, stop, acknowledged, threads }
    }

    fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for session in &mut self.sessions {
            session.kill().expect("a session is ours to end");
            session.wait().expect("it ends");
        }
        self.threads.drain(..).for_each(|thread| thread.join().expect("a session's thread"));
    }
}

fn psql(shop: &Shop<'_>) -> Child {
    let cache = Cache::of_user().expect("a cache");
    let kubectl = Part::Kubernetes(KUBERNETES.into()).build(&cache, &Reporter::silent()).expect("kubectl");
    Command::new(kubectl.bin("kubectl"))
        .arg("--kubeconfig")
        .arg(shop.site.kubeconfig())
        .args(["exec", "-i", "-n", &shop.namespace, "db-0", "-c", "postgres", "--"])
        .args(["psql", "-U", "postgres", "-d", "shop", "-XqAt"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("psql starts")
}

/// Captures under load by PostgreSQL's own protocol and restores.
fn restores_hold_every_acknowledged_transaction(name: &str, rounds: usize) {
    let stand = Stand::get();
    let shop = Shop::deploy(&stand.a, name);
    every_restore_holds_what_was_promised(&shop, &shop.application(), "application", rounds);
}

/// Captures under load from a snapshot of the volume, without a word to PostgreSQL, and restores.
fn snapshots_hold_every_acknowledged_transaction(name: &str, rounds: usize) {
    let stand = Stand::get();
    let shop = Shop::deploy_on_snapshots(&stand.a, name);
    every_restore_holds_what_was_promised(&shop, &shop.application_without_hooks(), "group", rounds);
}

/// Every restore must start, be whole, and hold what was promised before its capture.
fn every_restore_holds_what_was_promised(
    shop: &Shop<'_>,
    application: &str,
    consistency: &str,
    rounds: usize,
) {
    let (stand, name) = (Stand::get(), shop.namespace.as_str());
    let program = Program::new(stand, name);
    shop.order(50_000);
    program.init_vault();
    program.add(name, application);
    let load = Load::start(shop);
    for round in 1..=rounds {
        let promised = promise(&load);
        let point = program.ok(&["backup", name, "--context", "a", "-o", "json"]).json();
        assert_eq!(point["outcome"], "Completed", "{point:#}");
        assert_eq!(point["consistency"], consistency, "{point:#}");
        let copy = format!("{name}-{round}");
        let map = format!("{name}={copy}");
        let id = point["id"].as_str().expect("an id");
        program.ok(&["restore", id, "--to", "b", "--allow-privileged", "--namespace-map", &map]);
        let restored = Shop::at(&stand.b, &copy);
        let found: i64 = restored
            .query("select count(*) from orders where item like 'session %'")
            .parse()
            .expect("a count");
        assert!(
            found >= promised,
            "round {round}: {promised} transactions were acknowledged before the capture, {found} restored"
        );
        assert_eq!(restored.query("select count(*) from orders where item like 'hat %'"), "50000");
        assert_eq!(restored.query("select coalesce(sum(checksum_failures), 0) from pg_stat_database"), "0");
        kubectl(&stand.b, &["delete", "namespace", &copy, "--wait=false"]);
    }
    load.end();
    stand.retire(&[name]);
}

/// Waits for some more transactions, then gives how many are acknowledged.
fn promise(load: &Load) -> i64 {
    let (from, begun) = (load.acknowledged(), Instant::now());
    while load.acknowledged() < from + 100 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the load stands still at {from}");
        std::thread::sleep(Duration::from_millis(20));
    }
    load.acknowledged()
}

#[test]
fn a_capture_under_load_holds_every_acknowledged_transaction() {
    restores_hold_every_acknowledged_transaction("pg", 2);
}

#[test]
fn a_snapshot_under_load_holds_every_acknowledged_transaction() {
    snapshots_hold_every_acknowledged_transaction("pg-cut", 2);
}

#[test]
#[ignore = "long: twenty snapshots and restores"]
fn long_twenty_of_twenty_snapshots_hold_every_acknowledged_transaction() {
    snapshots_hold_every_acknowledged_transaction("pg-cut-twenty", 20);
}

#[test]
#[ignore = "long: twenty captures and restores"]
fn long_twenty_of_twenty_restores_hold_every_acknowledged_transaction() {
    restores_hold_every_acknowledged_transaction("pg-twenty", 20);
}
