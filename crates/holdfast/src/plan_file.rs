//! The file of a plan: a line that says of what it is one, and one line for each object.
//!
//! It is made for being compared: a plan that is made anew from the same point, and gives the same
//! line for every object, shows the same restore. Each line is a JSON document of its own, so that
//! neither writing nor reading it needs more memory than an object does.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_cluster::{Cluster, kinds};
use holdfast_model::restore::Terms;
use holdfast_model::restore::plan::{LiveState, PLAN_FORMAT, Planned, VerdictKind};
use holdfast_model::{AppId, ObjectRef, PointId};
use holdfast_protect::restore::DryRuns;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::points::Chosen;

/// What a plan depends on beside point and cluster.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// What of the point would be restored, and how.
    pub(crate) terms: Terms,
    /// Which objects the API server is asked about.
    pub(crate) dry_runs: DryRuns,
}

/// What the plan is one of: the first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    /// [`PLAN_FORMAT`].
    format: u32,
    /// Version of the program: another may decide otherwise.
    program: String,
    /// The point.
    point: PointId,
    /// The application.
    application: AppId,
    /// The cluster, by the uid of its namespace `kube-system`.
    cluster_uid: String,
    /// What of the point is restored, and how.
    pub(crate) terms: Terms,
    /// Which objects the API server was asked about.
    pub(crate) dry_runs: WhichDryRuns,
}

/// [`DryRuns`] in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhichDryRuns {
    Sampled,
    All,
}

impl From<DryRuns> for WhichDryRuns {
    fn from(dry_runs: DryRuns) -> Self {
        match dry_runs {
            DryRuns::Sampled => WhichDryRuns::Sampled,
            DryRuns::All => WhichDryRuns::All,
        }
    }
}

impl From<WhichDryRuns> for DryRuns {
    fn from(dry_runs: WhichDryRuns) -> Self {
        match dry_runs {
            WhichDryRuns::Sampled => DryRuns::Sampled,
            WhichDryRuns::All => DryRuns::All,
        }
    }
}

/// The last line: without it, the file was not written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Footer {
    objects: u64,
}

impl Header {
    /// Of a plan that is about to be made.
    pub(crate) async fn new(cluster: &Cluster, chosen: &Chosen, options: &Options) -> anyhow::Result<Self> {
        let system = cluster.get(&kinds::namespaces(), None, "kube-system").await?;
        let uid = system.and_then(|system| Some(system["metadata"]["uid"].as_str()?.to_owned()));
        Ok(Self {
            format: PLAN_FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            point: chosen.summary.id.clone(),
            application: chosen.found.application.id.clone(),
            cluster_uid: uid.unwrap_or_default(),
            terms: options.terms.clone(),
            dry_runs: options.dry_runs.into(),
        })
    }

    /// Fails if the plan of this header is not one of what `now` says is to be restored.
    pub(crate) fn must_be_of(&self, file: &Path, now: &Header) -> Result<()> {
        let differs = [
            (self.format != now.format || self.program != now.program, "another version of holdfast"),
            (self.point != now.point || self.application != now.application, "another point"),
            (self.cluster_uid != now.cluster_uid, "another cluster"),
        ];
        match differs.iter().find(|(differs, _)| *differs) {
            None => Ok(()),
            Some((_, what)) => {
                let what = format!("the plan in {} is one of {what}", file.display());
                Err(Error::Usage { what, hint: "plan again with what is to be restored now" })
            }
        }
    }
}

/// Writes a plan's file while the plan is made.
pub(crate) struct Writer {
    path: PathBuf,
    state: Mutex<WriterState>,
}

struct WriterState {
    file: BufWriter<File>,
    objects: u64,
    failure: Option<std::io::Error>,
}

impl Writer {
    /// Creates the file, for its owner alone; it must not exist.
    pub(crate) fn create(path: &Path, header: &Header) -> Result<Self> {
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::FileExists { path: path.to_path_buf() },
            _ => Error::file("create", path, error),
        })?;
        let mut state = WriterState { file: BufWriter::new(file), objects: 0, failure: None };
        state.line(header);
        Ok(Self { path: path.to_path_buf(), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, WriterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an object. That it could not be written is told at the end.
    pub(crate) fn object(&self, planned: &Planned) {
        let mut state = self.state();
        state.objects += 1;
        state.line(planned);
    }

    /// Ends the file.
    pub(crate) fn finish(&self) -> Result<()> {
        let mut state = self.state();
        let footer = Footer { objects: state.objects };
        state.line(&footer);
        let failure = state.failure.take();
        let written = failure.map_or(Ok(()), Err);
        let written =
            written.and_then(|()| state.file.flush()).and_then(|()| state.file.get_ref().sync_all());
        written.map_err(|error| Error::file("write", &self.path, error))
    }
}

impl WriterState {
    fn line(&mut self, value: &impl Serialize) {
        if self.failure.is_some() {
            return;
        }
        let written = serde_json::to_writer(&mut self.file, value).map_err(std::io::Error::from);
        self.failure = written.and_then(|()| self.file.write_all(b"\n")).err();
    }
}

/// What is remembered of a line: its verdict to tell of it, and the hash of it to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    verdict: VerdictKind,
    hash: u64,
    /// Hash of the state of what was there.
    live: Option<u64>,
}

