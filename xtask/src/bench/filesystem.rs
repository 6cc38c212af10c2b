//! A fresh xfs in a sparse file without a name, on a loop device.
//!
//! An aged root file system varies fivefold from one run to the next; a new one does not.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::mount::{UnmountFlags, unmount};

use crate::workspace;

/// Size of the sparse file; only what is written takes space.
const SIZE: u64 = 48 << 30;

/// A mounted file system; dropping it takes it away with its data.
#[derive(Debug)]
pub struct FileSystem {
    path: PathBuf,
}

impl FileSystem {
    /// Makes one and mounts it at `ground/name`.
    pub fn fresh(ground: &Path, name: &str) -> Result<Self> {
        let path = ground.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let file =
            tempfile::tempfile_in(workspace::target()).context("cannot create a file for a file system")?;
        file.set_len(SIZE).context("cannot make a sparse file")?;
        let device = attach(&file)?;
        let mounted = run("mkfs.xfs", &["-q", "-f", &device])
            .and_then(|_| run("mount", &["-t", "xfs", &device, &path.to_string_lossy()]));
        // A device in use stays until it is unmounted, and then goes by itself.
        run("losetup", &["--detach", &device])?;
        mounted?;
        Ok(Self { path })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.path, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}; it ends with this program", self.path.display());
        }
    }
}

/// Whether so many bytes find room where the sparse files are: one that is not backed looks like a full volume.
///
/// # Errors
/// If they do not.
pub fn ensure_room(bytes: u64) -> Result<()> {
    let ground = workspace::target();
    let found =
        rustix::fs::statvfs(&ground).with_context(|| format!("cannot look at {}", ground.display()))?;
    let (free, gib) = (found.f_bavail * found.f_frsize, |bytes: u64| bytes as f64 / f64::from(1 << 30));
    ensure!(
        free >= bytes,
        "it needs some {:.0} GiB below {}, and {:.0} are free: make room, or set CARGO_TARGET_DIR",
        gib(bytes),
        ground.display(),
        gib(free)
    );
    Ok(())
}

/// Writes everything that is cached for a file system to its device.
pub fn sync(path: &Path) -> Result<()> {
    let directory = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    rustix::fs::syncfs(&directory).with_context(|| format!("cannot sync {}", path.display()))
}

/// Bytes of all files below `path`, as `ls` shows them.
pub fn bytes_below(path: &Path) -> Result<u64> {
    let mut total = 0;
    let mut waiting = vec![path.to_owned()];
    while let Some(directory) = waiting.pop() {
        for item in
            std::fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?
        {
            let item = item?;
            let kind = item.file_type()?;
            if kind.is_dir() {
                waiting.push(item.path());
            } else if kind.is_file() {
                total += item.metadata()?.len();
            }
        }
    }
    Ok(total)
}

/// A loop device for an open file, without a second cache where the file's own system allows that.
fn attach(file: &File) -> Result<String> {
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let direct = run("losetup", &["--find", "--show", "--direct-io=on", &path]);
    direct.or_else(|_| run("losetup", &["--find", "--show", &path]))
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let done = Command::new(program).args(arguments).output();
    let done = done.with_context(|| format!("cannot start {program}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program} {}: {}", arguments.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
