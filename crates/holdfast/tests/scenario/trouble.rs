//! Trouble of every kind ends in success or in a clear word about what to do, never in silence.

use std::time::{Duration, Instant};

use holdfast_testbed::{FaultProxy, Faults, HOST_ADDRESS, Site};

use crate::program::{Program, Said};
use crate::shop::Shop;
use crate::stand::{Stand, apply, kubectl, until};
use crate::walk::nothing_temporary_is_left;

/// A namespace with a ConfigMap and a Secret, and its application of the same name.
fn small(stand: &Stand, program: &Program, name: &str) {
    apply(&stand.a, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
    apply(
        &stand.a,
        &format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: page, namespace: {name}}}\ndata: {{a: b}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: key, namespace: {name}}}\nstringData: {{a: b}}\n"
        ),
    );
    program.init_vault();
    program.add(name, &application(name, ""));
}

fn application(name: &str, more: &str) -> String {
    format!(
        "apiVersion: holdfast.dev/v1alpha1\nkind: Application\nmetadata: {{name: {name}}}\n\
         spec:\n  scope: {{namespaces: [{name}]}}\n{more}"
    )
}

fn says(said: &Said, words: &[&str]) {
    for word in words {
        assert!(said.stderr.contains(word), "`{word}` is missing from:\n{}", said.stderr);
    }
}

#[test]
fn a_failing_pre_hook_stops_the_backup_and_is_named() {
    let stand = Stand::get();
    let program = Program::new(stand, "prehook");
    let shop = Shop::deploy(&stand.a, "prehook");
    program.init_vault();
    let hook = "  hooks:\n    pre:\n    - name: quiesce\n      target: {namespace: prehook, labels: {app: db}}\n      \
                command: [sh, -c, 'echo disk is frozen >&2; exit 7']\n";
    program.add("prehook", &application("prehook", hook));
    let said = program.expect(1, &["backup", "prehook", "--context", "a"]);
    says(&said, &["quiesce", "db-0", "7", "disk is frozen"]);
    let points = program.ok(&["points", "prehook", "-o", "json"]).json();
    assert_eq!(points.as_array().map(Vec::len), Some(0), "{points:#}");
    nothing_temporary_is_left(stand, &program, &shop.namespace);
}

#[test]
fn a_claim_that_no_pod_mounts_is_captured_and_restored() {
    let stand = Stand::get();
    let program = Program::new(stand, "unmounted");
    let shop = Shop::deploy(&stand.a, "unmounted");
    shop.order(1_000);
    let wanted = shop.ledger(i64::MAX);
    shop.kubectl(&["scale", "sts/db", "--replicas=0"]);
    shop.until(&["get", "pods", "-l", "app=db", "-o", "name"], str::is_empty);
    program.init_vault();
    program.add("unmounted", &application("unmounted", ""));
    let point = program.ok(&["backup", "unmounted", "--context", "a", "-o", "json"]).json();
    assert_eq!(point["outcome"], "Completed", "{point:#}");
    assert_eq!(point["volumes"][0]["method"], "held-files", "{point:#}");
    nothing_temporary_is_left(stand, &program, "unmounted");
    program.ok(&["restore", "unmounted/latest", "--to", "b", "--allow-privileged"]);
    let restored = Shop::at(&stand.b, "unmounted");
    restored.kubectl(&["scale", "sts/db", "--replicas=1"]);
    restored.until(&["get", "sts/db", "-o", "jsonpath={.status.readyReplicas}"], |said| said == "1");
    assert_eq!(restored.ledger(i64::MAX), wanted);
}

#[test]
fn what_is_opted_out_is_left_out_and_listed() {
    let stand = Stand::get();
    let program = Program::new(stand, "optout");
    small(stand, &program, "optout");
    kubectl(&stand.a, &["label", "-n", "optout", "secret/key", "holdfast.dev/exclude=true"]);
    let point = program.ok(&["backup", "optout", "--context", "a", "-o", "json"]).json();
    assert_eq!(point["outcome"], "Completed");
    let excluded = point["excluded"].to_string();
    assert!(excluded.contains("optout/key"), "{excluded}");
    program.ok(&["restore", "optout/latest", "--to", "b"]);
    assert_eq!(kubectl(&stand.b, &["get", "-n", "optout", "cm/page", "-o", "jsonpath={.data.a}"]), "b");
    assert_eq!(kubectl(&stand.b, &["get", "-n", "optout", "secret/key", "--ignore-not-found"]), "");
}

