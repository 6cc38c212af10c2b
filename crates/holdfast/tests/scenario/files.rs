//! Data restored where it is: volumes in place, and single files, by movers and straight from the vault.

use std::time::Duration;

use holdfast_testbed::{CSI_CLASS, FaultProxy, Faults, Site};
use serde_json::Value;

use crate::keys;
use crate::program::Program;
use crate::stand::{Stand, apply, kubectl, until};
use crate::walk::nothing_temporary_is_left;

const LIMIT: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;

/// An application with a volume of a CSI driver's at `/data` and one of the default class at `/more`.
struct App<'a> {
    site: &'a Site,
    name: &'a str,
}

impl<'a> App<'a> {
    fn deploy(site: &'a Site, name: &'a str) -> Self {
        let claim = |claim: &str, class: &str| {
            format!(
                "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {claim}, namespace: {name}}}\n\
                 spec: {{{class}accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n---\n"
            )
        };
        let pod = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: app, namespace: {name}}}\n\
             spec:\n  replicas: 1\n  strategy: {{type: Recreate}}\n  selector: {{matchLabels: {{app: app}}}}\n\
             \x20 template:\n    metadata: {{labels: {{app: app}}}}\n    spec:\n\
             \x20     terminationGracePeriodSeconds: 1\n      containers:\n      - name: app\n\
             \x20       image: testbed.local/busybox:1\n        imagePullPolicy: Never\n\
             \x20       command: [sh, -c, 'while true; do sleep 1; done']\n\
             \x20       volumeMounts: [{{name: data, mountPath: /data}}, {{name: more, mountPath: /more}}]\n\
             \x20     volumes:\n      - {{name: data, persistentVolumeClaim: {{claimName: data}}}}\n\
             \x20     - {{name: more, persistentVolumeClaim: {{claimName: more}}}}\n"
        );
        apply(site, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
        let class = format!("storageClassName: {CSI_CLASS}, ");
        apply(site, &format!("{}{}{pod}", claim("data", &class), claim("more", "")));
        let app = Self { site, name };
        app.ready();
        app
    }

    fn ready(&self) {
        let ready = "jsonpath={.status.readyReplicas}";
        until(self.site, LIMIT, &["get", "deploy/app", "-n", self.name, "-o", ready], |said| said == "1");
    }

    fn scale(&self, replicas: u32) {
        let replicas = format!("--replicas={replicas}");
        kubectl(self.site, &["scale", "deploy/app", "-n", self.name, &replicas]);
        if replicas == "--replicas=0" {
            let pods = ["get", "pods", "-n", self.name, "-l", "app=app", "-o", "name"];
            until(self.site, LIMIT, &pods, |said| said.is_empty());
        } else {
            self.ready();
        }
    }

    /// Runs a script in the application's container.
    fn sh(&self, script: &str) -> String {
        kubectl(self.site, &["exec", "-n", self.name, "deploy/app", "--", "sh", "-c", script])
    }

    /// Everything of `/data`: names, modes, owners and content.
    fn listing(&self) -> String {
        self.sh("cd /data && find . | sort | xargs stat -c '%n %a %u:%g %F %h %Y' && find . -type f | sort | xargs md5sum")
    }

    fn manifest(&self) -> String {
        format!(
            "apiVersion: holdfast.dev/v1alpha1\nkind: Application\nmetadata: {{name: {0}}}\n\
             spec:\n  scope: {{namespaces: [{0}]}}\n",
            self.name
        )
    }

    fn protect(&self, program: &Program) {
        program.init_vault();
        program.add(self.name, &self.manifest());
        let point = program.ok(&["backup", self.name, "--context", "a", "-o", "json"]).json();
        assert_eq!(point["outcome"], "Completed", "{point:#}");
    }
}

/// A configuration, a log, and something large.
const CONTENT: &str = "mkdir -p /data/etc/app /data/log/old && echo one > /data/etc/app/app.conf && \
    echo a > /data/log/a.gz && echo b > /data/log/old/b.gz && echo c > /data/log/current && \
    ln /data/log/current /data/log/same && ln -s app/app.conf /data/etc/link && \
    chmod 640 /data/etc/app/app.conf && head -c 40000000 /dev/urandom > /data/large && \
    echo more > /more/file && sync";

fn volume(report: &Value) -> &Value {
    &report["volumes"][0]
}

