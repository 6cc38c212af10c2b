//! `holdfast run`: what backups and restores of this home did.

use clap::{Args, Subcommand};
use holdfast_model::{Outcome, RunId};
use jiff::Timestamp;

use crate::edge;
use crate::error::Error;
use crate::home::Home;
use crate::home::reports::{Came, Ended, Head};
use crate::output::amount::age;
use crate::output::{Cell, Column, Details, Table, View};
use crate::render;
use crate::session::Session;

/// What to say of runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the backups and restores of this home that have ended, newest last
    List,
    /// Show what a run did: its point or report, or what kept it from going on
    Show(Show),
}

/// Shows a run.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Id of the run, the beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    run: String,
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        match self {
            Command::List => {
                let (mut heads, mut unread) = (Vec::new(), false);
                for run in session.home.reported()? {
                    match session.home.report_head(&run) {
                        Ok(head) => heads.push(head),
                        Err(error) => {
                            session.warn(&error.to_string());
                            unread = true;
                        }
                    }
                }
                session.output.show(&heads, |view| table(&heads, edge::now(), view))?;
                if unread {
                    return Ok(Outcome::Partial);
                }
            }
            Command::Show(Show { run }) => {
                let ended = session.home.report(&find(&session.home, &run)?)?;
                session.output.show(&ended, |view| details(&ended, view))?;
            }
        }
        Ok(Outcome::Completed)
    }
}

/// The run that a user names.
fn find(home: &Home, wanted: &str) -> Result<RunId, Error> {
    let runs = home.reported()?;
    let hint = "`holdfast run list` has the runs that have ended";
    let mut found: Vec<&RunId> = match wanted {
        "latest" => runs.last().into_iter().collect(),
        _ => runs.iter().filter(|run| run.as_str().starts_with(wanted)).collect(),
    };
    match (found.pop(), found.is_empty()) {
        (Some(run), true) => Ok(run.clone()),
        (Some(last), false) => {
            let candidates = found.into_iter().chain([last]).map(RunId::to_string).collect();
            Err(Error::Ambiguous { what: format!("several runs begin with `{wanted}`"), candidates, hint })
        }
        (None, _) => Err(Error::Unknown { what: "run", name: wanted.to_owned(), known: Vec::new(), hint }),
    }
}

fn table(heads: &[Head], now: Timestamp, view: &View) -> String {
    let mut table =
        Table::new([Column::new("RUN"), Column::new("AGE"), Column::new("OUTCOME"), Column::new("WHAT")]);
    for head in heads {
        table.row([
            (&head.run).into(),
            age(head.ended, now).into(),
            Cell::outcome(head.outcome),
            (&head.what).into(),
        ]);
    }
    table.render(view)
}

fn details(ended: &Ended, view: &View) -> String {
    match &ended.result {
        Came::Point(point) => render::point::summary(point, view),
        Came::Restore(report) => render::restore::report(report, view),
        Came::Failure(failure) => {
            let mut details = Details::new();
            details
                .field("Run", &ended.head.run)
                .field("What", &ended.head.what)
                .field("Outcome", Cell::outcome(ended.head.outcome))
                .field("Ended", ended.head.ended.strftime("%Y-%m-%dT%H:%M:%SZ"))
                .field("Code", &failure.code)
                .field("Error", &failure.message)
                .field_if("Hint", &failure.hint);
            details.render(view)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn failed(second: i64) -> Ended {
        let ended = Timestamp::from_second(second).unwrap();
        let failure = Failure::of(&Error::Usage { what: "two of one".into(), hint: "choose" }.into());
        let (run, what) = (RunId::new(ended, [1, 2, 3]), "restore shop".to_owned());
        Ended { head: Head { run, what, ended, outcome: Outcome::Failed }, result: Came::Failure(failure) }
    }

    #[test]
    fn a_run_is_named_by_the_beginning_of_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().join("home"))).unwrap();
        assert_eq!(find(&home, "latest").unwrap_err().code(), "cli.unknown");
        for second in [0, 86_400, 86_401] {
            home.keep_report(&failed(second)).unwrap();
        }
        assert_eq!(find(&home, "latest").unwrap(), failed(86_401).head.run);
        assert_eq!(find(&home, "19700101").unwrap(), failed(0).head.run);
        assert_eq!(find(&home, "19700102").unwrap_err().code(), "cli.ambiguous");
        assert_eq!(find(&home, "2026").unwrap_err().code(), "cli.unknown");
    }

    #[test]
    fn a_run_that_failed_says_why() {
        let view = View::plain(false);
        let shown = details(&failed(0), &view);
        for words in ["restore shop", "Failed", "cli.usage", "two of one", "choose", "1970-01-01T00:00:00Z"] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        let now = Timestamp::from_second(7_200).unwrap();
        let listed = table(&[failed(0).head], now, &view);
        assert!(listed.contains("19700101t000000-010203   120m") && listed.contains("Failed"), "{listed}");
    }
}
