//! One thing in detail: names and values below each other, and sections of lines.

use super::{Cell, Tone, View};

/// Lines of `Name:  value`, with sections between them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
enum Line {
    Field(&'static str, Cell),
    Section(String),
    Item(Cell),
    Text(String),
}

impl Details {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A named value.
    pub(crate) fn field(&mut self, name: &'static str, value: impl Into<Cell>) -> &mut Self {
        self.lines.push(Line::Field(name, value.into()));
        self
    }

    /// A named value, unless it is empty.
    pub(crate) fn field_if(&mut self, name: &'static str, value: impl Into<Cell>) -> &mut Self {
        let value = value.into();
        if !value.text.is_empty() {
            self.lines.push(Line::Field(name, value));
        }
        self
    }

    /// A heading with an empty line before it.
    pub(crate) fn section(&mut self, heading: impl Into<String>) -> &mut Self {
        self.lines.push(Line::Section(heading.into()));
        self
    }

    /// An indented line.
    pub(crate) fn item(&mut self, text: impl Into<Cell>) -> &mut Self {
        self.lines.push(Line::Item(text.into()));
        self
    }

    /// Text that is rendered already, a table for example, indented.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.lines.extend(text.lines().map(|line| Line::Text(line.to_owned())));
        self
    }

    /// All lines as text.
    pub(crate) fn render(&self, view: &View) -> String {
        let widest = self.lines.iter().map(|line| match line {
            Line::Field(name, _) => name.len(),
            _ => 0,
        });
        let width = widest.max().unwrap_or_default() + 1;
        let paint = |cell: &Cell| view.paint.apply(cell.tone, &cell.text);
        let mut text = String::new();
        for line in &self.lines {
            let line = match line {
                Line::Field(name, value) => format!("{:width$}  {}", format!("{name}:"), paint(value)),
                Line::Section(heading) => format!("\n{}", view.paint.apply(Tone::Strong, heading)),
                Line::Item(cell) => format!("  {}", paint(cell)),
                Line::Text(rendered) => format!("  {rendered}"),
            };
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_each_other() {
        let mut details = Details::new();
        details.field("Name", "shop").field("Consistency", "application").field_if("Policy", "");
        details.section("Left out").item("secrets shop/a: forbidden").text("A   B\n1   2\n");
        insta::assert_snapshot!(details.render(&View::plain(false)), @r"
        Name:         shop
        Consistency:  application

        Left out
          secrets shop/a: forbidden
          A   B
          1   2
        ");
    }
}