#[test]
fn a_volume_is_brought_back_in_place() {
    let stand = Stand::get();
    let program = Program::new(stand, "in-place");
    let app = App::deploy(&stand.a, "in-place");
    app.sh(CONTENT);
    app.protect(&program);
    let before = app.listing();
    app.sh("echo two > /data/etc/app/app.conf; chmod 777 /data/etc/app/app.conf; rm -r /data/log/old; \
        rm /data/etc/link; mkdir /data/etc/link; echo x > /data/etc/link/x; echo extra > /data/extra; \
        rm /data/log/same; cp /data/log/current /data/log/same; \
        echo changed | dd of=/data/large bs=1 seek=20000000 conv=notrunc; sync");

    // While a pod may write to it, it is not touched.
    let restore =
        ["volume", "restore", "in-place/latest", "--claim", "in-place/data", "--to", "a", "--in-place"];
    let refused = program.expect(1, &[&restore[..], &["-o", "json"]].concat()).json();
    let problem = &refused["problems"][0];
    assert_eq!(problem["code"], "volume.in_use", "{refused:#}");
    assert!(problem["message"].as_str().is_some_and(|said| said.contains("app-")), "{refused:#}");
    assert_eq!(app.sh("cat /data/etc/app/app.conf").trim(), "two");

    app.scale(0);
    let all = [&restore[..], &["--delete", "--verify", "-o", "json"]].concat();
    keys::never_seen_while(stand, &program, "in-place", || {
        let report = program.ok(&all).json();
        let told = volume(&report);
        assert_eq!(
            (&report["outcome"], &told["verdict"]),
            (&"Completed".into(), &"updated".into()),
            "{report:#}"
        );
        let number = |field: &str| told[field].as_u64().expect(field);
        assert!(number("bytesWritten") < 9 * MIB, "{report:#}");
        assert_eq!(number("deleted"), 3, "`extra`, and `link` with what is in it: {report:#}");
        assert!(told["verified"]["bytes"].as_u64() >= Some(40_000_000), "{report:#}");
        assert_eq!(told["verified"]["different"], 0, "{report:#}");
    });
    let again = program.ok(&all).json();
    assert_eq!(volume(&again)["verdict"], "unchanged", "{again:#}");
    app.scale(1);
    assert_eq!(app.listing(), before);
    nothing_temporary_is_left(stand, &program, "in-place");
}

#[test]
fn files_are_listed_printed_and_restored_without_a_cluster() {
    let stand = Stand::get();
    let mut program = Program::new(stand, "files");
    let app = App::deploy(&stand.a, "files");
    app.sh(CONTENT);
    app.protect(&program);
    program.set("KUBECONFIG", "/nonexistent");
    let said = |arguments: &[&str]| program.ok(&[&["files"], arguments].concat()).stdout;
    let volumes = said(&["ls", "files/latest"]);
    assert!(volumes.contains("files/data") && volumes.contains("files/more"), "{volumes}");
    let top = said(&["ls", "files/latest", "data"]);
    let names: Vec<&str> = top.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(names, ["etc", "large", "log"], "{top}");
    let deep = said(&["ls", "files/latest", "files/data", "/log", "-R"]);
    assert!(deep.contains("/log/old/b.gz") && !deep.contains("/etc"), "{deep}");
    let found = program.ok(&["files", "ls", "files/latest", "data", "*.gz", "-o", "json"]).json();
    let paths: Vec<&str> =
        found.as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/log/a.gz", "/log/old/b.gz"]);
    let link = said(&["ls", "files/latest", "data", "/etc"]);
    assert!(link.contains("link -> app/app.conf"), "{link}");

    assert_eq!(said(&["cat", "files/latest", "data", "/etc/app/app.conf"]), "one\n");
    let dumped = program
        .restic("files", &["dump", "--tag", "holdfast:claim=files/data", "latest", "/volume/log/current"]);
    assert_eq!(said(&["cat", "files/latest", "data", "log/same"]), dumped.stdout);
    for (path, named) in [("/etc/app/app.cnf", "/etc/app/app.cnf"), ("/ect/app", "no directory `/ect`")] {
        let missing = program.expect(1, &["files", "cat", "files/latest", "data", path]);
        assert!(missing.stderr.contains(named) && missing.stderr.contains("files/data"), "{missing:?}");
    }
    let link = program.expect(2, &["files", "cat", "files/latest", "data", "/etc/link"]);
    assert!(link.stderr.contains("a symbolic link to `app/app.conf`"), "{link:?}");
    let none = program.expect(1, &["files", "ls", "files/latest", "dta"]);
    assert!(none.stderr.contains("files/data, files/more"), "{none:?}");

    let target = program.path("restored");
    let to = target.to_str().unwrap().to_owned();
    let some = [
        "files",
        "restore",
        "files/latest",
        "data",
        "*.gz",
        "/etc",
        "--target",
        &to,
        "--verify",
        "-o",
        "json",
    ];
    let report = program.ok(&some).json();
    assert_eq!((&report["outcome"], &report["verified"]["different"]), (&"Completed".into(), &0.into()));
    let read = |path: &str| std::fs::read_to_string(target.join(path)).unwrap();
    assert_eq!((read("log/old/b.gz"), read("etc/app/app.conf")), ("b\n".to_owned(), "one\n".to_owned()));
    assert!(!target.join("large").exists() && target.join("etc/link").is_symlink());
    std::fs::write(target.join("etc/app/app.conf"), "mine").unwrap();
    std::fs::write(target.join("etc/app/own"), "mine").unwrap();
    let once_more = program.ok(&some).json();
    assert_eq!(once_more["bytesWritten"], 4, "only what differs: {once_more:#}");
    assert_eq!((read("etc/app/app.conf"), read("etc/app/own")), ("one\n".to_owned(), "mine".to_owned()));
    program.expect(1, &["files", "restore", "files/latest", "data", "/nothing", "--target", &to]);
}

