//! Named pieces of work with their times, summed up at the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use console::style;

/// The stages of one command so far.
#[derive(Default)]
pub struct Stages {
    done: Vec<(String, Duration)>,
}

impl Stages {
    /// Runs one stage; its failure ends the command and names the stage.
    pub fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("\n{} {name}", style("==>").green().bold());
        let begun = Instant::now();
        let result = work().with_context(|| format!("stage `{name}` failed"));
        self.done.push((name.to_owned(), begun.elapsed()));
        if result.is_err() {
            self.print();
        }
        result
    }

    /// Prints a line per stage and the total.
    pub fn print(&self) {
        eprintln!();
        for (name, took) in &self.done {
            eprintln!("{:>8.1} s  {name}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        eprintln!("{:>8.1} s  in all", total.as_secs_f64());
    }
}

/// The testbed's progress as lines of their own.
pub fn reporter() -> holdfast_testbed::Reporter {
    holdfast_testbed::Reporter::new(|event| eprintln!("    {event}"))
}
