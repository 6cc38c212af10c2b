//! Vault credentials and repository keys never enter the application's namespace.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::program::Program;
use crate::shop::Shop;
use crate::stand::{Stand, kubectl};

/// While a capture and a restore run, everything in the application's namespace is searched for the
/// S3 secret and the repository's password, and so are the specifications of the movers' pods.
#[test]
fn no_key_is_ever_seen_in_the_applications_namespace() {
    let stand = Stand::get();
    let program = Program::new(stand, "keys");
    let shop = Shop::deploy(&stand.a, "keys");
    program.init_vault();
    program.add("keys", &shop.application());
    program.ok(&["backup", "keys", "--context", "a"]);
    never_seen_while(stand, &program, "keys", || {
        program.ok(&["backup", "keys", "--context", "a"]);
        program.ok(&["restore", "keys/latest", "--to", "b", "--allow-privileged"]);
    });
    stand.retire(&["keys"]);
}

/// Does `work` and looks meanwhile, again and again, for the keys of an application whose name is that
/// of its namespace.
pub fn never_seen_while(stand: &Stand, program: &Program, application: &str, work: impl FnOnce()) {
    let exports = program.ok(&["vault", "restic-env", application]).stdout;
    let password = exports
        .lines()
        .find_map(|line| line.trim().strip_prefix("export RESTIC_PASSWORD="))
        .expect("a password")
        .trim_matches(['\'', '"'])
        .to_owned();
    let secrets = [password.as_str(), stand.s3.secret_key()];
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(stand, application, &secrets, &done));
        work();
        done.store(true, Ordering::Relaxed);
        let looks = watcher.join().expect("no key was seen");
        assert!(looks > 5, "only {looks} looks during the runs");
    });
}

/// Looks until the runs are done; gives how often.
fn watch(stand: &Stand, namespace: &str, secrets: &[&str], done: &AtomicBool) -> usize {
    let mut looks = 0;
    let begun = Instant::now();
    while !done.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(300) {
        for site in [&stand.a, &stand.b] {
            let all =
                ["get", "pods,configmaps,secrets,jobs", "-n", namespace, "-o", "yaml", "--ignore-not-found"];
            let movers =
                ["get", "pods,jobs,configmaps", "-n", "holdfast-system", "-o", "yaml", "--ignore-not-found"];
            for seen in [kubectl(site, &all), kubectl(site, &movers)] {
                for secret in secrets {
                    assert!(!seen.contains(secret), "a key was seen at site {}:\n{seen}", site.name());
                }
            }
        }
        looks += 1;
    }
    looks
}
