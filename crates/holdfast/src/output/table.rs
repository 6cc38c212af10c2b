//! Tables as kubectl prints them: aligned columns, no borders.

use super::{Cell, View};

/// Blanks between two columns.
const GAP: usize = 3;

/// Heading of a column, and whether it is shown only in wide tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    heading: &'static str,
    wide: bool,
}

impl Column {
    /// A column that is always shown.
    pub(crate) const fn new(heading: &'static str) -> Self {
        Self { heading, wide: false }
    }

    /// A column of `-o wide`.
    pub(crate) const fn wide(heading: &'static str) -> Self {
        Self { heading, wide: true }
    }
}

/// Rows under headings.
#[derive(Debug, Clone)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub(crate) fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// The table as text; nothing if it has no rows.
    pub(crate) fn render(&self, view: &View) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let shown: Vec<usize> = (0..N).filter(|&i| view.wide || !self.columns[i].wide).collect();
        let headings = self.columns.map(|column| Cell::from(column.heading));
        let width = |i: usize| {
            self.rows.iter().chain([&headings]).map(|row| row[i].width()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = shown.iter().map(|&i| width(i)).collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for (&i, width) in shown.iter().zip(&widths) {
                line.push_str(&view.paint.apply(row[i].tone, &row[i].text));
                line.extend(std::iter::repeat_n(' ', width + GAP - row[i].width()));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new([Column::new("NAME"), Column::wide("URL"), Column::new("AGE")]);
        table.row(["shop".into(), "s3://a".into(), "3d".into()]);
        table.row(["online-boutique".into(), "s3://bbbb".into(), 7.into()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_wide_ones_shown_on_demand() {
        insta::assert_snapshot!(table().render(&View::plain(false)), @r"
        NAME              AGE
        shop              3d
        online-boutique   7
        ");
        insta::assert_snapshot!(table().render(&View::plain(true)), @r"
        NAME              URL         AGE
        shop              s3://a      3d
        online-boutique   s3://bbbb   7
        ");
    }

    #[test]
    fn an_empty_table_is_no_text() {
        assert_eq!(Table::new([Column::new("NAME")]).render(&View::plain(true)), "");
    }
}
