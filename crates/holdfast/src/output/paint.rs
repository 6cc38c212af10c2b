//! Colours with a meaning, and text that cannot take over the terminal.

use std::borrow::Cow;

use console::Style;
use holdfast_model::Outcome;

/// What a piece of text means to the reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// To be looked at.
    Warning,
    /// Wrong.
    Bad,
    /// Of less interest.
    Faint,
    /// A heading or a name.
    Strong,
}

impl Tone {
    /// The tone of an outcome.
    pub(crate) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Tone::Good,
            Outcome::Partial => Tone::Warning,
            Outcome::Failed => Tone::Bad,
        }
    }
}

/// Colours text, or leaves it alone where colours are off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    colours: bool,
}

impl Paint {
    /// Colours are on for a terminal unless `NO_COLOR` is set or `TERM` is `dumb`.
    pub(crate) fn for_stream(is_terminal: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colours: is_terminal && !no_color && !dumb }
    }

    /// `text` in a tone.
    pub(crate) fn apply(&self, tone: Tone, text: &str) -> String {
        let style = Style::new().force_styling(self.colours);
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => style.green(),
            Tone::Warning => style.yellow(),
            Tone::Bad => style.red(),
            Tone::Faint => style.dim(),
            Tone::Strong => style.bold(),
        };
        style.apply_to(text).to_string()
    }
}

/// A piece of text with a tone. Control characters are replaced: names come from clusters and vaults,
/// and whoever chose them does not get to move the reader's cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Cell {
    /// Text in a tone.
    pub(crate) fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()).into_owned(), tone }
    }

    /// The outcome of a run.
    pub(crate) fn outcome(outcome: Outcome) -> Self {
        Self::toned(Tone::of(outcome), outcome.to_string())
    }

    /// Columns it takes on the screen.
    pub(super) fn width(&self) -> usize {
        console::measure_text_width(&self.text)
    }
}

impl<T: std::fmt::Display> From<T> for Cell {
    fn from(value: T) -> Self {
        Self::toned(Tone::Plain, value.to_string())
    }
}

/// `text` with every control character replaced.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    match text.chars().any(char::is_control) {
        false => Cow::Borrowed(text),
        true => text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
    }
}

/// `text` with every control character but line breaks replaced: for messages that quote a file.
pub(crate) fn printable_lines(text: &str) -> String {
    text.trim_end().split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert_eq!(Cell::from("a\x1b[2Jb\r\n").text, "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
        assert!(matches!(printable("bücher"), Cow::Borrowed("bücher")));
    }

    #[test]
    fn nothing_is_coloured_where_colours_are_off() {
        assert_eq!(Paint { colours: false }.apply(Tone::Bad, "x"), "x");
        assert_eq!(Paint { colours: true }.apply(Tone::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