/// With exactly the printed roles a backup is whole; with one rule less it is Partial and names what is missing.
#[test]
fn the_printed_roles_suffice_and_a_missing_one_is_told() {
    let stand = Stand::get();
    let mut program = Program::new(stand, "roles");
    small(stand, &program, "roles");
    let roles = program.ok(&["rbac", "--namespace", "roles"]).stdout;
    apply(&stand.a, &roles);
    let kubeconfig = program.path("limited.kubeconfig");
    limited_kubeconfig(stand, &kubeconfig);
    program.set("KUBECONFIG", kubeconfig.to_str().expect("a path in UTF-8"));
    let point = program.ok(&["backup", "roles", "--context", "limited", "-o", "json"]).json();
    assert_eq!(point["outcome"], "Completed", "{point:#}");

    deny_secrets(stand);
    let said = program.expect(3, &["backup", "roles", "--context", "limited", "-o", "json"]);
    let point = said.json();
    assert_eq!(point["outcome"], "Partial");
    assert!(point["problems"].to_string().contains("secrets"), "{:#}", point["problems"]);
}

/// A kubeconfig with the token of the ServiceAccount that the printed roles for backups are bound to.
pub fn limited_kubeconfig(stand: &Stand, path: &std::path::Path) {
    kubeconfig_of(&stand.a, "holdfast-backup", path);
}

/// A kubeconfig with the token of a ServiceAccount that printed roles are bound to, as context `limited`.
pub fn kubeconfig_of(site: &Site, account: &str, path: &std::path::Path) {
    let token = kubectl(site, &["create", "token", "-n", "holdfast-system", account, "--duration=1h"]);
    let path = path.to_str().expect("a path in UTF-8");
    std::fs::copy(site.kubeconfig(), path).expect("a copy");
    let config = ["config", "--kubeconfig", path];
    let set = |arguments: &[&str]| kubectl(site, &[&config[..], arguments].concat());
    set(&["set-credentials", "limited", &format!("--token={}", token.trim())]);
    let cluster = format!("--cluster={}", site.name());
    set(&["set-context", "limited", &cluster, "--user=limited"]);
}

/// Reads everything in the namespace but Secrets.
fn deny_secrets(stand: &Stand) {
    let core = "configmaps,endpoints,events,limitranges,persistentvolumeclaims,pods,podtemplates,\
                replicationcontrollers,resourcequotas,serviceaccounts,services";
    let groups = "apps,autoscaling,batch,coordination.k8s.io,discovery.k8s.io,events.k8s.io,networking.k8s.io,\
                  policy,rbac.authorization.k8s.io,resource.k8s.io,storage.k8s.io,shop.example,trouble.example";
    let patch = format!(
        r#"{{"rules": [{{"apiGroups": [""], "resources": [{}], "verbs": ["get", "list"]}},
                       {{"apiGroups": [{}], "resources": ["*"], "verbs": ["get", "list"]}}]}}"#,
        quoted(core),
        quoted(groups)
    );
    kubectl(&stand.a, &["patch", "role", "-n", "roles", "holdfast-backup", "--type=merge", "-p", &patch]);
}