impl Line {
    fn of(planned: &Planned) -> Self {
        // What a plan holds can be written as JSON: it was, or is about to be.
        let text = serde_json::to_string(planned).unwrap_or_default();
        let live = planned.live.as_ref().map(hash);
        Self { verdict: planned.verdict.kind(), hash: hash(&text), live }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What may be written over when a plan is applied.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// What was planned to be updated or deleted, with the hash of its state.
    changes: HashMap<String, u64>,
    /// What could not be judged when it was planned.
    unknown: HashSet<String>,
}

impl Expected {
    /// Whether an object in this state is as it was planned.
    pub(crate) fn allows(&self, object: &ObjectRef, live: &LiveState) -> bool {
        let object = object.to_string();
        self.changes.get(&object) == Some(&hash(live)) || self.unknown.contains(&object)
    }
}

impl Objects {
    /// What may be written over.
    pub(crate) fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        for (object, line) in &self.0 {
            match (line.verdict, line.live) {
                (VerdictKind::Update | VerdictKind::Delete, Some(live)) => {
                    expected.changes.insert(object.clone(), live);
                }
                (VerdictKind::Unknown, _) => drop(expected.unknown.insert(object.clone())),
                _ => {}
            }
        }
        expected
    }
}

/// A plan that was read.
#[derive(Debug)]
pub(crate) struct PlanFile {
    /// What it is one of.
    pub(crate) header: Header,
    /// Its objects.
    pub(crate) objects: Objects,
}

/// The objects of a plan by what they are called at the target.
#[derive(Debug, Default)]
pub(crate) struct Objects(HashMap<String, Line>);

impl PlanFile {
    /// Reads a plan's file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file("read", path, error))?;
        Self::from_lines(BufReader::new(file), path)
    }

    fn from_lines(lines: impl BufRead, path: &Path) -> Result<Self> {
        let unreadable = |reason: String| Error::Unreadable { place: path.display().to_string(), reason };
        let mut lines = lines.lines().enumerate();
        let mut next = || match lines.next() {
            Some((_, Err(error))) => Err(Error::file("read", path, error)),
            Some((number, Ok(line))) => Ok(Some((number + 1, line))),
            None => Ok(None),
        };
        let (_, first) = next()?.ok_or_else(|| unreadable("it is empty".to_owned()))?;
        let header: Header = serde_json::from_str(&first)
            .map_err(|error| unreadable(format!("its first line is not that of a plan: {error}")))?;
        let mut objects = Objects::default();
        while let Some((number, line)) = next()? {
            if let Ok(footer) = serde_json::from_str::<Footer>(&line) {
                let whole = footer.objects == objects.0.len() as u64;
                return if whole { Ok(Self { header, objects }) } else { Err(unreadable(cut())) };
            }
            let planned: Planned = serde_json::from_str(&line)
                .map_err(|error| unreadable(format!("line {number} is not an object of a plan: {error}")))?;
            objects.0.insert(planned.object.to_string(), Line::of(&planned));
        }
        Err(unreadable(cut()))
    }
}

fn cut() -> String {
    "it is not whole: the plan was interrupted, or lines are missing".to_owned()
}

/// Compares a plan that is being made with one that was read.
#[derive(Debug)]
pub(crate) struct Comparison {
    state: Mutex<ComparisonState>,
}

#[derive(Debug, Default)]
struct ComparisonState {
    expected: HashMap<String, Line>,
    moved: Vec<String>,
}

