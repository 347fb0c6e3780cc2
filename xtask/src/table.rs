//! Plain text tables for a terminal and for a CI log.

/// Rows of cells, printed with each column as wide as its widest cell.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names. A name that starts with `>` aligns its column to the right.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|cell| (*cell).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row<I: IntoIterator<Item = S>, S: Into<String>>(&mut self, cells: I) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The text, one line per row, without spaces at line ends.
    pub(crate) fn render(&self) -> String {
        let right: Vec<bool> = self.head.iter().map(|cell| cell.starts_with('>')).collect();
        let head: Vec<String> =
            self.head.iter().map(|cell| cell.trim_start_matches('>').to_owned()).collect();
        let width = |column: usize| {
            self.rows
                .iter()
                .chain([&head])
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = widths
                .iter()
                .enumerate()
                .map(|(column, width)| {
                    let cell = row.get(column).map_or("", String::as_str);
                    if right.get(column).copied().unwrap_or(false) {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                })
                .collect();
            cells.join("  ").trim_end().to_owned()
        };
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        let mut text = String::new();
        for row in [&head, &rule].into_iter().chain(&self.rows) {
            text.push_str(&line(row));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_right() {
        let mut table = Table::new(&["suite", ">s"]);
        table.row(["unit", "1.0"]);
        table.row(["a long one", "10.0"]);
        assert_eq!(
            table.render(),
            "suite          s\n----------  ----\nunit         1.0\na long one  10.0\n"
        );
    }
}
