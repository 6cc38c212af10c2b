//! Vaults in the object storage of clouds, tried against the stand-ins that are to be had. `cargo xtask test --long`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{files, noise, walk};
use bytes::Bytes;
use futures::future::join_all;
use holdfast_model::{AppId, TenantId};
use holdfast_testbed::{Azure, Gcs};
use holdfast_vault::{
    CheckOptions, Claim, Clock, Credentials, OpenOptions, Repository, RootKey, Snapshot, Store, StoreOptions,
    Tenant, Vault, VaultInit, Writer, WriterOptions,
};

/// What is stored while the server goes away; at [`BANDWIDTH`] it takes six seconds.
const MUCH: usize = 48 << 20;
const BANDWIDTH: u64 = 8 << 20;

/// Where a vault is to be, and with which keys.
struct Place {
    url: &'static str,
    endpoint: String,
    authority: Option<String>,
    credentials: Credentials,
}

impl Place {
    fn store(&self) -> Store {
        self.at(self.url)
    }

    fn at(&self, url: &str) -> Store {
        let options = StoreOptions {
            endpoint: Some(self.endpoint.clone()),
            ca_pem: self.authority.clone().map(String::into_bytes),
            bandwidth: Some(BANDWIDTH),
            ..StoreOptions::default()
        };
        Store::connect(url, &options, &self.credentials).unwrap()
    }

    fn of_gcs(gcs: &Gcs, url: &'static str) -> Self {
        let credentials = variables(&[("GOOGLE_SERVICE_ACCOUNT_KEY", &gcs.service_account().unwrap())]);
        Self { url, endpoint: gcs.endpoint(), authority: None, credentials }
    }

    fn of_azure(azure: &Azure, key: &str) -> Self {
        let names = [("AZURE_STORAGE_ACCOUNT", azure.account()), ("AZURE_STORAGE_KEY", key)];
        let (endpoint, authority) = (azure.endpoint(), Some(azure.authority()));
        Self { url: "az://box/dr", endpoint, authority, credentials: variables(&names) }
    }
}

