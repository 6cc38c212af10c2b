//! The story, act by act.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Arguments;
use super::ground::{self, Place};
use super::orders::{Customer, Ledger, ledger};
use super::program::Program;
use super::proof::{self, Loss};
use super::sites;
use super::telling::Telling;
use crate::workspace;

/// Orders a second while the shop is open.
const ORDERS_PER_SECOND: u32 = 50;
/// Rows there before the first capture.
const FIRST_ROWS: u32 = 20_000;

/// Everything the acts after the setting need.
struct Cast<'a> {
    telling: &'a mut Telling,
    holdfast: &'a Program,
    a: &'a Place,
    b: &'a Place,
}

/// On two sites of our own, the first of which is killed outright.
pub async fn on_sites(keep: bool) -> Result<()> {
    let mut telling = Telling::new("Holdfast: an application lost at one site runs at another");
    telling.act("Build what is needed and start two sites and an S3 server");
    let mut stage = sites::set(&telling).await?;
    let kubectl = sites::kubectl()?;
    let (place_a, place_b) = (sites::place(&stage.a, &kubectl), sites::place(&stage.b, &kubectl));
    let holdfast = sites::program(&stage)?;

    let mut cast = Cast { telling: &mut telling, holdfast: &holdfast, a: &place_a, b: &place_b };
    cast.deploy(&workspace::root().join("examples"))?;
    cast.deploy_thirdparty()?;
    cast.protect(&stage.vault, &["shop", "thirdparty"])?;
    let change = cast.change_and_protect_again()?;
    cast.telling.act("Site a burns: every process of it is killed with SIGKILL");
    let killed = Instant::now();
    stage.a.kill().await?;
    let last = change.customer.end();
    cast.telling.fact("killed", format!("in {:.1} s", killed.elapsed().as_secs_f64()));
    let loss = Loss { ledger: change.ledger, captured: change.captured, killed, last };
    cast.recover(&["shop", "thirdparty"], &loss)?;
    proof::restic(&mut telling, &stage.restic, &holdfast, &stage.s3)?;

    if keep {
        sites::keep(&telling, stage, &holdfast)?;
    } else {
        telling.act("Leave nothing behind");
        let sites::Stage { s3, a, b, .. } = stage;
        tokio::try_join!(a.stop(), b.stop())?;
        s3.stop().await?;
        telling.say("site b and the S3 server are stopped, site a's remains are swept");
    }
    telling.end();
    Ok(())
}

/// On two clusters of the user's, neither of which is harmed: the loss is told, not made.
pub fn on_clusters(arguments: &Arguments, a: &str, b: &str, vault: &str) -> Result<()> {
    let mut telling = Telling::new("Holdfast on your own clusters");
    telling.act("Build the program and find the clusters");
    let (place_a, place_b) = (sites::own_place(a)?, sites::own_place(b)?);
    // The vault stays, and so do its keys, whatever becomes of the story.
    let directory = tempfile::tempdir()?.keep();
    let binary = workspace::build_program(workspace::Profile::Release)?.join("holdfast");
    let mut holdfast = Program::new(&binary, &directory.join("home"));
    if let Some(registry) = &arguments.registry {
        holdfast = holdfast.with("HOLDFAST_MOVER_IMAGE", format!("{registry}/{}", crate::image::name()));
    }
    let examples = sites::examples(arguments.registry.as_deref(), &directory)?;
    let mut cast = Cast { telling: &mut telling, holdfast: &holdfast, a: &place_a, b: &place_b };
    cast.deploy(&examples)?;
    cast.protect(&sites::own_vault(vault, arguments.endpoint.as_deref(), &directory), &["shop"])?;
    let change = cast.change_and_protect_again()?;
    cast.telling.act("Site a is treated as lost: nothing is asked of it from here on");
    let killed = Instant::now();
    let last = change.customer.end();
    let loss = Loss { ledger: change.ledger, captured: change.captured, killed, last };
    cast.recover(&["shop"], &loss)?;
    telling
        .say(format!("left in place: namespace shop at {a} and {b}, ledger at {b}, and the vault {vault}"));
    telling.say(format!("its recovery key and holdfast's home are in {}", directory.display()));
    telling.end();
    Ok(())
}

