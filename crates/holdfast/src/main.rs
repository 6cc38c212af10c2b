//! The command line of Holdfast: parses, wires the rooms together, and designs what people read.

mod allocator;
mod before;
mod catalogue;
mod cli;
mod clusters;
mod command;
mod edge;
mod error;
mod failure;
mod global;
mod home;
mod in_place;
mod interrupt;
mod logging;
mod output;
mod plan_file;
mod points;
mod progress;
mod render;
mod runs;
mod session;
mod vaults;
mod volumes;
mod yaml;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::{Format, Paint, Tone};
use crate::session::Session;

fn main() -> ExitCode {
    allocator::return_large_buffers();
    // Movers are this program too, in a pod: they share nothing else with the command line.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "mover") {
        return holdfast_volume::mover::main(arguments.collect());
    }
    let Cli { global, command } = Cli::parse();
    let format = global.output;
    let result = Session::start(global)
        .map_err(anyhow::Error::from)
        .and_then(|session| command::run(&session, command, Cli::command()));
    match result {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) if failure::is_closed_output(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::of(&error);
            report(&failure, format);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Writes what went wrong to standard error. That it cannot be written is nothing to report.
fn report(failure: &Failure, format: Format) {
    let mut stderr = std::io::stderr().lock();
    if format.is_machine() {
        let document = serde_json::json!({ "error": failure });
        let _ = writeln!(stderr, "{document}");
        return;
    }
    let paint = Paint::for_stream(stderr.is_terminal());
    let _ = writeln!(
        stderr,
        "{} {}",
        paint.apply(Tone::Bad, "error:"),
        output::paint::printable_lines(&failure.message)
    );
    if !failure.hint.is_empty() {
        let _ = writeln!(stderr, "{}  {}", paint.apply(Tone::Good, "hint:"), failure.hint);
    }
}
