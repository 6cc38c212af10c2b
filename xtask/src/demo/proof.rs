//! What is checked after the recovery, and the objectives that were measured.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use holdfast_testbed::S3;

use super::ground::{Place, output};
use super::orders::{Acknowledged, Ledger, ledger};
use super::program::Program;
use super::telling::Telling;

/// What is known at the moment of the loss.
pub struct Loss {
    /// The orders that were acknowledged before the last capture.
    pub ledger: Ledger,
    /// When the last capture began.
    pub captured: Instant,
    /// When the site was lost.
    pub killed: Instant,
    /// The last order that was acknowledged at all.
    pub last: Option<Acknowledged>,
}

/// Every row of the last capture is there, by SQL and through the Service.
pub fn rows(telling: &Telling, b: &Place, wanted: &Ledger) -> Result<()> {
    let page = b.page()?;
    let found = ledger(b, wanted.last)?;
    ensure!(found == *wanted, "orders 1 to {}: wanted {wanted:?}, found {found:?}", wanted.last);
    telling.proof(format!(
        "all {} orders acknowledged before the capture are there, digest {}",
        wanted.count, found.digest
    ));
    let all = ledger(b, i64::MAX)?;
    ensure!(
        page.trim() == format!("{} {} {}", all.count, all.last, all.digest),
        "the page says `{}`, the database {all:?}",
        page.trim()
    );
    telling.proof(format!("the page at http://web.shop says the same: {}", page.trim()));
    let corrupt = b.query("select coalesce(sum(checksum_failures), 0) from pg_stat_database")?;
    ensure!(corrupt.trim() == "0", "PostgreSQL counts {} checksum failures", corrupt.trim());
    telling.proof("PostgreSQL found no broken page (data checksums are on)");
    Ok(())
}

/// The application that was at site b before is undisturbed.
pub fn neighbour(telling: &Telling, b: &Place) -> Result<()> {
    let said = b.run(&[
        "get",
        "pods",
        "-n",
        "ledger",
        "-o",
        "jsonpath={range .items[*]}{.status.phase} {.status.containerStatuses[0].restartCount}{end}",
    ])?;
    ensure!(said.trim() == "Running 0", "the ledger's pod is `{}`", said.trim());
    telling.proof("site b's own ledger ran on: same pod, no restart");
    Ok(())
}

/// RPO and RTO as measured.
pub fn objectives(
    telling: &Telling,
    b: &Place,
    loss: &Loss,
    declared: Instant,
    answered: Instant,
) -> Result<()> {
    let newest = ledger(b, i64::MAX)?.last;
    let lost = loss.last.map_or(0, |last| (last.id - newest).max(0));
    telling.fact(
        "RPO",
        format!(
            "{} from the start of the last capture to the loss; {lost} orders placed after it are gone",
            seconds(loss.killed - loss.captured)
        ),
    );
    telling.fact(
        "RTO",
        format!(
            "{} from the decision to the first page served ({} after the loss)",
            seconds(answered - declared),
            seconds(answered - loss.killed)
        ),
    );
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The stock program reads the same vault.
pub fn restic(telling: &mut Telling, restic: &Path, holdfast: &Program, s3: &S3) -> Result<()> {
    telling.act("The same vault, read by the stock restic program");
    let environment = exports(&holdfast.run(&["vault", "restic-env", "shop"])?);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(restic);
        command.args(arguments).arg("--no-cache").envs(environment.iter().cloned());
        command.env("AWS_ACCESS_KEY_ID", s3.access_key()).env("AWS_SECRET_ACCESS_KEY", s3.secret_key());
        output(&mut command).with_context(|| format!("restic {}", arguments.join(" ")))
    };
    telling.command("restic snapshots --compact");
    telling.output(&run(&["snapshots", "--compact"])?);
    let listing = run(&["ls", "latest", "--tag", "holdfast:point"])?;
    telling.command("restic ls latest --tag holdfast:point");
    telling.output(&first_lines(&listing, 8));
    let check = run(&["check", "--read-data"])?;
    telling.command("restic check --read-data");
    telling.output(check.lines().last().unwrap_or_default());
    ensure!(check.contains("no errors were found"), "restic check: {check}");
    let dumped =
        run(&["dump", "latest", "--tag", "holdfast:point", "/resources/core/v1/services/shop/web.json"])?;
    let service: serde_json::Value =
        serde_json::from_str(&dumped).context("the dumped Service is no JSON")?;
    telling.command("restic dump latest /resources/core/v1/services/shop/web.json");
    telling.output(&format!("{} {}, {} bytes", service["kind"], service["metadata"]["name"], dumped.len()));
    Ok(())
}

/// `export NAME='value'` lines as pairs.
fn exports(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("export ")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
        .collect()
}

fn first_lines(text: &str, count: usize) -> String {
    let all = text.lines().count();
    let mut shown: Vec<&str> = text.lines().take(count).collect();
    let rest = format!("… {} more lines", all.saturating_sub(count));
    if all > count {
        shown.push(&rest);
    }
    shown.join("\n")
}
