//! The checks that need no cluster, and all of it in one go.

use anyhow::Result;
use holdfast_testbed::Cache;

use crate::stage::Stages;
use crate::workspace::{cargo, run};
use crate::{schema, test};

const CARGO_DENY: &str = "0.20.2";

/// Format, lints, documents, licences, tests.
pub fn ci() -> Result<()> {
    let mut stages = Stages::default();
    stages.run("format", || {
        run(&mut cargo(&["fmt", "--all", "--check"]))?;
        run(&mut cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
    })?;
    stages.run("schemas", schema::check)?;
    stages.run("clippy", || {
        run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    stages.run("documents", || {
        // Read by developers, private items and all: links to those are welcome.
        let mut command = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        run(command.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links"))
    })?;
    stages.run("licences and duplicates", deny)?;
    test::stages_of(&test::Arguments::default(), &mut stages)?;
    stages.print();
    Ok(())
}

/// `cargo deny`, built from its registry once and kept in the cache.
fn deny() -> Result<()> {
    let cache = Cache::of_user()?;
    let root = cache.root().join(format!("parts/cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        eprintln!("building cargo-deny {CARGO_DENY} (some minutes, once)");
        let mut install = cargo(&["install", "--quiet", "--locked", "--version", CARGO_DENY, "cargo-deny"]);
        run(install.args(["--no-default-features", "--root"]).arg(&root))?;
    }
    run(std::process::Command::new(program)
        .current_dir(crate::workspace::root())
        .args(["check", "bans", "licenses", "sources"]))
}
