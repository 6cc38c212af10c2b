//! Progress of a backup or a restore: the steps, the objects, and one bar per volume.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use holdfast_protect::progress::{Event, Observer};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{LINE_EVERY, is_terminal, rate_and_rest};
use crate::output::amount::{count, size, span};
use crate::output::paint::printable;
use crate::session::Session;

/// How often bars that have no end in sight are redrawn.
const TICK: Duration = Duration::from_millis(120);

/// The observer that suits standard error: bars, lines, or nothing beside `-o json`.
pub(crate) fn observer(session: &Session) -> std::sync::Arc<dyn Observer> {
    if is_terminal() {
        std::sync::Arc::new(Bars::new(session.bars.clone()))
    } else {
        std::sync::Arc::new(Lines::default())
    }
}

/// What is known of the objects while they go by.
#[derive(Debug, Default)]
struct Objects {
    kinds: BTreeMap<String, (u64, u64)>,
}

impl Objects {
    fn set(&mut self, kind: String, done: u64, bytes: u64) {
        self.kinds.insert(kind, (done, bytes));
    }

    fn line(&self) -> String {
        let (done, bytes) = self.kinds.values().fold((0, 0), |(d, b), (done, bytes)| (d + done, b + bytes));
        format!("{} objects of {} kinds, {}", count(done), self.kinds.len(), size(bytes))
    }
}

/// One volume while it is read or filled.
#[derive(Debug)]
struct Volume {
    began: Instant,
    phase: String,
    shown: Option<Instant>,
}

fn volume_line(
    claim: &str,
    phase: &str,
    files: u64,
    done: u64,
    total: Option<u64>,
    began: Instant,
) -> String {
    let mut line = format!("volume {claim}: {phase}");
    if files > 0 || done > 0 {
        line.push_str(&format!(", {} files, {}", count(files), size(done)));
        line.extend(total.filter(|total| *total >= done).map(|total| format!(" of {}", size(total))));
    }
    if let Some((rate, rest)) = rate_and_rest(done, total.unwrap_or_default(), began.elapsed()) {
        line.push_str(&format!(", {}/s", size(rate)));
        line.extend(rest.filter(|rest| *rest > Duration::ZERO).map(|rest| format!(", {} left", span(rest))));
    }
    line
}

/// Plain lines: every step, and what takes long now and then.
#[derive(Default)]
struct Lines {
    state: Mutex<LineState>,
}

#[derive(Default)]
struct LineState {
    objects: Objects,
    objects_shown: Option<Instant>,
    volumes: BTreeMap<String, Volume>,
}

impl Observer for Lines {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = state.line(event) {
            eprintln!("{}", printable(&line));
        }
    }
}

impl LineState {
    /// The line that an event is worth, if any.
    fn line(&mut self, event: Event) -> Option<String> {
        match event {
            Event::Step { .. } => None,
            Event::StepDone { name, millis } => {
                let objects =
                    if name == "objects" { format!(": {}", self.objects.line()) } else { String::new() };
                Some(format!("{name}{objects} ({})", span(Duration::from_millis(millis))))
            }
            Event::Objects { kind, done, bytes, .. } => {
                self.objects.set(kind, done, bytes);
                is_due(&mut self.objects_shown).then(|| self.objects.line())
            }
            Event::Volume { claim, phase, done_bytes, total_bytes, files } => {
                let fresh = || Volume { began: Instant::now(), phase: String::new(), shown: None };
                let volume = self.volumes.entry(claim.clone()).or_insert_with(fresh);
                let new_phase = volume.phase != phase;
                if new_phase {
                    volume.phase.clone_from(&phase);
                    volume.shown = Some(Instant::now());
                }
                let due = new_phase || is_due(&mut volume.shown);
                due.then(|| volume_line(&claim, &phase, files, done_bytes, total_bytes, volume.began))
            }
            Event::Wait { what } => Some(format!("waiting: {what}")),
            Event::Problem(problem) => Some(format!("problem: {problem}")),
        }
    }
}

