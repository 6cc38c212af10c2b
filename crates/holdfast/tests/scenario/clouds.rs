//! The way through the object storage of clouds: the program and its movers reach it, and only their own keys go along.

use holdfast_testbed::{Azure, Gcs};

use crate::program::Program;
use crate::shop::Shop;
use crate::stand::{Stand, block_on};

#[test]
#[ignore = "long: builds a stand-in for Google Cloud Storage where it is not cached"]
fn long_an_application_moves_through_google_cloud_storage() {
    let stand = Stand::get();
    let gcs = block_on(Gcs::start()).expect("a stand-in for Google Cloud Storage");
    block_on(gcs.bucket("moves")).expect("a bucket");
    let mut program = Program::new(stand, "through-gcs");
    (program.vault_url, program.endpoint) = ("gs://moves/dr".to_owned(), gcs.endpoint());
    let key = program.path("key.json");
    std::fs::write(&key, gcs.service_account().expect("a key")).expect("written");
    program.set("GOOGLE_APPLICATION_CREDENTIALS", key.to_str().expect("UTF-8"));
    program.init_vault();
    moves(stand, &program, "through-gcs");
}

#[test]
#[ignore = "long: installs a stand-in for Azure from npm where it is not cached"]
fn long_an_application_moves_through_azure() {
    let stand = Stand::get();
    let azure = block_on(Azure::start()).expect("a stand-in for Azure");
    block_on(azure.container("moves")).expect("a container");
    let mut program = Program::new(stand, "through-azure");
    (program.vault_url, program.endpoint) = ("az://moves/dr".to_owned(), azure.endpoint());
    program.set("AZURE_STORAGE_ACCOUNT", azure.account());
    program.set("AZURE_STORAGE_KEY", &azure.key());
    let (authority, key) = (program.path("azure.crt"), program.path("recovery.key"));
    std::fs::write(&authority, azure.authority()).expect("written");
    let init = ["vault", "init", "main", "--url", &program.vault_url, "--endpoint", &program.endpoint];
    let files = [authority.to_str().expect("UTF-8"), key.to_str().expect("UTF-8")];
    program.ok(&[&init[..], &["--ca-file", files[0], "--recovery-key", files[1]]].concat());
    moves(stand, &program, "through-azure");

    program.set("AZURE_STORAGE_KEY", "bm90IHRoZSBrZXk=");
    let refused = program.expect(1, &["points", "through-azure"]);
    assert!(refused.stderr.contains("check AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY"), "{refused:?}");
}

/// Its movers write and read the vault, and it is whole.
fn moves(stand: &Stand, program: &Program, name: &str) {
    let shop = Shop::deploy(&stand.a, name);
    shop.order(20_000);
    program.add(name, &shop.application());
    let wanted = shop.ledger(i64::MAX);
    let done = program.ok(&["backup", name, "--context", "a", "-o", "json"]).json();
    assert_eq!(done["outcome"], "Completed", "{done:#}");
    program.ok(&["restore", &format!("{name}/latest"), "--to", "b", "--allow-privileged"]);
    assert_eq!(Shop::at(&stand.b, name).ledger(i64::MAX), wanted);
    program.ok(&["vault", "check", "--read-data"]);
    stand.retire(&[name]);
}
