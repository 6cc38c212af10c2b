//! One real site for the tests of a file, and backups of its namespaces into a repository in memory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use holdfast_cluster::{Cluster, Connect};
use holdfast_model::id::{AppId, Epoch, PointId, RunId, TenantId};
use holdfast_model::manifest::ApplicationSpec;
use holdfast_model::scope::Scope;
use holdfast_protect::backup::{Application, BackupRequest};
use holdfast_protect::point::{self, ObjectEntry, OpenPoint};
use holdfast_protect::progress::{Clock, Event, NoJournal, Observer};
use holdfast_testbed::Site;
use holdfast_vault::{CreateOptions, Repository, RepositoryPassword, Store};
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

pub const LIMIT: Duration = Duration::from_secs(60);

static SITE: OnceCell<Site> = OnceCell::const_new();

/// The site of this test program; it ends with the process.
pub async fn site() -> &'static Site {
    SITE.get_or_init(|| async { Site::builder("backup").node().start().await.unwrap() }).await
}

/// A connection with all rights.
pub async fn admin() -> Cluster {
    connect(site().await.kubeconfig()).await
}

pub async fn connect(kubeconfig: PathBuf) -> Cluster {
    Cluster::connect(Connect { kubeconfig: Some(kubeconfig), ..Connect::default() }).await.unwrap()
}

/// A connection as a ServiceAccount, by a token of it.
pub async fn as_account(namespace: &str, account: &str) -> Cluster {
    let site = site().await;
    let token = site.kubectl(&["create", "token", "-n", namespace, account]).await.unwrap();
    let own = std::fs::read_to_string(site.kubeconfig()).unwrap();
    let authority = own.lines().find(|line| line.contains("certificate-authority")).unwrap().trim();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: '{}', {authority}}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{token: {}}}}}]\n",
        admin().await.address(),
        token.trim()
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    connect(path).await
}

pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the edge of a test")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Keeps the events of a run.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<Event>>);

impl Observer for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    pub fn steps(&self) -> Vec<&'static str> {
        let events = self.0.lock().unwrap();
        events
            .iter()
            .filter_map(|event| match event {
                Event::Step { name } => Some(*name),
                _ => None,
            })
            .collect()
    }
}

pub async fn repository() -> Repository {
    let password = RepositoryPassword::new("test");
    Repository::create(Store::in_memory(), &password, CreateOptions::default()).await.unwrap()
}

/// The application of these namespaces, everything in them.
pub fn application(name: &str, namespaces: &[&str]) -> Application {
    let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
    let scope = Scope { namespaces, ..Scope::default() };
    let id: AppId = format!("a-{name}").parse().unwrap();
    Application { id, name: name.to_owned(), spec: ApplicationSpec { scope, ..ApplicationSpec::default() } }
}

/// A backup of it without movers.
pub fn request(cluster: &Cluster, repository: &Repository, application: Application) -> BackupRequest {
    static NUMBER: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let now = SystemClock.now();
    BackupRequest {
        cluster: cluster.clone(),
        repository: repository.clone(),
        tenant: TenantId::default(),
        application,
        movers: None,
        run: RunId::new(now, [1, 0, number]),
        point: PointId::new(now, [2, 0, number]),
        epoch: Epoch(1),
        before: None,
        keep_snapshots: 0,
        floor: None,
        wait: None,
        dead: Vec::new(),
        clock: Arc::new(SystemClock),
        journal: Arc::new(NoJournal),
        observer: Arc::new(Recorder::default()),
        cancel: CancellationToken::new(),
    }
}

/// The newest point of a repository, opened.
pub async fn newest(repository: &Repository) -> OpenPoint {
    let points = point::list(repository).await.unwrap();
    assert!(points.unreadable.is_empty(), "{:?}", points.unreadable);
    point::open(repository, points.newest().unwrap()).await.unwrap()
}

/// The objects of a point by name, as `kubectl` would print it.
pub async fn objects(point: &OpenPoint) -> Vec<(String, ObjectEntry)> {
    let mut all: Vec<(String, ObjectEntry)> = point
        .objects()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.object_ref().map_or_else(|| entry.path.clone(), |name| name.to_string()), entry))
        .collect()
        .await;
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