fn variables(pairs: &[(&str, &str)]) -> Credentials {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn init() -> VaultInit {
    VaultInit { random: [7; 16], now: "2026-11-28T02:00:00Z".parse().unwrap() }
}

fn root_key() -> RootKey {
    RootKey::from_random([3; 32])
}

fn app() -> AppId {
    "a1".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: builds a stand-in for Google Cloud Storage where it is not cached"]
async fn long_a_vault_lives_in_google_cloud_storage() {
    let mut gcs = Gcs::start().await.unwrap();
    gcs.bucket("dr").await.unwrap();
    let place = Place::of_gcs(&gcs, "gs://dr/main");
    let (vault, features) = Vault::init(place.store(), init()).await.unwrap();
    assert!(features.conditional_create && features.delete, "{features:?}");
    assert_eq!(features.versioning, Some(false), "every object has a generation, but old ones do not stay");
    one_of_sixteen_wins(&place.store()).await;
    let tenant = vault.create_tenant(&TenantId::default(), root_key()).await.unwrap();
    let scene = Scene::new();
    let repository = scene.round(&tenant).await;

    let upload = scene.upload_much(&repository).await;
    gcs.kill().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await; // how long the outage lasts
    gcs.restart().await.unwrap();
    scene.finish(upload, &repository).await;
    refusals(&place, "gs://no-such-bucket/main").await;

    let mut restic = restic(&tenant, "gs:dr:/main");
    restic.env("STORAGE_EMULATOR_HOST", gcs.endpoint()).env("GOOGLE_ACCESS_TOKEN", "any");
    approves(restic);
    gcs.stop().await.unwrap();
}

/// That old versions stay is found out, and not believed of a number that every object has.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: builds a stand-in for Google Cloud Storage where it is not cached"]
async fn long_versions_of_google_cloud_storage_are_found_out() {
    let gcs = Gcs::in_memory().await.unwrap();
    gcs.bucket("forgets").await.unwrap();
    gcs.versioned_bucket("keeps").await.unwrap();
    for (url, kept) in [("gs://forgets/x", false), ("gs://keeps/x", true)] {
        let (_, features) = Vault::init(Place::of_gcs(&gcs, url).store(), init()).await.unwrap();
        assert_eq!(features.versioning, Some(kept), "{url}");
    }
    gcs.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: installs a stand-in for Azure from npm where it is not cached"]
async fn long_a_vault_lives_in_azure() {
    let mut azure = Azure::start().await.unwrap();
    azure.container("box").await.unwrap();
    let place = Place::of_azure(&azure, &azure.key());
    let (vault, features) = Vault::init(place.store(), init()).await.unwrap();
    assert!(features.conditional_create && features.delete, "{features:?}");
    one_of_sixteen_wins(&place.store()).await;
    let tenant = vault.create_tenant(&TenantId::default(), root_key()).await.unwrap();
    let scene = Scene::new();
    let repository = scene.round(&tenant).await;

    let upload = scene.upload_much(&repository).await;
    azure.end().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await; // how long the outage lasts
    azure.restart().await.unwrap();
    scene.finish(upload, &repository).await;
    refusals(&place, "az://no-such-box/dr").await;

    let begun = Instant::now();
    let stranger = Place::of_azure(&azure, "bm90IHRoZSBrZXk=");
    for error in [
        Vault::open(stranger.store()).await.unwrap_err(),
        stranger.store().list("tenants").await.unwrap_err(),
        Vault::init(stranger.at("az://box/new"), init()).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "vault.storage.unauthenticated", "{error}");
        assert!(error.to_string().contains("check AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY"), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "a wrong key took {:?}", begun.elapsed());

    let hosts = scene.directory.path().join("hosts");
    std::fs::write(&hosts, azure.hosts()).unwrap();
    let authority = scene.directory.path().join("azure.crt");
    std::fs::write(&authority, azure.authority()).unwrap();
    let mut restic = restic(&tenant, "azure:box:/dr");
    // The stand-in refuses that no tier is named.
    restic.args(["-o", "azure.access-tier=Hot", "--cacert"]).arg(authority);
    restic.env("AZURE_ACCOUNT_NAME", azure.account()).env("AZURE_ACCOUNT_KEY", azure.key());
    approves(with_hosts(restic.env("AZURE_ENDPOINT_SUFFIX", azure.suffix()), &hosts));
    azure.stop().await.unwrap();
}

/// Stock restic on the application's repository in a vault that it knows by this address.
fn restic(tenant: &Tenant, vault: &str) -> Command {
    let mut command = Command::new(crate::support::restic::program());
    command.args(["--no-cache", "--repo", &format!("{vault}/{}", tenant.repository_prefix(&app()))]);
    command.env("RESTIC_PASSWORD", tenant.repository_password(&app()).expose());
    command
}

/// The same command where `/etc/hosts` is that file: restic reaches Azure by the account's name alone.
fn with_hosts(command: &Command, hosts: &Path) -> Command {
    let script = "mount --make-rprivate / && mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside
        .args(["--mount", "sh", "-c", script])
        .arg(hosts)
        .arg(command.get_program())
        .args(command.get_args());
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside
}

/// Stock restic reads all of it and finds no fault.
fn approves(mut restic: Command) {
    let done = tokio::task::block_in_place(|| restic.args(["check", "--read-data"]).output()).unwrap();
    let said =
        [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    assert!(done.status.success() && said.contains("no errors were found"), "{restic:?}: {said}");
}

/// Of many creates of one name at once exactly one wins, and all agree which.
async fn one_of_sixteen_wins(store: &Store) {
    let create = |n: u8| {
        let store = store.clone();
        tokio::spawn(
            async move { store.create_claim("claims/epoch-1", Bytes::from(vec![n; 40])).await.unwrap() },
        )
    };
    let claims = join_all((0..16).map(create)).await;
    let mut winners: Vec<_> = Vec::new();
    let mut seen = Vec::new();
    for (n, claim) in (0u8..).zip(claims) {
        match claim.unwrap() {
            Claim::Won => winners.push(n),
            Claim::Lost(content) => seen.push(content[0]),
        }
    }
    assert_eq!((winners.len(), seen.len()), (1, 15));
    assert!(seen.iter().all(|n| winners.contains(n)), "{winners:?} {seen:?}");
}

/// A wrong key and a wrong place are named at once.
async fn refusals(place: &Place, nowhere: &str) {
    let begun = Instant::now();
    let vault = Vault::open(place.store()).await.unwrap();
    let other = RootKey::from_random([4; 32]);
    assert_eq!(vault.tenant(&TenantId::default(), other).await.unwrap_err().code(), "vault.wrong_key");
    assert_eq!(Vault::open(place.at(nowhere)).await.unwrap_err().code(), "vault.not_found");
    let error = Vault::init(place.at(nowhere), init()).await.unwrap_err();
    assert_eq!(error.code(), "vault.storage.not_found", "{error}");
    assert!(error.to_string().contains("check the bucket"), "{error}");
    assert_eq!(Vault::init(place.store(), init()).await.unwrap_err().code(), "vault.already_exists");
    assert!(begun.elapsed() < Duration::from_secs(10), "refusals took {:?}", begun.elapsed());
}

/// A directory to be stored.
struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        files::make_corpus(&directory.path().join("source"));
        std::fs::create_dir(directory.path().join("much")).unwrap();
        std::fs::write(directory.path().join("much/noise"), noise(9, MUCH)).unwrap();
        Self { directory }
    }

    /// Stores, lists, reads and checks, with a lock that is refreshed meanwhile.
    async fn round(&self, tenant: &Tenant) -> Repository {
        tenant.create_repository(&app()).await.unwrap();
        let minutes = Arc::new(AtomicI64::new(0));
        let ahead = Arc::clone(&minutes);
        let begun: jiff::Timestamp = "2026-11-28T02:00:00Z".parse().unwrap();
        let now = move || begun + jiff::SignedDuration::from_mins(ahead.load(Ordering::Relaxed));
        let options = OpenOptions { clock: Clock::new(now), ..OpenOptions::default() };
        let repository = tenant.open_repository_with(&app(), options).await.unwrap();
        let locks = async || repository.store().list("locks").await.unwrap();

        let writer = repository.writer(WriterOptions::default()).await.unwrap();
        let first = locks().await;
        assert_eq!(first.len(), 1);
        minutes.store(6, Ordering::Relaxed);
        let deadline = Instant::now() + Duration::from_secs(20);
        while locks().await.iter().any(|lock| *lock == first[0]) {
            assert!(Instant::now() < deadline, "the lock is not refreshed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let source = self.directory.path().join("source");
        let root = commit(writer, &source).await;
        assert!(locks().await.is_empty(), "the lock goes with its writer");
        let prefixes = repository.store().list_directories("").await.unwrap();
        assert!(["data", "index", "keys", "snapshots"].iter().all(|name| prefixes.iter().any(|p| p == name)));
        let reader = repository.reader().await.unwrap();
        assert_eq!(walk::stored_facts(&reader, root).await, walk::facts(&source));
        whole(&repository).await;
        repository
    }

    /// Begins to store more than is sent within seconds, and returns when some of it has been.
    async fn upload_much(&self, repository: &Repository) -> tokio::task::JoinHandle<()> {
        let writer = repository.writer(WriterOptions::default()).await.unwrap();
        let (store, source) = (repository.store().clone(), self.directory.path().join("much"));
        let before = store.stats().sent;
        let upload = tokio::spawn(async move {
            commit(writer, &source).await;
        });
        while store.stats().sent < before + (16 << 20) {
            assert!(!upload.is_finished(), "it was too fast");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        upload
    }

    /// What was interrupted by an outage ends, and all of it is there.
    async fn finish(&self, upload: tokio::task::JoinHandle<()>, repository: &Repository) {
        assert!(!upload.is_finished(), "the outage came too late");
        upload.await.unwrap();
        assert!(repository.store().stats().retries > 0, "nothing was interrupted");
        let (_, snapshot) = repository
            .snapshots()
            .await
            .unwrap()
            .into_iter()
            .find(|(_, snapshot)| snapshot.paths == ["/much"])
            .unwrap();
        let reader = repository.reader().await.unwrap();
        let stored = walk::stored_facts(&reader, snapshot.tree).await;
        assert!(stored == walk::facts(&self.directory.path().join("much")), "what was stored differs");
        whole(repository).await;
    }
}

/// Stores a directory as one snapshot.
async fn commit(writer: Writer, source: &Path) -> holdfast_vault::BlobId {
    let (stores, from) = (writer.clone(), source.to_owned());
    let root = tokio::task::spawn_blocking(move || walk::store_directory(&stores, &from)).await.unwrap();
    let mut snapshot = Snapshot::new("2026-11-28T02:00:00Z".parse().unwrap(), root);
    snapshot.paths = vec![format!("/{}", source.file_name().unwrap().to_string_lossy())];
    writer.commit(snapshot).await.unwrap();
    writer.close().await.unwrap();
    root
}

async fn whole(repository: &Repository) {
    let report = repository.check(CheckOptions { read_data: true }, |_| {}).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}
