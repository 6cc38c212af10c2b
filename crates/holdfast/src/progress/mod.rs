//! Progress on standard error: bars on a terminal, plain lines now and then when piped.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::amount::{size, span};
use crate::session::Session;

pub(crate) mod run;

/// How often a plain line is written at most.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Whether bars can be drawn.
pub(crate) fn is_terminal() -> bool {
    Term::stderr().features().is_attended()
}

/// Rate and remaining time of something that moves bytes, from the start of it.
pub(crate) fn rate_and_rest(done: u64, total: u64, elapsed: Duration) -> Option<(u64, Option<Duration>)> {
    let seconds = elapsed.as_secs_f64();
    if done == 0 || seconds < 0.5 {
        return None;
    }
    let rate = done as f64 / seconds;
    let rest = total.checked_sub(done).filter(|_| total > 0).map(|rest| rest as f64 / rate);
    let rest = rest.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Some((rate as u64, rest))
}

/// One piece of work whose bytes are counted.
pub(crate) struct Meter {
    what: String,
    started: Instant,
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    Lines(Mutex<Instant>),
    Silent,
}

impl Meter {
    /// A meter that names what is being done.
    pub(crate) fn bytes(session: &Session, what: String) -> Self {
        let started = Instant::now();
        let form = if session.output.format().is_machine() {
            Form::Silent
        } else if is_terminal() {
            let bar = session.bars.add(ProgressBar::no_length()).with_message(what.clone());
            Form::Bar(bar.with_style(bytes_style()))
        } else {
            Form::Lines(Mutex::new(started))
        };
        Self { what, started, form }
    }

    /// How far it is; a total of 0 is not known yet.
    pub(crate) fn set(&self, done: u64, total: u64) {
        match &self.form {
            Form::Silent => {}
            Form::Bar(bar) => {
                if total > 0 {
                    bar.set_length(total);
                }
                bar.set_position(done);
            }
            Form::Lines(last) => {
                // A poisoned clock of lines still tells the time.
                let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    eprintln!("{}", self.line(done, total));
                }
            }
        }
    }

    /// It is done; the bar goes away.
    pub(crate) fn finish(&self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }

    fn line(&self, done: u64, total: u64) -> String {
        let mut line = format!("{}: {}", self.what, size(done));
        if total > 0 {
            line.push_str(&format!(" of {}", size(total)));
        }
        if let Some((rate, rest)) = rate_and_rest(done, total, self.started.elapsed()) {
            line.push_str(&format!(", {}/s", size(rate)));
            line.extend(rest.map(|rest| format!(", {} left", span(rest))));
        }
        line
    }
}

fn bytes_style() -> ProgressStyle {
    let template =
        "{msg}  {bar:30}  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_rest_follow_from_what_is_done() {
        let second = Duration::from_secs(1);
        assert_eq!(rate_and_rest(100, 300, second), Some((100, Some(2 * second))));
        assert_eq!(rate_and_rest(100, 0, second), Some((100, None)));
        assert_eq!(rate_and_rest(0, 300, second), None);
        assert_eq!(rate_and_rest(400, 300, second), Some((400, None)));
    }
}