#[test]
fn single_files_go_back_into_the_volume_of_a_running_application() {
    let stand = Stand::get();
    let program = Program::new(stand, "single");
    let app = App::deploy(&stand.a, "single");
    app.sh(CONTENT);
    app.protect(&program);
    app.sh("echo two > /data/etc/app/app.conf; rm /data/log/a.gz; echo new > /data/log/new; echo two > /data/log/current");
    let restore = |more: &[&str]| {
        let all = [&["files", "restore", "single/latest", "single/data"], more, &["--to", "a", "-o", "json"]]
            .concat();
        program.run(&all)
    };
    let refused = restore(&["/etc/app"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let report = restore(&["/etc/app", "*.gz", "--live", "--verify"]);
    assert_eq!(report.code, 0, "{report:?}");
    let report = report.json();
    assert_eq!(volume(&report)["verdict"], "updated", "{report:#}");
    assert!(report["notes"][0].as_str().is_some_and(|note| note.contains("restart")), "{report:#}");
    assert_eq!(
        app.sh("cat /data/etc/app/app.conf /data/log/a.gz /data/log/new /data/log/current"),
        "one\na\nnew\ntwo\n"
    );
    assert_eq!(app.sh("stat -c %a /data/etc/app/app.conf"), "640\n");

    // Beside what is there, and into another claim's volume.
    assert_eq!(restore(&["/log", "--live", "--at", "restored/here"]).code, 0);
    assert_eq!(app.sh("cat /data/restored/here/log/current /data/log/current"), "c\ntwo\n");
    assert_eq!(restore(&["/etc", "--live", "--into", "single/more"]).code, 0);
    assert_eq!(app.sh("cat /more/etc/app/app.conf /more/file"), "one\nmore\n");
    assert_eq!(restore(&["/etc", "--live", "--into", "single/gone"]).code, 1);
    nothing_temporary_is_left(stand, &program, "single");
}

/// Whoever restores, its mover or its holder may die: the same command again completes it.
#[test]
fn a_restore_in_place_survives_being_killed() {
    let stand = Stand::get();
    let line = FaultProxy::start(&stand.s3.address().ip().to_string(), stand.s3.address()).expect("a line");
    let mut program = Program::new(stand, "cut");
    program.endpoint = line.endpoint();
    let app = App::deploy(&stand.a, "cut");
    app.sh(CONTENT);
    app.protect(&program);
    let before = app.listing();
    app.sh("head -c 40000000 /dev/urandom > /data/large; rm -r /data/log; echo extra > /data/extra; sync");
    app.scale(0);
    let restore = [
        "volume",
        "restore",
        "cut/latest",
        "--claim",
        "data",
        "--to",
        "a",
        "--in-place",
        "--delete",
        "--wait",
    ];
    line.set(Faults { bandwidth: Some(8 * MIB), ..Faults::default() });
    for moment in [1, 3, 5, 7].map(Duration::from_secs) {
        let mut run = program.start(&restore);
        std::thread::sleep(moment); // the moment of the kill, not a wait for anything
        run.kill().expect("the run is ours to kill");
        run.wait().expect("it ends");
    }
    // And a mover, by its pod: it has all of the large file to write again, over a slower line, once no mover of a
    // killed run is left that would do it.
    program.ok(&restore);
    app.scale(1);
    app.sh("head -c 40000000 /dev/urandom > /data/large; sync");
    app.scale(0);
    line.set(Faults { bandwidth: Some(MIB / 2), ..Faults::default() });
    let mut run = program.start(&restore);
    let movers = [
        "get",
        "pods",
        "-n",
        "holdfast-system",
        "-l",
        "holdfast.dev/part=mover",
        "-o",
        "jsonpath={range .items[?(@.status.phase==\"Running\")]}{.metadata.name}{\"\\n\"}{end}",
    ];
    let jobs = [
        "get",
        "jobs",
        "-n",
        "holdfast-system",
        "-l",
        "holdfast.dev/part=mover",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.metadata.annotations.holdfast\\.dev/subject}{\"\\n\"}{end}",
    ];
    let ours = |said: &str| said.lines().find_map(|line| line.strip_suffix(" cut/data")).map(str::to_owned);
    let job = ours(&until(&stand.a, LIMIT, &jobs, |said| ours(said).is_some())).unwrap();
    let pods = until(&stand.a, LIMIT, &movers, |said| said.lines().any(|pod| pod.starts_with(&job)));
    let pod = pods.lines().find(|pod| pod.starts_with(&job)).unwrap();
    kubectl(&stand.a, &["delete", "pod", pod, "-n", "holdfast-system", "--grace-period=0", "--force"]);
    // Over a fast line it could be done before the kubelet has ended it.
    assert!(!run.wait().expect("it ends").success(), "its mover was killed");
    line.set(Faults::default());
    let report = program.ok(&[&restore[..], &["--verify", "-o", "json"]].concat()).json();
    assert_eq!(report["outcome"], "Completed", "{report:#}");
    app.scale(1);
    assert_eq!(app.listing(), before);
    nothing_temporary_is_left(stand, &program, "cut");
}