/// Whether it is time for another line; the first is due after one interval.
fn is_due(shown: &mut Option<Instant>) -> bool {
    let last = *shown.get_or_insert_with(Instant::now);
    let due = last.elapsed() >= LINE_EVERY;
    if due {
        *shown = Some(Instant::now());
    }
    due
}

/// Bars on a terminal: one per step that is under way and one per volume.
struct Bars {
    bars: MultiProgress,
    state: Mutex<BarState>,
}

#[derive(Default)]
struct BarState {
    steps: BTreeMap<&'static str, ProgressBar>,
    objects: Objects,
    volumes: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn new(bars: MultiProgress) -> Self {
        Self { bars, state: Mutex::default() }
    }

    fn add(&self, style: ProgressStyle, message: String) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::no_length()).with_style(style).with_message(message);
        bar.enable_steady_tick(TICK);
        bar
    }

    fn say(&self, line: &str) {
        self.bars.suspend(|| eprintln!("{}", printable(line)));
    }

    fn volume(
        &self,
        state: &mut BarState,
        claim: String,
        phase: &str,
        done: u64,
        total: Option<u64>,
        files: u64,
    ) {
        let bar =
            state.volumes.entry(claim.clone()).or_insert_with(|| self.add(volume_style(), String::new()));
        bar.set_message(printable(&format!("{claim}: {phase}, {} files", count(files))).into_owned());
        if let Some(total) = total.filter(|total| *total >= done) {
            bar.set_length(total);
        }
        bar.set_position(done);
        if phase == "done" {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Bars {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Step { name } => {
                let bar = self.add(step_style(), name.to_owned());
                state.steps.insert(name, bar);
            }
            Event::StepDone { name, millis } => {
                if let Some(bar) = state.steps.remove(name) {
                    bar.finish_and_clear();
                }
                let objects =
                    if name == "objects" { format!(": {}", state.objects.line()) } else { String::new() };
                self.say(&format!("✓ {name}{objects} ({})", span(Duration::from_millis(millis))));
            }
            Event::Objects { kind, done, bytes, .. } => {
                state.objects.set(kind, done, bytes);
                let line = state.objects.line();
                if let Some(bar) = state.steps.get("objects") {
                    bar.set_message(line);
                }
            }
            Event::Volume { claim, phase, done_bytes, total_bytes, files } => {
                self.volume(&mut state, claim, &phase, done_bytes, total_bytes, files);
            }
            Event::Wait { what } => self.say(&format!("waiting: {what}")),
            Event::Problem(problem) => self.say(&format!("! {problem}")),
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // A run that failed leaves bars that would stand between the error and its cause.
        let _ = self.bars.clear();
    }
}

fn step_style() -> ProgressStyle {
    style("{spinner} {msg}  {elapsed}")
}

fn volume_style() -> ProgressStyle {
    style("  {msg}  {bar:24}  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(done_bytes: u64) -> Event {
        let (claim, phase) = ("shop/data".to_owned(), "reading".to_owned());
        Event::Volume { claim, phase, done_bytes, total_bytes: Some(4096), files: 7 }
    }

    #[test]
    fn steps_and_new_phases_are_told_and_the_rest_now_and_then() {
        let mut state = LineState::default();
        assert_eq!(state.line(Event::Step { name: "objects" }), None);
        let objects = Event::Objects { kind: "secrets".into(), done: 1_200, total: None, bytes: 2048 };
        assert_eq!(state.line(objects), None);
        let done = state.line(Event::StepDone { name: "objects", millis: 1_500 });
        assert_eq!(done.unwrap(), "objects: 1,200 objects of 1 kinds, 2.00 KiB (1.5 s)");
        assert_eq!(
            state.line(reading(1024)).unwrap(),
            "volume shop/data: reading, 7 files, 1.00 KiB of 4.00 KiB"
        );
        assert_eq!(state.line(reading(2048)), None);
    }

    #[test]
    fn a_name_in_an_event_cannot_break_the_line() {
        let mut state = LineState::default();
        let line = state.line(Event::Wait { what: "a\x1b[2J".into() }).unwrap();
        assert_eq!(printable(&line), "waiting: a\u{fffd}[2J");
    }
}