fn quoted(names: &str) -> String {
    names.split(',').map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_server_that_pauses_in_mid_upload_delays_the_backup_and_no_more() {
    let stand = Stand::get();
    let s3 = crate::stand::block_on(holdfast_testbed::S3::start()).expect("an S3 server of its own");
    let mut program = Program::new(stand, "pause");
    crate::stand::block_on(s3.bucket("pause")).expect("a bucket");
    (program.vault_url, program.endpoint) = ("s3://pause/dr".to_owned(), s3.endpoint());
    program.set("AWS_ACCESS_KEY_ID", s3.access_key());
    program.set("AWS_SECRET_ACCESS_KEY", s3.secret_key());
    let shop = Shop::deploy(&stand.a, "pause");
    shop.order(200_000);
    program.init_vault();
    program.add("pause", &shop.application());
    let mut run = program.start(&["backup", "pause", "--context", "a"]);
    std::thread::sleep(Duration::from_secs(2)); // in the middle of things
    s3.pause();
    std::thread::sleep(Duration::from_secs(8)); // how long the outage lasts
    s3.resume();
    let ended = run.wait().expect("it ends");
    assert_eq!(ended.code(), Some(0), "see the evidence of `pause`");
    let check = program.restic("pause", &["check", "--read-data"]);
    assert!(check.stdout.contains("no errors were found"), "{check:#?}");
}

/// A store at the end of a long thin line that breaks now and then, for the program and its movers.
#[test]
fn a_slow_store_behind_a_breaking_line_costs_time_and_nothing_else() {
    let stand = Stand::get();
    let line = FaultProxy::start(HOST_ADDRESS, stand.s3.address()).expect("a relay");
    let mut program = Program::new(stand, "slow");
    program.endpoint = line.endpoint();
    let shop = Shop::deploy(&stand.a, "slow");
    shop.order(20_000);
    program.init_vault();
    program.add("slow", &shop.application());
    let (latency, bandwidth) = (Duration::from_millis(40), Some(4 << 20));
    line.set(Faults { latency, bandwidth, ..Faults::default() });
    let mut run = program.start(&["backup", "slow", "--context", "a"]);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(2)); // somewhere in the middle
        line.cut();
    }
    let ended = run.wait().expect("it ends");
    assert_eq!(ended.code(), Some(0), "see the evidence of `slow`");
    let wanted = shop.ledger(i64::MAX);
    line.set(Faults { latency, bandwidth: Some(16 << 20), ..Faults::default() });
    program.ok(&["restore", "slow/latest", "--to", "b", "--allow-privileged"]);
    assert_eq!(Shop::at(&stand.b, "slow").ledger(i64::MAX), wanted);
    line.set(Faults::default());
    let check = program.restic("slow", &["check", "--read-data"]);
    assert!(check.stdout.contains("no errors were found"), "{check:#?}");
}

/// A small file system; unmounted when dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(path: std::path::PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&path).expect("the mount point");
        let small = Self(path);
        small.run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "small"]);
        small
    }

    fn grow(&self, size: &str) {
        self.run("mount", &["-o", &format!("remount,size={size}")]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let done = std::process::Command::new(program).args(arguments).arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "{program} {arguments:?}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_store_is_named_and_more_room_is_enough() {
    let stand = Stand::get();
    let mut program = Program::new(stand, "full");
    let store = Small::mount(program.path("store"), "1m");
    program.vault_url = format!("file://{}/dr", store.0.display());
    program.endpoint.clear();
    small(stand, &program, "full");
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for number in 0..4 {
        // Letters that do not repeat: they compress by a quarter and no more.
        let bytes: String = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'A' + (state >> 32) as u8 % 58)
        })
        .map(|letter| if letter == '\\' { 'x' } else { letter })
        .take(600_000)
        .collect();
        let map = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("big-{number}"), "namespace": "full"}, "data": {"a": bytes}});
        // Too long for the annotation that `kubectl apply` makes.
        let path = program.path("big.json");
        std::fs::write(&path, map.to_string()).expect("a manifest");
        kubectl(&stand.a, &["create", "-f", path.to_str().expect("UTF-8")]);
    }
    let refused = program.expect(1, &["backup", "full", "--context", "a", "-o", "json"]);
    says(&refused, &["vault.storage.full", "free or add space and run again"]);
    assert!(program.ok(&["points", "full", "-o", "json"]).json().as_array().is_some_and(Vec::is_empty));
    store.grow("64m");
    let done = program.ok(&["backup", "full", "--context", "a", "-o", "json"]).json();
    assert_eq!(done["outcome"], "Completed", "{done:#}");
    program.ok(&["vault", "check", "--read-data"]);
    program.ok(&["restore", "full/latest", "--to", "b"]);
}

