//! The golden vault: what format 1 wrote is read for ever, and nothing but its key opens it.

use std::path::{Path, PathBuf};

use crate::support::golden;
use holdfast_vault::{CheckOptions, NodeKind, RootKey, Tenant, Vault};

/// A copy, since opening for reading must not depend on being allowed to write, nor leave anything.
fn copy() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format-1");
    crate::support::files::copy_directory(&golden, directory.path());
    directory
}

async fn open(directory: &Path) -> (Vault, Tenant) {
    let vault = Vault::open(crate::support::store(directory)).await.unwrap();
    let tenant = vault.tenant(&golden::tenant(), golden::root_key()).await.unwrap();
    (vault, tenant)
}

fn repository(directory: &Path) -> PathBuf {
    directory.join(format!("tenants/{}/apps/{}", golden::tenant(), golden::application()))
}

#[test]
fn keys_are_derived_and_written_down_as_the_format_says() {
    assert_eq!(*golden::root_key().recovery_text(), *golden::RECOVERY_KEY);
    let parsed = RootKey::parse(&golden::RECOVERY_KEY.to_lowercase().replace('-', " ")).unwrap();
    assert_eq!(*parsed.recovery_text(), *golden::RECOVERY_KEY);
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_and_catalogue_read_as_they_were_written() {
    let directory = copy();
    let (vault, tenant) = open(directory.path()).await;
    assert_eq!((vault.id(), vault.created()), ("42".repeat(16).as_str(), golden::time(0)));
    assert_eq!(vault.tenants().await.unwrap(), [golden::tenant()]);
    assert_eq!(tenant.applications().await.unwrap().into_iter().collect::<Vec<_>>(), [golden::application()]);
    let entries = tenant.entries("application").await.unwrap();
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.revision, &entry.value), (2, &golden::entries()[1]));
    let password = tenant.repository_password(&golden::application());
    assert_eq!(password.expose(), PASSWORD);
}

/// HKDF-SHA256 of the golden root key, computed by another program.
const PASSWORD: &str = "23ff5190ce6fd9fff9c3cb979dc5d1b29a7d5b702fd24adea0dbe5ca9070db16";

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_read_as_they_were_written() {
    let directory = copy();
    let (_, tenant) = open(directory.path()).await;
    let repository = tenant.open_repository(&golden::application()).await.unwrap();
    let report = repository.check(CheckOptions { read_data: true }, |_| ()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    let mut snapshots = repository.snapshots().await.unwrap();
    snapshots.sort_by_key(|(_, snapshot)| snapshot.time);
    assert_eq!(snapshots.len(), 2);
    assert_eq!(snapshots[1].1.parent, Some(snapshots[0].0));
    let reader = repository.reader().await.unwrap();
    for (number, (_, snapshot)) in snapshots.iter().enumerate() {
        assert_eq!(snapshot.time, golden::time(10 * (number as i64 + 1)));
        assert_eq!(snapshot.tags, ["holdfast".to_owned(), format!("golden:{number}")]);
        let facts = crate::support::walk::stored_facts(&reader, snapshot.tree).await;
        for (path, content) in golden::files(number) {
            let fact = &facts[path];
            assert_eq!((fact.kind, fact.permissions, fact.owner), (NodeKind::File, 0o640, (1_000, 100)));
            assert!(fact.content == content && fact.size == content.len() as u64, "{path:?}");
            assert_eq!(fact.mtime, golden::time(-60));
        }
        assert_eq!(facts[b"link".as_slice()].target, b"dir/pieces \xfe");
        assert_eq!(facts[b"dir".as_slice()].permissions, 0o2755);
        assert_eq!(facts[b"fifo".as_slice()].kind, NodeKind::Fifo);
        assert_eq!(facts[b"hard-2".as_slice()].same_as, facts[b"hard-1".as_slice()].same_as);
        assert_eq!(facts[b"text".as_slice()].attributes["user.comment"], b"\0\xff value");
        assert_eq!(facts.len(), golden::files(number).len() + 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_restic_reads_it_with_the_password_alone() {
    let directory = copy();
    let restic = crate::support::restic::Restic::with_password(&repository(directory.path()), PASSWORD);
    restic.check();
    let listed = restic.run(["ls", "latest", "--json"]);
    assert!(listed.contains(r#""path":"/dir/pieces""#), "{listed}");
    let dumped = restic.try_run(["dump", "latest", "/dir/pieces"]);
    assert_eq!(dumped.stdout, golden::files(1)[b"dir/pieces".as_slice()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_another_place_and_a_newer_format_are_told_apart() {
    let directory = copy();
    let (vault, tenant) = open(directory.path()).await;
    let other = RootKey::from_random([9; 32]);
    let refused = vault.tenant(&golden::tenant(), other).await.unwrap_err();
    assert_eq!(refused.code(), "vault.wrong_key");

    let nowhere = tempfile::tempdir().unwrap();
    let absent = Vault::open(crate::support::store(nowhere.path())).await.unwrap_err();
    assert_eq!(absent.code(), "vault.not_found");
    assert!(absent.to_string().contains(nowhere.path().to_str().unwrap()), "{absent}");
    let unknown = tenant.open_repository(&"other".parse().unwrap()).await.unwrap_err();
    assert_eq!(unknown.code(), "vault.not_found");

    let header = directory.path().join("holdfast.json");
    let text = std::fs::read_to_string(&header).unwrap();
    std::fs::write(&header, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let newer = Vault::open(crate::support::store(directory.path())).await.unwrap_err();
    assert_eq!(newer.code(), "vault.newer_format");
    assert!(newer.to_string().contains('2') && newer.to_string().contains("use a newer holdfast"), "{newer}");
}
