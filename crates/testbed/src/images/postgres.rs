//! PostgreSQL 15 with its client programs, from Debian packages.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::POSTGRES;
use super::archive::{Image, ImageConfig};
use super::layer::Layer;
use crate::dirs::Cache;
use crate::error::{At, Result};
use crate::lock::FileLock;
use crate::report::Reporter;
use crate::{host, tool};

/// Changes when the recipe does: it is part of the archive's name.
const RECIPE: u32 = 1;

/// Packages that postgresql-15 depends on for installing and administering, not for running.
const NOT_NEEDED: [&str; 27] = [
    "debconf",
    "perl",
    "adduser",
    "ucf",
    "sysvinit",
    "dpkg",
    "tar",
    "init-system",
    "libllvm",
    "python3",
    "passwd",
    "login",
    "util-linux",
    "postgresql-common",
    "postgresql-client-common",
    "ssl-cert",
    "locales",
    "cdebconf",
    "sensible",
    "lsb",
    "netbase",
    "openssl",
    "mount",
    "usrmerge",
    "usr-is-merged",
    "logsave",
    "e2fsprogs",
];

/// What the trees of packages hold that a server does not need.
const DROPPED: [&str; 6] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/lib/postgresql/15/lib/bitcode",
];

/// Makes a fresh data directory if there is none, and becomes the server.
const START: &str = r#"
[ -s "$PGDATA/PG_VERSION" ] || {
  initdb --data-checksums -D "$PGDATA" -U postgres -A trust || exit 1
  echo 'host all all all trust' >> "$PGDATA/pg_hba.conf"
}
exec postgres -D "$PGDATA" -c 'listen_addresses=*'
"#;

/// The archive of [`POSTGRES`], made in about 20 s if the cache does not have it.
///
/// Its container initialises `$PGDATA` (`/data/pg`, checksums on, user `postgres` without a password from
/// anywhere) and runs the server as user 999; `psql`, `pg_ctl`, `initdb`, `pgbench` and a shell are there.
pub fn postgres(cache: &Cache, report: &Reporter) -> Result<PathBuf> {
    let path = cache.images().join(format!("postgres-15-{RECIPE}.tar"));
    if path.is_file() {
        return Ok(path);
    }
    let _held = FileLock::wait(&cache.images().join("postgres.lock"))?;
    if !path.is_file() {
        report.step("making the PostgreSQL image from Debian packages", || make(cache, &path))?;
    }
    Ok(path)
}

fn make(cache: &Cache, path: &Path) -> Result<()> {
    let work = cache.images().join(".postgres");
    if work.exists() {
        std::fs::remove_dir_all(&work).at("remove", &work)?;
    }
    let root = work.join("root");
    unpack(&work.join("packages"), &root)?;
    merge_usr(&root)?;
    for dir in DROPPED {
        let dir = root.join(dir);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).at("remove", &dir)?;
        }
    }
    let layer = Layer::new()
        .tree(&root)?
        .accounts("postgres")
        .directory("tmp", 0o1777, 0)
        .directory("data", 0o777, 999)
        .directory("run/postgresql", 0o775, 999)
        .link("var/run", "../run")
        .busybox("usr/bin", host::busybox()?)?;
    let config = ImageConfig {
        entrypoint: ["/bin/sh", "-c", START].map(String::from).into(),
        env: ["PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin", "PGDATA=/data/pg", "PGUSER=postgres"]
            .map(String::from)
            .into(),
        user: "999:999".into(),
        working_dir: "/".into(),
    };
    Image { name: POSTGRES.into(), layer, config }.write(path)?;
    std::fs::remove_dir_all(&work).at("remove", &work)
}

/// Downloads postgresql-15 with what it runs on, and unpacks it all into `root`.
fn unpack(packages: &Path, root: &Path) -> Result<()> {
    for dir in [packages, root] {
        std::fs::create_dir_all(dir).at("create", dir)?;
    }
    if download(packages).is_err() {
        // The lists are missing, or name versions that the archive has replaced since.
        host::refresh_packages()?;
        download(packages)?;
    }
    for item in std::fs::read_dir(packages).at("list", packages)? {
        let package = item.at("list", packages)?.path();
        tool::run("dpkg-deb", &["-x".as_ref(), package.as_os_str(), root.as_os_str()])?;
    }
    Ok(())
}

/// Downloads the closure of postgresql-15's dependencies, less [`NOT_NEEDED`], into `dir`.
fn download(dir: &Path) -> Result<()> {
    let query = [
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
        "postgresql-15",
    ];
    let said = tool::run("apt-cache", &query)?;
    let mut names: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter(|name| !NOT_NEEDED.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut download = Command::new("apt-get");
    tool::output(download.current_dir(dir).args(["download", "-q"]).args(&names)).map(drop)
}

/// Moves `/bin`, `/lib`, `/lib64` and `/sbin` below `/usr` and leaves links, as Debian's installer would.
fn merge_usr(root: &Path) -> Result<()> {
    for name in ["bin", "lib", "lib64", "sbin"] {
        let (top, below) = (root.join(name), root.join("usr").join(name));
        std::fs::create_dir_all(&below).at("create", &below)?;
        if top.is_dir() {
            let from = top.join(".");
            tool::run("cp", &["-a".as_ref(), from.as_os_str(), below.as_os_str()])?;
            std::fs::remove_dir_all(&top).at("remove", &top)?;
        }
        symlink(format!("usr/{name}"), &top).at("link", &top)?;
    }
    Ok(())
}