#[test]
fn wrong_addresses_and_keys_are_named_at_once() {
    let stand = Stand::get();
    let mut program = Program::new(stand, "wrong");
    let key = program.path("k").to_str().expect("UTF-8").to_owned();
    let endpoint = program.endpoint.clone();
    let init = [
        "vault",
        "init",
        "main",
        "--url",
        "s3://no-such-bucket/x",
        "--endpoint",
        &endpoint,
        "--recovery-key",
        &key,
    ];
    says(&program.expect(1, &init), &["no-such-bucket"]);

    small(stand, &program, "wrong");
    let begun = Instant::now();
    let said = program.expect(1, &["backup", "wrong", "--context", "no-such-context"]);
    says(&said, &["no-such-context"]);
    let secret = stand.s3.secret_key().to_owned();
    program.set("AWS_SECRET_ACCESS_KEY", "not-the-secret");
    let said = program.expect(1, &["backup", "wrong", "--context", "a"]);
    says(&said, &["AWS_SECRET_ACCESS_KEY"]);
    program.set("AWS_SECRET_ACCESS_KEY", &secret);
    assert!(begun.elapsed() < Duration::from_secs(60), "a wrong key took {:?}", begun.elapsed());

    let config = std::fs::read_to_string(stand.a.kubeconfig()).expect("a kubeconfig");
    let dead = program.path("dead.kubeconfig");
    std::fs::write(&dead, config.replace(":6443", ":6")).expect("written");
    program.set("KUBECONFIG", dead.to_str().expect("UTF-8"));
    let begun = Instant::now();
    says(&program.expect(1, &["backup", "wrong", "--context", "a"]), &[":6"]);
    assert!(begun.elapsed() < Duration::from_secs(60), "an unreachable cluster took {:?}", begun.elapsed());
}

#[test]
fn a_second_run_on_one_application_refuses_or_waits() {
    let stand = Stand::get();
    let program = Program::new(stand, "second");
    let shop = Shop::deploy(&stand.a, "second");
    shop.order(100_000);
    program.init_vault();
    program.add("second", &shop.application());
    let mut first = program.start(&["backup", "second", "--context", "a"]);
    let lease = [
        "get",
        "leases",
        "-n",
        "holdfast-system",
        "-o",
        "jsonpath={.items[*].spec.holderIdentity}",
        "--ignore-not-found",
    ];
    until(&stand.a, Duration::from_secs(30), &lease, |said| !said.is_empty());
    let refused = program.run(&["backup", "second", "--context", "a", "--refuse"]);
    let waited = program.run(&["backup", "second", "--context", "a", "--wait"]);
    assert!(first.wait().expect("it ends").success());
    assert_eq!(refused.code, 1, "{refused:#?}");
    assert_eq!(waited.code, 0, "{waited:#?}");
}

#[test]
fn ctrl_c_releases_the_application_and_cleans_up() {
    let stand = Stand::get();
    let program = Program::new(stand, "ctrlc");
    let shop = Shop::deploy(&stand.a, "ctrlc");
    shop.order(200_000);
    program.init_vault();
    program.add("ctrlc", &shop.application());
    let mut run = program.start(&["backup", "ctrlc", "--context", "a"]);
    shop.until(
        &[
            "exec",
            "db-0",
            "-c",
            "postgres",
            "--",
            "psql",
            "-U",
            "postgres",
            "-XqAtc",
            "select count(*) from pg_replication_slots",
        ],
        |said| said == "1",
    );
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("SIGINT is sent");
    let ended = run.wait().expect("it ends");
    assert_eq!(ended.code(), Some(1));
    assert_eq!(shop.query("select count(*) from pg_replication_slots"), "0");
    nothing_temporary_is_left(stand, &program, "ctrlc");
}

#[test]
fn a_dead_conversion_webhook_makes_the_point_partial_and_is_named() {
    let stand = Stand::get();
    let program = Program::new(stand, "webhook");
    small(stand, &program, "webhook");
    apply(&stand.a, WEBHOOK_CRD);
    kubectl(
        &stand.a,
        &["wait", "--for=condition=Established", "--timeout=30s", "crd/gadgets.trouble.example"],
    );
    apply(
        &stand.a,
        "{apiVersion: trouble.example/v1, kind: Gadget, metadata: {name: g, namespace: webhook}}",
    );
    kubectl(&stand.a, &["patch", "crd", "gadgets.trouble.example", "--type=json", "-p", WEBHOOK_SWITCH]);
    let said = program.expect(3, &["backup", "webhook", "--context", "a", "-o", "json"]);
    kubectl(&stand.a, &["delete", "crd", "gadgets.trouble.example", "--wait=false"]);
    let problems = said.json()["problems"].to_string();
    assert!(problems.contains("gadgets") && problems.contains("webhook"), "{problems}");
}

const WEBHOOK_CRD: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.trouble.example}
spec:
  group: trouble.example
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
"#;

