//! The program that brings a standby forward, and what it reports.

use std::fs::File;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::stand::Stand;

/// A program that brings a standby forward until it is ended.
pub struct Following(Child);

impl Following {
    /// Starts it; what it reports goes to `log`.
    pub fn start(stand: &Stand, name: &str, log: File) -> Result<Self> {
        let point = format!("{name}/latest");
        let arguments = ["standby", "sync", &point, "--to", "b", "--follow=1s", "--wait", "-o", "json"];
        let mut command = stand.program.command(&arguments);
        command.stdin(Stdio::null()).stdout(log).stderr(Stdio::inherit());
        Ok(Self(command.spawn().context("cannot start holdfast")?))
    }

    /// Whether it still runs.
    pub fn check(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("`holdfast standby sync --follow` ended with {status}"),
        }
    }

    /// Kills it.
    pub fn end(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // Nothing is left of it in the good case.
        let _ = self.end();
    }
}

/// One sync, by what it reports.
#[derive(Debug, Clone, Serialize)]
pub struct Sync {
    /// From its start to its end.
    pub seconds: f64,
    /// How old the point was at the end, counted from the start of its capture.
    pub behind: f64,
    /// Bytes written at the standby.
    pub written: u64,
}

impl Sync {
    /// Those that a program reported; of one that was killed, the last may be cut off.
    pub fn all_of(said: &str) -> Vec<Self> {
        let reports = serde_json::Deserializer::from_str(said).into_iter::<Value>();
        reports.map_while(Result::ok).filter_map(|report| Self::of(&report)).collect()
    }

    fn of(report: &Value) -> Option<Self> {
        let time = |field: &str| report[field].as_str()?.parse::<Timestamp>().ok();
        let finished = time("finished")?;
        let since = |moment: Timestamp| finished.duration_since(moment).as_secs_f64();
        Some(Self {
            seconds: since(time("started")?),
            behind: since(time("captured")?),
            written: report["volumes"][0]["bytesWritten"].as_u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_up_to_one_that_was_cut_off() {
        let report = r#"{"started":"2026-01-01T00:00:03Z","finished":"2026-01-01T00:00:04.5Z",
            "captured":"2026-01-01T00:00:00Z","volumes":[{"bytesWritten":7}]}"#;
        let found = Sync::all_of(&format!("{report}\n{report}\n{}", &report[..40]));
        let all: Vec<_> = found.iter().map(|sync| (sync.seconds, sync.behind, sync.written)).collect();
        assert_eq!(all, [(1.5, 4.5, 7), (1.5, 4.5, 7)]);
    }
}
