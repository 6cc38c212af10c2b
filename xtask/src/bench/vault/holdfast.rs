//! Holdfast: the release program's own mover, with the instructions that it gets in a pod.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_vault::{
    CreateOptions, Credentials, KeyCost, Repository, RepositoryPassword, Store, StoreOptions,
};
use serde_json::{Value, json};

use super::place::{Location, Place};
use super::program::{Job, PASSWORD, Program, output};

/// Prefix of the repository in its store.
const PREFIX: &str = "holdfast";

/// The program of this workspace.
pub struct Holdfast {
    binary: PathBuf,
}

impl Holdfast {
    /// The built program.
    pub fn new(binary: PathBuf) -> Self {
        Self { binary }
    }

    /// A mover that reads `work` from a file, as a pod's mover does.
    pub(in crate::bench) fn mover(&self, place: &Place, work: &Value) -> Result<Command> {
        let state = place.state();
        let (spec, gate) = (state.join("spec.json"), gate(place));
        let instructions = json!({
            "version": 1,
            "run": "bench",
            "repository": repository(&place.location),
            "work": work,
        });
        std::fs::write(&spec, serde_json::to_vec(&instructions)?)?;
        // The socket of the mover before this one.
        let _ = std::fs::remove_file(&gate);
        let mut command = Command::new(&self.binary);
        command.args(["mover", "run"]).arg(spec).arg(gate);
        Ok(command)
    }
}

impl Holdfast {
    /// A mover that captures, told to begin when it is ready.
    pub(in crate::bench) fn capture(&self, place: &Place, work: &Value) -> Result<Job> {
        let command = self.mover(place, &json!({ "capture": work }))?;
        let gate = gate(place);
        Ok(Job { command, meanwhile: Some(Box::new(move || open(&gate))) })
    }
}

impl Program for Holdfast {
    fn name(&self) -> &'static str {
        "holdfast"
    }

    fn version(&self) -> Result<String> {
        let said = output(Command::new(&self.binary).arg("--version"))?;
        Ok(said.trim().to_owned())
    }

    fn create(&self, place: &Place) -> Result<()> {
        runtime()?.block_on(async {
            let options = CreateOptions { key_cost: KeyCost::RandomPassword };
            let password = RepositoryPassword::new(PASSWORD);
            Repository::create(store(place)?, &password, options).await.context("cannot make a repository")
        })?;
        Ok(())
    }

    fn backup(&self, place: &Place, source: &Path) -> Result<Job> {
        let mut work = json!({
            "namespace": "bench",
            "claim": "data",
            "path": source,
            "cluster": "bench",
            "tags": ["bench"],
            "patienceSeconds": 60,
        });
        if let Ok(parent) = std::fs::read_to_string(newest(place)) {
            work["parent"] = Value::String(parent);
        }
        self.capture(place, &work)
    }

    fn restore(&self, place: &Place, _: &Path) -> Result<Job> {
        std::fs::create_dir(place.restored())?;
        let snapshot = std::fs::read_to_string(newest(place)).context("nothing was captured yet")?;
        let volume = json!({
            "namespace": "bench",
            "claim": "data",
            "snapshot": snapshot,
            "path": place.restored(),
        });
        let work = json!({ "volumes": [volume], "devices": false, "setuid": false });
        Ok(self.mover(place, &json!({ "restore": work }))?.into())
    }

    /// Keeps the id of a snapshot: the next capture is incremental to it.
    fn said(&self, place: &Place, output: &str) -> Result<()> {
        let events = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for event in events.filter(|event| event["event"] == "captured") {
            let id = event["snapshot"].as_str().context("a captured snapshot has an id")?;
            std::fs::write(newest(place), id)?;
        }
        Ok(())
    }
}

/// A runtime for what is not measured.
pub(in crate::bench) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

/// Where the repository of a place is.
pub(in crate::bench) fn store(place: &Place) -> Result<Store> {
    let described = repository(&place.location);
    let text = |name: &str| described[name].as_str().map(str::to_owned);
    let options =
        StoreOptions { endpoint: text("endpoint"), region: text("region"), ..StoreOptions::default() };
    let credentials: BTreeMap<String, String> = serde_json::from_value(described["credentials"].clone())?;
    let credentials: Credentials = credentials.into_iter().collect();
    let url = text("url").context("a repository has an address")?;
    Ok(Store::connect(&url, &options, &credentials)?.scoped(PREFIX))
}

/// The socket at which a mover waits to be told to begin.
fn gate(place: &Place) -> PathBuf {
    place.state().join("gate")
}

/// The file that holds the id of the newest snapshot.
pub(in crate::bench) fn newest(place: &Place) -> PathBuf {
    place.state().join("newest")
}

fn repository(location: &Location) -> Value {
    match location {
        Location::Directory(path) => json!({
            "url": format!("file://{}", path.display()),
            "prefix": PREFIX,
            "credentials": {},
            "password": PASSWORD,
        }),
        Location::Bucket { endpoint, bucket, region, keys: (access, secret), .. } => json!({
            "url": format!("s3://{bucket}"),
            "prefix": PREFIX,
            "endpoint": endpoint,
            "region": region,
            "credentials": { "AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret },
            "password": PASSWORD,
        }),
    }
}

/// Tells a mover to begin as soon as it listens, so that it never waits; gives up when it should long be there.
fn open(gate: &Path) {
    for _ in 0..30_000 {
        if let Ok(mut stream) = UnixStream::connect(gate) {
            // The later phase opens the earlier one, too. The answer says that it was heard.
            let mut answer = String::new();
            if stream.write_all(b"late\n").is_ok() && BufReader::new(&stream).read_line(&mut answer).is_ok() {
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