/// What is known at the moment of the last capture.
struct Change {
    customer: Customer,
    ledger: Ledger,
    captured: Instant,
}

impl Cast<'_> {
    fn deploy_thirdparty(&self) -> Result<()> {
        sites::thirdparty(self.a)?;
        let pods = self.a.run(&["get", "pods", "-A", "-o", "name"])?;
        self.telling.fact(
            "third parties",
            format!(
                "Online Boutique, Bookinfo, Guestbook, Cassandra and their CRDs; {} pods in all",
                pods.lines().count()
            ),
        );
        Ok(())
    }

    fn deploy(&mut self, examples: &Path) -> Result<()> {
        self.telling.act("Deploy the shop at site a; site b is busy with a ledger");
        let shop = examples.join("shop");
        self.a.apply("", &shop.join("crd.yaml"))?;
        self.a.run(&["wait", "--for=condition=Established", "--timeout=30s", "crd/catalogs.shop.example"])?;
        self.a.apply("", &shop.join("shop.yaml"))?;
        self.b.apply("", &shop.join("neighbour.yaml"))?;
        let bound = Duration::from_secs(120);
        self.a.until(
            "the shop's schema",
            bound,
            &["get", "job/schema", "-n", "shop", "-o", "jsonpath={.status.succeeded}"],
            |said| said == "1",
        )?;
        self.a.run(&["rollout", "status", "-n", "shop", "deploy/web", "--timeout=60s"])?;
        self.b.run(&["rollout", "status", "-n", "ledger", "deploy/ledger", "--timeout=60s"])?;
        self.a.query(&format!(
            "insert into orders (item) select 'hat ' || n from generate_series(1, {FIRST_ROWS}) n"
        ))?;
        self.telling.fact("shop", format!("{FIRST_ROWS} orders in PostgreSQL on a volume, read by a page"));
        self.telling.fact("its page says", self.a.page()?.trim());
        Ok(())
    }

    fn protect(&mut self, vault: &[String], applications: &[&str]) -> Result<()> {
        self.telling.act("Protect everything at site a");
        let arguments: Vec<&str> = vault.iter().map(String::as_str).collect();
        self.holdfast.tell(self.telling, &[&["vault", "init", "main"], &arguments[..]].concat())?;
        for application in applications {
            let manifest = workspace::root().join("examples").join(application).join("application.yaml");
            let manifest = manifest.to_string_lossy();
            self.holdfast.run(&["app", "add", application, "-f", &manifest])?;
            self.backup(application)?;
        }
        Ok(())
    }

    fn backup(&self, application: &str) -> Result<()> {
        self.holdfast.tell(self.telling, &["backup", application, "--context", &self.a.context])?;
        Ok(())
    }

    fn change_and_protect_again(&mut self) -> Result<Change> {
        self.telling.act("Orders come in; protect the shop again while they do");
        let customer = Customer::start(self.a, ORDERS_PER_SECOND)?;
        let begun = Instant::now();
        while customer.last().is_none() {
            ensure!(begun.elapsed() < Duration::from_secs(30), "no order was acknowledged within 30 s");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_secs(2)); // some business, not a wait for anything
        let before = customer.last().context("no order was acknowledged")?;
        let ledger = ledger(self.a, before.id)?;
        let captured = Instant::now();
        self.backup("shop")?;
        self.telling
            .fact("promised", format!("orders 1 to {} were acknowledged before the capture", before.id));
        std::thread::sleep(Duration::from_secs(2)); // orders that the last point does not hold
        Ok(Change { customer, ledger, captured })
    }

    fn recover(&mut self, applications: &[&str], loss: &Loss) -> Result<()> {
        self.telling.act("Recover at site b");
        let declared = Instant::now();
        for application in applications {
            let point = format!("{application}/latest");
            self.holdfast
                .tell(self.telling, &["restore", &point, "--to", &self.b.context, "--allow-privileged"])?;
        }
        self.telling.act("Prove it at site b");
        self.b.until("the page", Duration::from_secs(60), &ground::PAGE, |said| !said.is_empty())?;
        let answered = Instant::now();
        proof::rows(self.telling, self.b, &loss.ledger)?;
        proof::neighbour(self.telling, self.b)?;
        proof::objectives(self.telling, self.b, loss, declared, answered)
    }
}