impl Comparison {
    /// A comparison with these objects.
    pub(crate) fn with(Objects(expected): Objects) -> Self {
        Self { state: Mutex::new(ComparisonState { expected, moved: Vec::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, ComparisonState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an object of the plan that is being made.
    pub(crate) fn object(&self, planned: &Planned) {
        let (object, now) = (planned.object.to_string(), Line::of(planned));
        let mut state = self.state();
        let told = match state.expected.remove(&object) {
            Some(was) if was == now => return,
            Some(was) if was.verdict == now.verdict => format!("{object} has changed"),
            Some(was) => {
                format!("{object} was planned as {} and is {} now", name(was.verdict), name(now.verdict))
            }
            None => format!("{object} was not in the plan"),
        };
        state.moved.push(told);
    }

    /// What is not as it was planned.
    pub(crate) fn moved(&self) -> Vec<String> {
        let mut state = self.state();
        let gone: Vec<String> =
            state.expected.drain().map(|(object, _)| format!("{object} is in the plan only")).collect();
        state.moved.extend(gone);
        state.moved.sort();
        std::mem::take(&mut state.moved)
    }
}

fn name(verdict: VerdictKind) -> &'static str {
    crate::render::plan::word(verdict)
}

#[cfg(test)]
mod tests {
    use holdfast_model::restore::plan::Verdict;

    use super::*;

    fn header() -> Header {
        Header {
            format: PLAN_FORMAT,
            program: "1".into(),
            point: "20261122t101500-3fa9c1".parse().unwrap(),
            application: "a1".parse().unwrap(),
            cluster_uid: "u".into(),
            terms: Terms::default(),
            dry_runs: WhichDryRuns::Sampled,
        }
    }

    fn planned(name: &str, verdict: Verdict, state: &str) -> Planned {
        let object =
            ObjectRef { resource: kinds::secrets(), namespace: Some("shop".into()), name: name.into() };
        let live = Some(LiveState { uid: "u".into(), state: state.into() });
        Planned { object, level: 3, verdict, may_revert: Vec::new(), privilege: Vec::new(), live }
    }

    fn written(objects: &[Planned]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plan");
        let writer = Writer::create(&path, &header()).unwrap();
        objects.iter().for_each(|planned| writer.object(planned));
        writer.finish().unwrap();
        assert!(matches!(Writer::create(&path, &header()), Err(Error::FileExists { .. })));
        std::fs::read_to_string(path).unwrap()
    }

    fn read(text: &str) -> Result<PlanFile> {
        PlanFile::from_lines(text.as_bytes(), Path::new("plan"))
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let objects = [planned("a", Verdict::Create, ""), planned("b", Verdict::Identical, "1")];
        let text = written(&objects);
        let file = read(&text).unwrap();
        assert_eq!(file.header, header());
        let comparison = Comparison::with(file.objects);
        objects.iter().for_each(|planned| comparison.object(planned));
        assert!(comparison.moved().is_empty());
    }

    #[test]
    fn a_plan_that_is_cut_or_is_none_is_refused() {
        let text = written(&[planned("a", Verdict::Create, ""), planned("b", Verdict::Create, "")]);
        let lines: Vec<&str> = text.lines().collect();
        for wrong in
            [lines[..3].join("\n"), [lines[0], lines[1], lines[3]].join("\n"), String::new(), "{}".into()]
        {
            assert!(matches!(read(&wrong), Err(Error::Unreadable { .. })), "{wrong}");
        }
    }

    #[test]
    fn what_moved_is_named() {
        let objects = ["a", "b", "c"].map(|name| planned(name, Verdict::Identical, "1"));
        let comparison = Comparison::with(read(&written(&objects)).unwrap().objects);
        comparison.object(&planned("a", Verdict::Identical, "2"));
        comparison.object(&planned("b", Verdict::Create, "1"));
        comparison.object(&planned("d", Verdict::Create, "1"));
        assert_eq!(
            comparison.moved(),
            [
                "secrets shop/a has changed",
                "secrets shop/b was planned as identical and is create now",
                "secrets shop/c is in the plan only",
                "secrets shop/d was not in the plan",
            ]
        );
    }

    #[test]
    fn only_what_was_planned_to_be_changed_may_be_written_over_and_only_as_it_was() {
        let update = planned("a", Verdict::Update { difference: Vec::new() }, "1");
        let waiting = Verdict::Unknown { until: "namespaces".into(), reason: "it is created first".into() };
        let all = [update, planned("b", Verdict::Identical, "1"), planned("c", waiting, "")];
        let expected = read(&written(&all)).unwrap().objects.expected();
        let allows = |name: &str, state: &str| {
            let live = LiveState { uid: "u".into(), state: state.into() };
            expected.allows(&planned(name, Verdict::Create, "").object, &live)
        };
        assert!(allows("a", "1") && allows("c", "7"));
        assert!(!allows("a", "2") && !allows("b", "1") && !allows("d", "1"));
    }

    #[test]
    fn a_plan_is_of_one_point_and_one_cluster() {
        let path = Path::new("plan");
        assert!(header().must_be_of(path, &header()).is_ok());
        let other = Header { cluster_uid: "v".into(), ..header() };
        let told = header().must_be_of(path, &other).unwrap_err().to_string();
        assert!(told.contains("another cluster"), "{told}");
    }
}
