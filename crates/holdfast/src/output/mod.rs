//! What the user sees on standard output: tables and details for people, JSON and YAML for machines.

use std::io::{IsTerminal, Write};

use serde::Serialize;

pub(crate) mod amount;
pub(crate) mod details;
pub(crate) mod paint;
pub(crate) mod table;

pub(crate) use details::Details;
pub(crate) use paint::{Cell, Paint, Tone};
pub(crate) use table::{Column, Table};

use crate::yaml;

/// The form of results on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// Aligned columns, more of them.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

impl Format {
    /// Whether the reader is a program.
    pub(crate) fn is_machine(self) -> bool {
        matches!(self, Format::Json | Format::Yaml)
    }
}

/// Writes results in the chosen form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    paint: Paint,
}

impl Output {
    /// Output to this process's standard output, coloured if that is a terminal.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, paint: Paint::for_stream(std::io::stdout().is_terminal()) }
    }

    /// The chosen form.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Shows a result: `value` to programs, what `render` makes of it to people.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(crate) fn show<T: Serialize>(
        &self,
        value: &T,
        render: impl FnOnce(&View) -> String,
    ) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Table => render(&View { wide: false, paint: self.paint }),
            Format::Wide => render(&View { wide: true, paint: self.paint }),
            Format::Json => format!("{}\n", serde_json::to_string_pretty(value)?),
            Format::Yaml => yaml::to_string(value)?,
        };
        self.raw(text.as_bytes())
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(crate) fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }
}

/// How a result is rendered for a person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// Whether the columns for `-o wide` are shown.
    pub(crate) wide: bool,
    /// Colours, or none.
    pub(crate) paint: Paint,
}

#[cfg(test)]
impl View {
    /// Without colours: what goes into a pipe.
    pub(crate) fn plain(wide: bool) -> Self {
        Self { wide, paint: Paint::for_stream(false) }
    }
}
