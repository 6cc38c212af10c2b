//! Logs of this process, on standard error: off the way of progress bars, as text or JSON.

use std::io::Write;
use std::str::FromStr;

use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// What is logged, and how: `LEVEL` or `LEVEL,json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    level: LevelFilter,
    json: bool,
}

impl FromStr for Log {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (level, json) = match text.split_once(',') {
            None => (text, false),
            Some((level, "json")) => (level, true),
            Some((_, form)) => return Err(format!("`{form}` is no form of logs: use json, or leave it out")),
        };
        let known = ["off", "error", "warn", "info", "debug", "trace"];
        match level.parse() {
            Ok(level) if known.contains(&text.split(',').next().unwrap_or_default()) => {
                Ok(Self { level, json })
            }
            _ => Err(format!("`{level}` is no level: use {}", known.join(", "))),
        }
    }
}

impl Log {
    /// Starts logging. Holdfast's own events are logged at the level asked for, those of libraries
    /// only as warnings (at `debug` and below: as wished).
    pub(crate) fn start(self, bars: &MultiProgress) {
        if self.level == LevelFilter::OFF {
            return;
        }
        let libraries = match self.level {
            LevelFilter::DEBUG | LevelFilter::TRACE => LevelFilter::INFO,
            level => level.min(LevelFilter::WARN),
        };
        let filter = Targets::new().with_default(libraries).with_target("holdfast", self.level);
        let bars = bars.clone();
        let layer = fmt::layer().with_ansi(false).with_writer(move || AboveBars(bars.clone()));
        let layer = if self.json { layer.json().boxed() } else { layer.boxed() };
        // There is one logger per process; the first one stays.
        let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    }
}

/// Standard error, with the bars taken away while a line is written.
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stderr().write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_and_form_are_parsed() {
        assert_eq!("debug,json".parse(), Ok(Log { level: LevelFilter::DEBUG, json: true }));
        assert_eq!("off".parse(), Ok(Log { level: LevelFilter::OFF, json: false }));
        assert!("loud".parse::<Log>().unwrap_err().contains("off, error, warn"));
        assert!("info,xml".parse::<Log>().unwrap_err().contains("json"));
        assert!("7".parse::<Log>().is_err());
    }
}
