//! A second vault on another server, with credentials of its own.

use std::os::unix::fs::PermissionsExt;

use holdfast_testbed::{CSI_PLAIN_CLASS, Cache, Make, Reporter, S3};

use crate::access::{claim, deployment, run};
use crate::program::Program;
use crate::stand::{Stand, apply, block_on, kubectl};

/// A private file with the credentials of a server.
fn credentials(program: &Program, name: &str, server: &S3) -> String {
    let path = program.path(name);
    let lines: Vec<String> = server.env().iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    std::fs::write(&path, lines.concat()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_string_lossy().into_owned()
}

/// Objects and data go to the vault of their application and come back from it, each with its own credentials.
#[test]
fn each_vault_has_its_own_credentials() {
    let stand = Stand::get();
    let second = S3::start_as("second", Make::VersityGw, Cache::of_user().unwrap(), Reporter::stderr());
    let second = block_on(second).unwrap();
    block_on(second.bucket("far")).unwrap();
    let program = Program::new(stand, "locations");
    program.init_vault();
    let init = |name: &str, file: &str| {
        let (key, endpoint) = (program.path(&format!("{name}.recovery")), second.endpoint());
        let key = key.to_string_lossy().into_owned();
        let at = ["--url", "s3://far/dr", "--endpoint", &endpoint, "--credentials-file", file];
        program.run(&[&["vault", "init", name, "--recovery-key", &key], &at[..]].concat())
    };
    let refused = init("wrong", &credentials(&program, "of-the-first", &stand.s3));
    assert_eq!(refused.code, 1, "{refused:?}");
    let accepted = init("far", &credentials(&program, "of-the-second", &second));
    assert_eq!(accepted.code, 0, "{accepted:?}");

    for (name, vault) in [("near-app", "main"), ("far-app", "far")] {
        apply(&stand.a, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
        let claim = claim(name, "d", CSI_PLAIN_CLASS, "ReadWriteOnce", "");
        apply(&stand.a, &(claim + &deployment(name, "web", "d", 1, "true")));
        kubectl(&stand.a, &["wait", "deploy/web", "-n", name, "--for=condition=Available", "--timeout=120s"]);
        run(&stand.a, name, "web", &format!("echo {vault} > /data/vault; sync"));
        let manifest = format!(
            "apiVersion: holdfast.dev/v1alpha1\nkind: Application\nmetadata: {{name: {name}}}\n\
             spec: {{vault: {vault}, scope: {{namespaces: [{name}]}}}}\n"
        );
        program.add(name, &manifest);
        program.ok(&["backup", name, "--context", "a"]);
    }
    let rows = program.ok(&["app", "list", "-o", "json"]).json();
    assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows:#}");
    for (name, vault) in [("near-app", "main"), ("far-app", "far")] {
        let point = format!("{name}/latest");
        program.ok(&["restore", &point, "--to", "b"]);
        kubectl(&stand.b, &["wait", "deploy/web", "-n", name, "--for=condition=Available", "--timeout=120s"]);
        assert_eq!(run(&stand.b, name, "web", "cat /data/vault").trim(), vault);
        program.ok(&["vault", "check", name, "--read-data"]);
    }
    stand.retire(&["near-app", "far-app"]);
}
