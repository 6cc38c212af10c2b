//! `holdfast vault check`: is everything that recovery points refer to there and undamaged?

use clap::Args;
use holdfast_model::Outcome;
use holdfast_vault::{CheckOptions, CheckReport, Error as VaultError};
use serde::Serialize;

use crate::catalogue::Found;
use crate::interrupt;
use crate::output::amount::count;
use crate::output::{Cell, Column, Details, Table, Tone, View};
use crate::progress::Meter;
use crate::session::Session;

/// Checks vaults.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Read and verify all data instead of the structure alone
    #[arg(long)]
    read_data: bool,

    /// Check this application alone
    #[arg(value_name = "APP")]
    app: Option<String>,
}

/// What was found of one application.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    vault: String,
    application: String,
    /// None: no point has been made yet.
    #[serde(flatten)]
    numbers: Option<Numbers>,
    findings: Vec<Damage>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    snapshots: u64,
    packs: u64,
    blobs_used: u64,
    unreferenced_packs: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Damage {
    object: String,
    problem: String,
    /// `snapshot: path` of what it hits.
    affects: Vec<String>,
}

impl Check {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let checked = interrupt::query(async || {
            let found = match &self.app {
                Some(app) => vec![session.find_application(app).await?],
                None => session.applications().await?,
            };
            let mut checked = Vec::new();
            for found in found {
                checked.push(check(session, &found, self.read_data).await?);
            }
            Ok(checked)
        })?;
        session.output.show(&checked, |view| render(&checked, view))?;
        if checked.is_empty() && !session.output.format().is_machine() {
            session.note("the vault opens with its key and holds no applications yet");
        }
        let clean = checked.iter().all(|checked| checked.findings.is_empty());
        Ok(if clean { Outcome::Completed } else { Outcome::Partial })
    }
}

async fn check(session: &Session, found: &Found, read_data: bool) -> anyhow::Result<Checked> {
    let (vault, name) = (found.vault.name(), &found.application.name);
    let empty =
        Checked { vault: vault.to_owned(), application: name.clone(), numbers: None, findings: Vec::new() };
    let repository = match found.vault.tenant.open_repository(&found.application.id).await {
        Ok(repository) => repository,
        Err(VaultError::NotFound { .. }) => return Ok(empty),
        Err(error) => return Err(anyhow::Error::new(error).context(format!("application `{name}`"))),
    };
    let meter = Meter::bytes(session, format!("checking {name}"));
    let report = repository
        .check(CheckOptions { read_data }, |progress| meter.set(progress.bytes_done, progress.bytes_total))
        .await
        .map_err(|error| anyhow::Error::new(error).context(format!("application `{name}`")))?;
    meter.finish();
    Ok(Checked { numbers: Some(Numbers::of(&report)), findings: damages(report), ..empty })
}

impl Numbers {
    fn of(report: &CheckReport) -> Self {
        Self {
            snapshots: report.snapshots,
            packs: report.packs,
            blobs_used: report.blobs_used,
            unreferenced_packs: report.unreferenced_packs,
        }
    }
}

fn damages(report: CheckReport) -> Vec<Damage> {
    let damage = |finding: holdfast_vault::Finding| Damage {
        object: finding.object,
        problem: finding.problem,
        affects: finding
            .affects
            .iter()
            .map(|(snapshot, path)| format!("{}: {path}", snapshot.short()))
            .collect(),
    };
    report.findings.into_iter().map(damage).collect()
}

fn render(checked: &[Checked], view: &View) -> String {
    let mut table = Table::new([
        Column::new("VAULT"),
        Column::new("APPLICATION"),
        Column::new("SNAPSHOTS"),
        Column::new("PACKS"),
        Column::new("BLOBS"),
        Column::wide("UNREFERENCED"),
        Column::new("RESULT"),
    ]);
    for one in checked {
        let number =
            |pick: fn(&Numbers) -> u64| one.numbers.as_ref().map_or("-".to_owned(), |n| count(pick(n)));
        let result = match (one.findings.len(), &one.numbers) {
            (0, None) => Cell::toned(Tone::Faint, "no points yet"),
            (0, Some(_)) => Cell::toned(Tone::Good, "undamaged"),
            (damaged, _) => Cell::toned(Tone::Bad, format!("{damaged} damaged")),
        };
        table.row([
            (&one.vault).into(),
            (&one.application).into(),
            number(|n| n.snapshots).into(),
            number(|n| n.packs).into(),
            number(|n| n.blobs_used).into(),
            number(|n| n.unreferenced_packs).into(),
            result,
        ]);
    }
    let mut details = Details::new();
    for one in checked.iter().filter(|one| !one.findings.is_empty()) {
        details.section(format!("Damaged in {}", one.application));
        for damage in &one.findings {
            details.item(format!("{}: {}", damage.object, damage.problem));
            for affected in &damage.affects {
                details.item(format!("  affects {affected}"));
            }
        }
    }
    table.render(view) + &details.render(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_listed_below_the_table() {
        let numbers = Numbers { snapshots: 4, packs: 31_000, blobs_used: 2_000_000, unreferenced_packs: 0 };
        let checked = |application: &str, numbers, findings| Checked {
            vault: "tokyo".into(),
            application: application.into(),
            numbers,
            findings,
        };
        let damage = Damage {
            object: "data/ab/abcd".into(),
            problem: "content does not match its name".into(),
            affects: vec!["1f2e3d4c: /var/lib/db".into()],
        };
        let all = [checked("shop", Some(numbers), vec![damage]), checked("bank", None, vec![])];
        insta::assert_snapshot!(render(&all, &View::plain(false)), @r"
        VAULT   APPLICATION   SNAPSHOTS   PACKS    BLOBS       RESULT
        tokyo   shop          4           31,000   2,000,000   1 damaged
        tokyo   bank          -           -        -           no points yet

        Damaged in shop
          data/ab/abcd: content does not match its name
            affects 1f2e3d4c: /var/lib/db
        ");
    }
}
