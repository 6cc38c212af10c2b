//! What the machine must bring: root, the Go toolchain and some Debian packages.

use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::report::Reporter;
use crate::tool;

/// A program of the machine and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
}

/// What a site with a node uses.
const NEEDS: &[Need] = &[
    Need { program: "runc", package: "runc" },
    Need { program: "iptables", package: "iptables" },
    Need { program: "nft", package: "nftables" },
    Need { program: "conntrack", package: "conntrack" },
    Need { program: "ip", package: "iproute2" },
    Need { program: "nsenter", package: "util-linux" },
    Need { program: "losetup", package: "mount" },
    Need { program: "mkfs.xfs", package: "xfsprogs" },
    Need { program: "mkfs.btrfs", package: "btrfs-progs" },
    Need { program: "mkfs.ext4", package: "e2fsprogs" },
    Need { program: "dpkg-deb", package: "dpkg" },
];

/// How many inotify instances a user may have: a node takes about ten, and the usual 128 end with a dozen nodes.
const INOTIFY_INSTANCES: u32 = 1024;
const INOTIFY_LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";

/// Checks the machine, installs the Debian packages that are missing and lifts a limit that several sites meet, after
/// saying so.
///
/// # Errors
/// At once, naming what is missing and how to get it, when not root, without Go or without apt.
pub fn prepare(report: &Reporter) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    go()?;
    let mut packages: Vec<&str> =
        NEEDS.iter().filter(|need| tool::find(need.program).is_none()).map(|need| need.package).collect();
    if busybox().is_err() {
        packages.push("busybox-static");
    }
    if !packages.is_empty() {
        install(&packages, report)?;
    }
    lift_inotify_limit(report);
    Ok(())
}

/// Where the limit cannot be lifted, that is said, and a few sites at once still run.
fn lift_inotify_limit(report: &Reporter) {
    let limit = std::fs::read_to_string(INOTIFY_LIMIT).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let Some(limit) = limit.filter(|limit| *limit < INOTIFY_INSTANCES) else { return };
    match std::fs::write(INOTIFY_LIMIT, INOTIFY_INSTANCES.to_string()) {
        Ok(()) => {
            report.note(&format!("inotify instances of a user: {limit} before, {INOTIFY_INSTANCES} now"))
        }
        Err(error) => {
            report.note(&format!("a user may have {limit} inotify instances, enough for few nodes: {error}"))
        }
    }
}

/// The Go toolchain's command.
pub(crate) fn go() -> Result<std::path::PathBuf> {
    tool::find("go").ok_or_else(|| Error::MissingTool {
        tool: "go".into(),
        hint: "install the Go toolchain (1.26 or newer) and put it on PATH; the servers of a site are built with it"
            .into(),
    })
}

/// A busybox without shared libraries: images hold nothing else to link with.
pub(crate) fn busybox() -> Result<&'static Path> {
    let path = Path::new("/bin/busybox");
    let linked = tool::run("ldd", &[path]).is_ok_and(|said| said.contains("=>"));
    if path.is_file() && !linked {
        return Ok(path);
    }
    Err(Error::MissingTool { tool: "a static busybox".into(), hint: "apt-get install busybox-static".into() })
}

fn install(packages: &[&str], report: &Reporter) -> Result<()> {
    let list = packages.join(" ");
    if tool::find("apt-get").is_none() {
        return Err(Error::MissingTool {
            tool: list,
            hint: "this machine has no apt-get: install these packages with its own tool".into(),
        });
    }
    report.step(&format!("installing Debian packages {list}"), || {
        if apt(&["install"], packages).is_err() {
            refresh_packages()?;
            apt(&["install"], packages)?;
        }
        Ok(())
    })
}

/// Fetches the lists of packages: a fresh machine has none.
pub(crate) fn refresh_packages() -> Result<()> {
    apt(&["update"], &[]).map(drop)
}

fn apt(verb: &[&str], packages: &[&str]) -> Result<String> {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-y", "-q", "--no-install-recommends"]);
    tool::output(command.args(verb).args(packages))
}
