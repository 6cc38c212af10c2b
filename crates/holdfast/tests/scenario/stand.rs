//! Two sites and an S3 server, shared by the scenarios of one run.

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use holdfast_testbed::{Cache, KUBERNETES, Part, Reporter, S3, Site, host, images};

/// The setting of the scenarios.
pub struct Stand {
    pub a: Site,
    pub b: Site,
    pub s3: S3,
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime"));

static STAND: LazyLock<Stand> = LazyLock::new(|| {
    host::prepare(&Reporter::stderr()).expect("this machine can hold sites");
    RUNTIME.block_on(async {
        let s3 = S3::start().await.expect("an S3 server");
        let (a, b) = tokio::try_join!(site("a"), site("b")).expect("two sites");
        Stand { a, b, s3 }
    })
});

/// The Kubernetes that is one minor version older than the others of the tests.
const OLDER: &str = "1.35.4";

/// A site with a node that has the program's image and the database's.
pub async fn site(name: &str) -> holdfast_testbed::Result<Site> {
    site_of(name, KUBERNETES).await
}

async fn site_of(name: &str, kubernetes: &str) -> holdfast_testbed::Result<Site> {
    let postgres = images::postgres(&Cache::of_user()?, &Reporter::stderr())?;
    let site = Site::builder(name).kubernetes(kubernetes).csi().kwok_nodes(1);
    site.image(image()).image(postgres).start().await
}

impl Stand {
    /// The setting, started by whoever comes first. It ends with the process.
    pub fn get() -> &'static Stand {
        &STAND
    }

    /// A setting of its own: MinIO, and a first site with an older Kubernetes than the second's.
    pub fn of_other_makes() -> Self {
        host::prepare(&Reporter::stderr()).expect("this machine can hold sites");
        block_on(async {
            let s3 = S3::minio().await.expect("MinIO");
            let (a, b) = tokio::try_join!(site_of("old", OLDER), site("young")).expect("two sites");
            Self { a, b, s3 }
        })
    }

    /// Ends what a scenario runs at both sites: beside all others it would cost them their time.
    pub fn retire(&self, namespaces: &[&str]) {
        for site in [&self.a, &self.b] {
            let delete = ["delete", "namespace", "--ignore-not-found", "--wait=false"];
            kubectl(site, &[&delete[..], namespaces].concat());
        }
    }

    /// Runs a future on the scenarios' runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on(future)
    }
}

/// Runs a future on the scenarios' runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// Runs `kubectl` at a site.
pub fn kubectl(site: &Site, arguments: &[&str]) -> String {
    block_on(site.kubectl(arguments))
        .unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
}

/// Applies manifests at a site.
pub fn apply(site: &Site, manifests: &str) {
    block_on(site.apply(manifests)).unwrap_or_else(|error| panic!("apply: {error}"));
}

/// Waits until `kubectl` succeeds with an output that pleases; panics with what it last saw.
pub fn until(site: &Site, bound: Duration, arguments: &[&str], good: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let said = block_on(site.kubectl(arguments));
        match &said {
            Ok(text) if good(text.trim()) => return text.trim().to_owned(),
            _ if begun.elapsed() > bound => {
                panic!("site {}: kubectl {}: last seen {said:?}", site.name(), arguments.join(" "))
            }
            _ => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// The image of the program under test: as built by `cargo xtask test`, or made here.
pub fn image() -> PathBuf {
    static IMAGE: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(archive) = std::env::var_os("HOLDFAST_IMAGE") {
            return archive.into();
        }
        let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join("holdfast-image.tar");
        let name = format!("holdfast.dev/holdfast:{}", env!("CARGO_PKG_VERSION"));
        images::archive_of_binary(&name, Path::new(env!("CARGO_BIN_EXE_holdfast")), &[], &archive)
            .expect("the image of the program");
        archive
    });
    IMAGE.clone()
}

/// The stock restic program.
pub fn restic() -> PathBuf {
    std::env::var_os("HOLDFAST_RESTIC").map_or_else(
        || {
            let cache = Cache::of_user().expect("a cache");
            Part::Restic.build(&cache, &Reporter::stderr()).expect("restic").bin("restic")
        },
        PathBuf::from,
    )
}

/// Where a scenario leaves what explains a failure.
pub fn evidence_file(scenario: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenarios");
    std::fs::create_dir_all(&directory).expect("the evidence directory");
    directory.join(format!("{scenario}.log"))
}

/// Adds to what a scenario leaves.
pub fn evidence(scenario: &str, text: &str) {
    let file = std::fs::File::options().create(true).append(true).open(evidence_file(scenario));
    file.expect("the evidence file").write_all(text.as_bytes()).expect("the evidence is written");
}
