//! The result: a table for people, and one JSON object as the last line for programs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use console::style;
use serde::Serialize;
use serde_json::Value;

use super::Arguments;

/// A limit that a figure of Holdfast must keep.
#[derive(Debug, Clone, Serialize)]
pub struct Bar {
    /// Name of the figure, as among the ratios.
    pub key: String,
    /// What it must not exceed.
    pub must: f64,
    /// What it was.
    pub value: f64,
    /// Whether it was kept.
    pub met: bool,
}

/// Everything that one run of one benchmark says.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub bench: &'static str,
    /// Holdfast divided by its peer; lower is better.
    pub ratios: BTreeMap<String, f64>,
    /// What is held against a limit but is no ratio, the worst of each; seconds.
    #[serde(flatten)]
    pub figures: BTreeMap<String, f64>,
    /// Highest resident memory of each program over all its steps.
    pub peak_rss_mib: BTreeMap<String, f64>,
    /// The limits and whether they were kept.
    pub bars: Vec<Bar>,
    /// Part of the full work that was done.
    pub scale: f64,
    /// How often each side ran.
    pub runs: usize,
    /// What the generated data follow from.
    pub seed: u64,
    /// What was worked on.
    pub work: Value,
    /// Every single measurement.
    pub details: BTreeMap<String, Value>,
    /// Versions of the programs.
    pub versions: BTreeMap<String, String>,
    /// Where it was measured.
    pub machine: Machine,
    /// Load of the machine (runnable tasks, mean of a minute) before the start and at each round.
    pub load: Vec<f64>,
    /// The command line, to do it again.
    pub command: String,
    #[serde(skip)]
    tables: Vec<(String, Table)>,
}

/// The machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Logical processors.
    pub processors: usize,
    /// Name of the first.
    pub model: String,
    /// Memory.
    pub memory_gib: f64,
    /// Version of the kernel.
    pub kernel: String,
}

impl Report {
    /// An empty report of what these arguments ask for.
    pub fn new(arguments: &Arguments) -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        Self {
            bench: "",
            ratios: BTreeMap::new(),
            figures: BTreeMap::new(),
            peak_rss_mib: BTreeMap::new(),
            bars: Vec::new(),
            scale: arguments.scale,
            runs: arguments.runs,
            seed: arguments.seed,
            work: Value::Null,
            details: BTreeMap::new(),
            versions: BTreeMap::new(),
            machine: Machine::this(),
            load: vec![load()],
            command: format!("cargo xtask {}", words.join(" ")),
            tables: Vec::new(),
        }
    }

    /// Notes the load that others put on the machine now.
    pub fn note_load(&mut self) {
        self.load.push(load());
    }

    /// Notes a memory peak; the highest counts.
    pub fn note_peak(&mut self, program: &str, mib: f64) {
        let peak = self.peak_rss_mib.entry(program.to_owned()).or_default();
        *peak = peak.max(round(mib, 1));
    }

    /// Notes a ratio; of several under one key, the worst counts.
    pub fn note_ratio(&mut self, key: &str, ratio: f64) {
        let entry = self.ratios.entry(key.to_owned()).or_insert(f64::MIN);
        *entry = entry.max(round(ratio, 3));
    }

    /// Notes a figure in seconds; of several under one key, the worst counts.
    pub fn note_figure(&mut self, key: &str, seconds: f64) {
        let entry = self.figures.entry(key.to_owned()).or_insert(f64::MIN);
        *entry = entry.max(round(seconds, 2));
    }

    /// Holds a noted ratio or figure against a limit.
    pub fn hold(&mut self, key: &str, must: f64) {
        let noted = self.ratios.get(key).or_else(|| self.figures.get(key));
        let value = noted.copied().unwrap_or(f64::NAN);
        self.bars.push(Bar { key: key.to_owned(), must, value, met: value <= must });
    }

    /// Holds Holdfast's memory peak against a limit in MiB.
    pub fn hold_peak(&mut self, must: f64) {
        let value = self.peak_rss_mib.get("holdfast").copied().unwrap_or(f64::NAN);
        self.bars.push(Bar { key: "peak_rss_mib".into(), must, value, met: value <= must });
    }

    /// Adds a table under a heading; the first column is of names, the others of figures.
    pub fn table(&mut self, heading: &str, head: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(head).add_rows(rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self.tables.push((heading.to_owned(), table));
    }

    /// Prints everything, and stores the JSON object if a file is named.
    pub fn finish(mut self, file: Option<&Path>) -> Result<()> {
        self.note_load();
        for (heading, table) in &self.tables {
            println!("\n{}\n{table}", style(heading).bold());
        }
        println!();
        for bar in &self.bars {
            println!("{}", bar.line());
        }
        println!("\n{}", self.machine.line());
        let highest = self.load.iter().copied().fold(0.0, f64::max);
        println!(
            "load before the start {:.1}, highest {highest:.1}; {} runs, medians",
            self.load[0], self.runs
        );
        if (self.scale - 1.0).abs() > f64::EPSILON {
            println!("{}", style(format!("scale {}: a quick look, not the benchmark", self.scale)).yellow());
        }
        let json = serde_json::to_string(&self)?;
        if let Some(path) = file {
            let pretty = serde_json::to_string_pretty(&self)? + "\n";
            std::fs::write(path, pretty).with_context(|| format!("cannot write {}", path.display()))?;
        }
        println!("{json}");
        Ok(())
    }
}

impl Bar {
    fn line(&self) -> String {
        let verdict = if self.met { style("met   ").green() } else { style("missed").red() };
        format!("{verdict}  {:<18} {:>7.2}   must be at most {}", self.key, self.value, self.must)
    }
}

impl Machine {
    fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        Self {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            model: field(&read("/proc/cpuinfo"), "model name"),
            memory_gib: round(kib / f64::from(1 << 20), 1),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    fn line(&self) -> String {
        format!(
            "{} processors ({}), {} GiB, Linux {}",
            self.processors, self.model, self.memory_gib, self.kernel
        )
    }
}

/// Runnable tasks, as a mean over the last minute.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}

/// Rounds to some decimal places.
pub fn round(value: f64, places: i32) -> f64 {
    let factor = 10f64.powi(places);
    (value * factor).round() / factor
}

/// Seconds, as a table shows them.
pub fn seconds(value: f64) -> String {
    if value.is_finite() { format!("{value:.1} s") } else { "–".into() }
}
