//! Holdfast: its mover, given a block device and the ranges of it that have data or, from the second time on, changed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use holdfast_vault::{BlobKind, Repository, RepositoryPassword, SnapshotId};
use serde_json::{Value, json};

use crate::bench::vault::holdfast::{Holdfast, newest, runtime, store};
use crate::bench::vault::place::Place;
use crate::bench::vault::program::{Job, PASSWORD, Program};

/// The program of this workspace and the device that it reads.
pub struct Blocks {
    holdfast: Holdfast,
    device: PathBuf,
    ranges: PathBuf,
}

impl Blocks {
    /// The built program; `ranges` is a file that it finds the ranges in.
    pub fn new(binary: PathBuf, device: PathBuf, ranges: PathBuf) -> Self {
        Self { holdfast: Holdfast::new(binary), device, ranges }
    }

    /// Says what the storage says: what has data, or what changed since the last capture.
    pub fn know(&self, ranges: &[Range<u64>]) -> Result<()> {
        let line = |range: &Range<u64>| format!("{} {}\n", range.start, range.end - range.start);
        let mut text: String = ranges.iter().map(line).collect();
        text.push_str("end\n");
        std::fs::write(&self.ranges, text).context("cannot write the ranges")
    }

    /// What the newest capture says of itself.
    pub fn report(&self, place: &Place) -> Result<Value> {
        let id: SnapshotId = std::fs::read_to_string(newest(place))?.parse()?;
        runtime()?.block_on(async {
            let repository = Repository::open(store(place)?, &RepositoryPassword::new(PASSWORD)).await?;
            let (reader, snapshot) = (repository.reader().await?, repository.snapshot(&id).await?);
            let root = reader.tree(&snapshot.tree).await?;
            let blob = root.get(b"capture.json").and_then(|node| node.blobs().first().copied());
            let json = reader.blob(BlobKind::Data, &blob.context("a capture has a report")?).await?;
            Ok(serde_json::from_slice(&json)?)
        })
    }
}

impl Program for Blocks {
    fn name(&self) -> &'static str {
        self.holdfast.name()
    }

    fn version(&self) -> Result<String> {
        self.holdfast.version()
    }

    fn create(&self, place: &Place) -> Result<()> {
        self.holdfast.create(place)
    }

    fn backup(&self, place: &Place, _: &Path) -> Result<Job> {
        let parent = std::fs::read_to_string(newest(place)).ok();
        let mode = match parent {
            Some(_) => json!({"blocks": {"changed": self.ranges}}),
            None => json!({"blocks": {"allocated": self.ranges}}),
        };
        let mut work = json!({
            "namespace": "bench",
            "claim": "volume",
            "path": self.device,
            "mode": mode,
            "cluster": "bench",
            "tags": ["bench"],
            "patienceSeconds": 60,
        });
        if let Some(parent) = parent {
            work["parent"] = Value::String(parent);
        }
        self.holdfast.capture(place, &work)
    }

    /// Into a sparse file of the same length.
    fn restore(&self, place: &Place, image: &Path) -> Result<Job> {
        let target = place.restored();
        std::fs::File::create_new(&target)?.set_len(image.metadata()?.len())?;
        let snapshot = std::fs::read_to_string(newest(place)).context("nothing was captured yet")?;
        let volume = json!({
            "namespace": "bench",
            "claim": "volume",
            "snapshot": snapshot,
            "path": target,
            "mode": {"blocks": {"before": "zeros", "verify": false}},
        });
        let work = json!({ "volumes": [volume], "devices": false, "setuid": false });
        Ok(self.holdfast.mover(place, &json!({ "restore": work }))?.into())
    }

    fn said(&self, place: &Place, output: &str) -> Result<()> {
        self.holdfast.said(place, output)
    }
}
