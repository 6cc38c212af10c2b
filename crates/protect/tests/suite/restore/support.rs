//! Two real sites for all tests of this program, and one application's way between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use holdfast_cluster::{Cluster, Connect};
use holdfast_model::manifest::ApplicationSpec;
use holdfast_model::point::Point;
use holdfast_model::restore::{Existing, Mapping, RestoreReport, Terms, Verdict};
use holdfast_model::scope::Scope;
use holdfast_model::{AppId, Epoch, PointId, RunId, TenantId};
use holdfast_protect::backup::{Application, BackupRequest, backup};
use holdfast_protect::point;
use holdfast_protect::progress::{Clock, NoJournal, Silent};
use holdfast_protect::restore::{RestoreRequest, restore};
use holdfast_testbed::Site;
use holdfast_vault::{CreateOptions, Repository, RepositoryPassword, Store};
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

static SITES: OnceCell<[Site; 2]> = OnceCell::const_new();

/// Two sites with a kwok node each. Tests run beside each other, each in namespaces of its own.
pub async fn sites() -> &'static [Site; 2] {
    let start = |name: &'static str| Site::builder(name).kwok_nodes(1).start();
    SITES.get_or_init(|| async { [start("pa").await.unwrap(), start("pb").await.unwrap()] }).await
}

/// A connection with all rights.
pub async fn admin(site: &Site) -> Cluster {
    let connect = Connect { kubeconfig: Some(site.kubeconfig()), ..Connect::default() };
    Cluster::connect(connect).await.unwrap()
}

/// The system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "a test is an edge")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

fn random() -> [u8; 3] {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let [a, b, c, _] = COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    [c, b, a]
}

/// With namespaces mapped, and whatever power objects give.
pub fn terms(namespaces: &[&str], existing: Existing) -> Terms {
    let mapping = Mapping::parse(namespaces, &[]).unwrap();
    Terms { mapping, existing: existing.into(), allow_privileged: true, ..Terms::default() }
}

/// One application with a repository of its own.
pub struct Protected {
    pub application: Application,
    pub repository: Repository,
}

impl Protected {
    /// An application of these namespaces.
    pub async fn new(name: &str, namespaces: &[&str]) -> Self {
        let scope = Scope {
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
            ..Scope::default()
        };
        Self::of(name, scope).await
    }

    /// An application of this scope.
    pub async fn of(name: &str, scope: Scope) -> Self {
        let id: AppId = format!("a-{name}").parse().unwrap();
        let password = RepositoryPassword::new("0123456789abcdef");
        let repository =
            Repository::create(Store::in_memory(), &password, CreateOptions::default()).await.unwrap();
        let spec = ApplicationSpec { scope, ..ApplicationSpec::default() };
        Self { application: Application { id, name: name.to_owned(), spec }, repository }
    }

    /// Makes a point.
    pub async fn backup(&self, cluster: &Cluster) -> Point {
        backup(self.backup_request(cluster)).await.unwrap()
    }

    /// Makes the point of what is there before the newest one is restored with these namespaces.
    pub async fn backup_before(&self, cluster: &Cluster, namespaces: &[&str]) -> Point {
        let newest = point::list(&self.repository).await.unwrap().newest().unwrap().id.clone();
        let mut request = BackupRequest { before: Some(newest), ..self.backup_request(cluster) };
        request.application.spec.scope.namespaces =
            namespaces.iter().map(|name| (*name).to_owned()).collect();
        backup(request).await.unwrap()
    }

    fn backup_request(&self, cluster: &Cluster) -> BackupRequest {
        let now = SystemClock.now();
        BackupRequest {
            cluster: cluster.clone(),
            repository: self.repository.clone(),
            tenant: TenantId::default(),
            application: self.application.clone(),
            movers: None,
            run: RunId::new(now, random()),
            point: PointId::new(now, random()),
            epoch: Epoch(1),
            before: None,
            keep_snapshots: 0,
            floor: None,
            wait: Some(Duration::from_secs(60)),
            dead: Vec::new(),
            clock: Arc::new(SystemClock),
            journal: Arc::new(NoJournal),
            observer: Arc::new(Silent),
            cancel: CancellationToken::new(),
        }
    }

    /// What a restore of the newest point is asked, to be changed by the test.
    pub async fn request(&self, cluster: &Cluster) -> RestoreRequest {
        let points = point::list(&self.repository).await.unwrap();
        RestoreRequest {
            standby: false,
            cluster: cluster.clone(),
            repository: self.repository.clone(),
            point: points.newest().unwrap().clone(),
            movers: None,
            run: RunId::new(SystemClock.now(), random()),
            terms: Terms { allow_privileged: true, ..Terms::default() },
            before: None,
            as_planned: None,
            verify: false,
            wait_ready: Duration::from_secs(60),
            wait_busy: Some(Duration::from_secs(60)),
            dead: Vec::new(),
            clock: Arc::new(SystemClock),
            journal: Arc::new(NoJournal),
            observer: Arc::new(Silent),
            on_object: None,
            cancel: CancellationToken::new(),
        }
    }

    /// Restores the newest point with namespaces mapped.
    pub async fn restore(&self, cluster: &Cluster, namespaces: &[&str]) -> RestoreReport {
        let terms = terms(namespaces, Existing::None);
        restore(RestoreRequest { terms, ..self.request(cluster).await }).await.unwrap()
    }
}

/// The objects of a report that came to a verdict, as text.
pub fn with(report: &RestoreReport, verdict: Verdict) -> Vec<String> {
    let objects = report.objects.iter().filter(|result| result.verdict == verdict);
    objects.map(|result| format!("{}: {}", result.object, result.reason)).collect()
}

/// All problems, one a line.
pub fn problems(report: &RestoreReport) -> String {
    report.problems.iter().map(|problem| format!("{} {problem}\n", problem.code)).collect()
}
