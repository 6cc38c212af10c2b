//! How the story looks on a terminal: numbered acts, facts in columns, commands as typed.

use std::time::{Duration, Instant};

use console::{measure_text_width, style};

/// Prints the story and keeps the time of each act.
pub struct Telling {
    begun: Instant,
    act: Option<(String, Instant)>,
    acts: Vec<(String, Duration)>,
}

impl Telling {
    /// Starts the clock and prints the title.
    pub fn new(title: &str) -> Self {
        println!("\n  {}\n  {}", style(title).bold(), style("─".repeat(measure_text_width(title))).dim());
        Self { begun: Instant::now(), act: None, acts: Vec::new() }
    }

    /// Ends the act before and opens the next one.
    pub fn act(&mut self, title: &str) {
        self.close();
        let number = self.acts.len() + 1;
        println!("\n{} {}", style(format!("{number:>2}")).cyan().bold(), style(title).bold());
        self.act = Some((title.to_owned(), Instant::now()));
    }

    /// A fact, its name in a column.
    pub fn fact(&self, name: &str, value: impl std::fmt::Display) {
        let pad = 18usize.saturating_sub(measure_text_width(name));
        println!("   {}{} {value}", style(name).dim(), " ".repeat(pad));
    }

    /// A sentence.
    pub fn say(&self, text: impl std::fmt::Display) {
        println!("   {text}");
    }

    /// A proof that held.
    pub fn proof(&self, text: impl std::fmt::Display) {
        println!("   {} {text}", style("✔").green().bold());
    }

    /// A command as the user would type it.
    pub fn command(&self, line: &str) {
        println!("   {} {}", style("$").dim(), style(line).cyan());
    }

    /// What a command printed, indented.
    pub fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("     {line}");
        }
    }

    /// Ends the last act and prints where the time went.
    pub fn end(&mut self) {
        self.close();
        println!("\n   {}", style("where the time went").dim());
        for (title, took) in &self.acts {
            println!("   {:>7.1} s  {title}", took.as_secs_f64());
        }
        println!("   {:>7.1} s  in all", self.begun.elapsed().as_secs_f64());
    }

    fn close(&mut self) {
        if let Some((title, begun)) = self.act.take() {
            self.acts.push((title, begun.elapsed()));
        }
    }
}
