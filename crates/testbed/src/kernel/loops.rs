//! Loop devices, found in the kernel's own list by the file behind them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{At, Result};
use crate::tool;

/// How long a prober may have a device open that nobody uses.
const PROBER: Duration = Duration::from_secs(5);

/// One attached loop device.
#[derive(Debug)]
pub(crate) struct Loop {
    /// `/dev/loopN`.
    pub(crate) device: PathBuf,
    /// Whether it refuses writes.
    pub(crate) readonly: bool,
}

/// Attaches a file past the page cache, so that what is written to the device is in the file after a flush.
pub(crate) fn attach(file: &Path, readonly: bool) -> Result<PathBuf> {
    let mut words = vec!["--find".as_ref(), "--show".as_ref(), "--direct-io=on".as_ref()];
    if readonly {
        words.push("--read-only".as_ref());
    }
    words.push(file.as_os_str());
    Ok(tool::run("losetup", &words)?.trim().into())
}

/// The devices of exactly this file.
pub(crate) fn of_file(file: &Path) -> Result<Vec<Loop>> {
    Ok(where_file(|backing| backing == file)
        .into_iter()
        .map(|device| Loop { readonly: is_readonly(&device), device })
        .collect())
}

/// The devices whose file is below `dir`.
pub(crate) fn below(dir: &Path) -> Vec<PathBuf> {
    where_file(|backing| backing.starts_with(dir))
}

/// Detaches the loop devices whose file is below `dir`; one that is in use goes with its last user.
pub(crate) fn detach_below(dir: &Path) -> Result<()> {
    below(dir).iter().try_for_each(|device| detach(device))
}

/// Detaches one.
pub(crate) fn detach(device: &Path) -> Result<()> {
    tool::run("losetup", &["-d".as_ref(), device.as_os_str()]).map(drop)
}

/// Detaches one and waits until it is: for a moment it may be open to a prober, as the kernel tells of every change,
/// and it goes with its last user.
pub(crate) fn detach_wholly(device: &Path) -> Result<()> {
    detach(device)?;
    let name = device.file_name().unwrap_or_default();
    let attached = Path::new("/sys/block").join(name).join("loop/backing_file");
    let begun = Instant::now();
    while attached.exists() && begun.elapsed() < PROBER {
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Has a device take over a new size of its file.
pub(crate) fn resize(device: &Path) -> Result<()> {
    tool::run("losetup", &["-c".as_ref(), device.as_os_str()]).map(drop)
}

/// Writes what the device has taken through to its file.
pub(crate) fn flush(device: &Path) -> Result<()> {
    fs::File::open(device).and_then(|file| file.sync_all()).at("flush", device)
}

fn is_readonly(device: &Path) -> bool {
    let name = device.file_name().unwrap_or_default();
    fs::read_to_string(Path::new("/sys/block").join(name).join("ro")).is_ok_and(|ro| ro.trim() == "1")
}

fn where_file(is_it: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let Ok(devices) = fs::read_dir("/sys/block") else { return Vec::new() };
    devices
        .flatten()
        .filter(|device| {
            let file = fs::read_to_string(device.path().join("loop/backing_file"));
            file.is_ok_and(|file| is_it(Path::new(file.trim_end().trim_end_matches(" (deleted)"))))
        })
        .map(|device| Path::new("/dev").join(device.file_name()))
        .collect()
}