/// A second version becomes the stored one, and conversion goes to a Service that is not there.
const WEBHOOK_SWITCH: &str = r#"[
  {"op": "replace", "path": "/spec/versions/0/storage", "value": false},
  {"op": "add", "path": "/spec/versions/-", "value": {"name": "v2", "served": true, "storage": true,
    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
  {"op": "replace", "path": "/spec/conversion", "value": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
    "clientConfig": {"service": {"namespace": "nowhere", "name": "gone"}}}}}
]"#;

/// Commands run in what was restored, when it is ready; one that fails is named, and what it keeps from running, too.
#[test]
fn hooks_run_after_a_restore() {
    let stand = Stand::get();
    let program = Program::new(stand, "restored");
    apply(&stand.a, "{apiVersion: v1, kind: Namespace, metadata: {name: restored}}");
    apply(
        &stand.a,
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: box, namespace: restored}\nspec:\n  \
         selector: {matchLabels: {app: box}}\n  template:\n    metadata: {labels: {app: box}}\n    spec:\n      \
         terminationGracePeriodSeconds: 0\n      containers:\n      - name: box\n        \
         image: testbed.local/busybox:1\n        imagePullPolicy: Never\n        command: [sh, -c, sleep 3600]\n",
    );
    program.init_vault();
    let hook = |name: &str, command: &str, more: &str| {
        format!(
            "    - name: {name}\n      target: {{namespace: restored, labels: {{app: box}}}}\n      \
             command: [sh, -c, '{command}']\n{more}"
        )
    };
    let hooks = [
        "  hooks:\n    restored:\n".to_owned(),
        hook(
            "clean",
            "test ! -e /tmp/dirty || { echo it is dirty >&2; exit 5; }",
            "      onFailure: continue\n",
        ),
        hook("register", "echo $HOSTNAME >> /tmp/registered; test ! -e /tmp/taken", ""),
        hook("last", "touch /tmp/last", ""),
    ];
    program.add("restored", &application("restored", &hooks.concat()));
    program.ok(&["backup", "restored", "--context", "a"]);
    let restore = ["restore", "restored/latest", "--to", "b", "--namespace-map", "restored=restored-b"];
    let plan = program.ok(&[&restore[..], &["--plan"]].concat()).stdout;
    assert!(plan.contains("hook register runs `sh -c echo $HOSTNAME"), "{plan}");

    let report = program.ok(&[&restore[..], &["-o", "json"]].concat()).json();
    let names = |report: &serde_json::Value| {
        let ran = report["hooks"].as_array().into_iter().flatten();
        ran.map(|hook| hook["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&report), ["clean", "register", "last"], "{report:#}");
    let inside = |command: &str| {
        let exec = ["-n", "restored-b", "exec", "deploy/box", "--", "sh", "-c", command];
        kubectl(&stand.b, &exec)
    };
    assert_eq!(inside("wc -l < /tmp/registered").trim(), "1");

    inside("touch /tmp/dirty /tmp/taken; rm /tmp/last");
    let report = program.expect(3, &[&restore[..], &["-o", "json"]].concat()).json();
    assert_eq!(names(&report), [""; 0], "{report:#}");
    let problems = report["problems"].as_array().unwrap();
    let told: Vec<&str> = problems.iter().map(|problem| problem["message"].as_str().unwrap()).collect();
    assert!(
        told.len() == 3 && problems.iter().all(|problem| problem["code"] == "restore.hook"),
        "{report:#}"
    );
    assert!(told.iter().any(|message| message.contains("exit code 5: it is dirty")), "{told:?}");
    assert!(told.contains(&"was not run, because hook register failed"), "{told:?}");
    assert_eq!(inside("ls /tmp/last 2>&1 | grep -c No").trim(), "1");
    assert_eq!(inside("wc -l < /tmp/registered").trim(), "2", "hooks run in every restore");

    program.expect(3, &[&restore[..], &["--ready-within", "0s"]].concat());
    program.ok(&[&restore[..], &["--no-hooks"]].concat());
    program.ok(&[&restore[..], &["--kinds", "configmaps"]].concat());
    assert_eq!(inside("wc -l < /tmp/registered").trim(), "2");
    stand.retire(&["restored", "restored-b"]);
}

/// Before anything may be deleted, what is there is in a point, which is not taken for the application's latest.
#[test]
fn what_may_be_deleted_is_in_a_point_before() {
    let stand = Stand::get();
    let program = Program::new(stand, "before");
    small(stand, &program, "before");
    program.ok(&["backup", "before", "--context", "a"]);
    let latest = program.ok(&["points", "before", "-o", "json"]).json()[0]["id"].clone();
    kubectl(&stand.a, &["-n", "before", "delete", "configmap", "page"]);
    apply(
        &stand.a,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page, namespace: before}\nimmutable: true\ndata: {a: other}\n",
    );
    let restore = ["restore", "before/latest", "--to", "a", "--existing", "configmaps=recreate"];
    let plan = program.ok(&[&restore[..], &["--plan"]].concat()).stdout;
    assert!(plan.contains("would be deleted and created anew"), "{plan}");
    assert_eq!(program.ok(&["points", "before", "-o", "json"]).json().as_array().map(Vec::len), Some(1));

    let report = program.ok(&[&restore[..], &["-o", "json"]].concat()).json();
    let data = ["-n", "before", "get", "configmap", "page", "-o", "jsonpath={.data.a}"];
    assert_eq!(kubectl(&stand.a, &data), "b");
    let points = program.ok(&["points", "before", "-o", "json"]).json();
    let (id, before) = (&points[1]["id"], &points[1]["before"]);
    assert_eq!((before, &report["before"], &report["point"]), (&latest, id, &latest), "{points:#}");
    let shown = program.ok(&["point", "show", "before/latest", "-o", "json"]).json();
    assert_eq!(shown["id"], latest, "{shown:#}");

    let id = id.as_str().unwrap();
    let back = ["restore", id, "--to", "a", "--existing", "replace", "--only", "configmap/before/page"];
    program.ok(&back);
    assert_eq!(kubectl(&stand.a, &data), "other");
    stand.retire(&["before"]);
}

/// A namespace becomes what the point is: planned, applied as planned, verified.
#[test]
fn what_came_after_the_point_goes_when_that_is_asked_for() {
    let stand = Stand::get();
    let program = Program::new(stand, "exact");
    small(stand, &program, "exact");
    program.ok(&["backup", "exact", "--context", "a"]);
    let later = |name: &str| {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: exact}}\n");
        apply(&stand.a, &text);
    };
    let left = || {
        let names = ["-n", "exact", "get", "configmaps", "-o", "jsonpath={.items[*].metadata.name}"];
        kubectl(&stand.a, &names)
    };
    let verify = |code| program.expect(code, &["verify", "exact/latest", "--against", "a", "--exact"]).stdout;
    assert!(verify(0).contains("Completed"));
    later("later");
    assert!(verify(3).contains("configmaps exact/later"));
    program.ok(&["verify", "exact/latest", "--against", "a"]);

    let file = program.path("exact.plan").to_string_lossy().into_owned();
    let restore = ["restore", "exact/latest", "--to", "a"];
    let make = |file: &str| {
        let planning = ["--existing", "prune", "--plan", "--plan-file", file];
        program.ok(&[&restore[..], &planning].concat()).stdout
    };
    let plan = make(&file);
    assert!(plan.contains("Would be deleted") && plan.contains("configmaps exact/later"), "{plan}");
    assert_eq!(left(), "kube-root-ca.crt later page");
    later("latest");
    let apply_plan = |code| program.expect(code, &[&restore[..], &["--plan-file", &file]].concat());
    let refused = apply_plan(1).stderr;
    assert!(refused.contains("configmaps exact/latest was not in the plan"), "{refused}");
    assert_eq!(left(), "kube-root-ca.crt later latest page");
    std::fs::remove_file(&file).unwrap();
    make(&file);
    let report = apply_plan(0).stdout;
    assert!(report.contains("DELETED") && report.contains("configmaps exact/later"), "{report}");
    assert_eq!(left(), "kube-root-ca.crt page");
    assert!(verify(0).contains("Completed"));

    let points = program.ok(&["points", "exact", "-o", "json"]).json();
    let before = points.as_array().unwrap().iter().find(|point| point["before"].is_string()).unwrap();
    let id = before["id"].as_str().unwrap();
    program.ok(&["restore", id, "--to", "a", "--only", "configmaps/exact/later"]);
    assert_eq!(left(), "kube-root-ca.crt later page");
    stand.retire(&["exact"]);
}
