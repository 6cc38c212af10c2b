//! The storage that the volume is on: the testbed's CSI driver by itself, which shows it as a device, cuts snapshots
//! and says, by its SnapshotMetadata service, what is in them.

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use holdfast_testbed::Cache;
use holdfast_testbed::csi::{Alone, Disk};
use rustix::fs::{major, minor};
use tokio::runtime::Runtime;

use crate::bench::filesystem::FileSystem;
use crate::stage;

/// A driver with one volume, on a fresh file system.
pub struct Storage {
    runtime: Runtime,
    driver: Alone,
    disk: Disk,
    /// The snapshot that was cut last.
    newest: Option<String>,
    cuts: usize,
    // Goes when the driver is gone.
    _home: FileSystem,
}

/// What the service said, and how long it was asked.
pub struct Told {
    /// Bytes of the volume.
    pub ranges: Vec<Range<u64>>,
    /// Seconds from the question to the end of the answer.
    pub seconds: f64,
}

impl Storage {
    /// Starts the driver and makes a volume of `size` bytes.
    pub fn start(ground: &Path, size: u64) -> Result<Self> {
        let home = FileSystem::fresh(ground, "source")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let cache = Cache::at(home.path())?;
        let (driver, disk) = runtime.block_on(async {
            let driver = Alone::start("bench-blocks", cache, stage::reporter()).await?;
            let disk = driver.disk("volume", size).await?;
            anyhow::Ok((driver, disk))
        })?;
        Ok(Self { runtime, driver, disk, newest: None, cuts: 0, _home: home })
    }

    /// The volume's device.
    pub fn device(&self) -> &Path {
        self.disk.device()
    }

    /// The image file behind the device, which is alone in its directory.
    pub fn image(&self) -> Result<PathBuf> {
        let number = self.device().metadata().context("the volume has no device")?.rdev();
        let path = format!("/sys/dev/block/{}:{}/loop/backing_file", major(number), minor(number));
        let said = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Ok(said.trim_end().into())
    }

    /// Cuts a snapshot and asks what of it has data.
    pub fn allocated(&mut self) -> Result<Told> {
        let (before, target) = self.cut()?;
        let told = self.told(self.disk.allocated(&target))?;
        self.forget(before)?;
        Ok(told)
    }

    /// Cuts a snapshot and asks what changed since the one before, which then goes.
    pub fn changed(&mut self) -> Result<Told> {
        let (base, target) = self.cut()?;
        let told = self.told(self.disk.changed(base.as_deref().unwrap_or_default(), &target))?;
        self.forget(base)?;
        Ok(told)
    }

    fn told(&self, asked: impl Future<Output = holdfast_testbed::Result<Vec<Range<u64>>>>) -> Result<Told> {
        let begun = Instant::now();
        let ranges = self.runtime.block_on(asked)?;
        Ok(Told { ranges, seconds: begun.elapsed().as_secs_f64() })
    }

    fn forget(&self, snapshot: Option<String>) -> Result<()> {
        match snapshot {
            Some(snapshot) => Ok(self.runtime.block_on(self.disk.forget(&snapshot))?),
            None => Ok(()),
        }
    }

    /// Cuts a snapshot; gives the one before, too.
    fn cut(&mut self) -> Result<(Option<String>, String)> {
        self.cuts += 1;
        let target = self.runtime.block_on(self.disk.cut(&format!("cut-{}", self.cuts)))?;
        Ok((self.newest.replace(target.clone()), target))
    }

    /// Takes it down with its data.
    pub fn stop(self) -> Result<()> {
        self.runtime.block_on(self.driver.stop())?;
        Ok(())
    }
}
