//! Developer commands: `cargo xtask demo`, `test`, `ci`, `bench`, `fuzz`, `image`, `schema`.

// In a program of several modules `pub` says that other modules use an item; there is no outside.
#![allow(unreachable_pub)]

mod bench;
mod checks;
mod demo;
mod fuzz;
mod image;
mod schema;
mod stage;
mod test;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Holdfast", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell the main job on real clusters: an application lost at one site runs at another
    Demo(demo::Arguments),
    /// Run every test, including the scenarios on real clusters
    Test(test::Arguments),
    /// Run all checks and tests, as for every change
    Ci,
    /// Measure Holdfast beside restic, kopia and the bare API, and hold it against its bars
    Bench(bench::Arguments),
    /// Feed hostile bytes to everything that reads what others wrote
    Fuzz(fuzz::Arguments),
    /// Write the OCI archive of the image that holds `holdfast`
    Image(image::Arguments),
    /// Write the JSON Schemas of the manifests to docs/schema
    Schema,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run_all(&arguments),
        Command::Ci => checks::ci(),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Image(arguments) => image::run(&arguments),
        Command::Schema => schema::write(),
    }
}
