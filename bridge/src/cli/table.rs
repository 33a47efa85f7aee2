use comfy_table::{CellAlignment, Table};

/// A plain table: two spaces in front, a header line, numbers to the right.
pub struct Listing {
    table: Table,
    rows: usize,
}

impl Listing {
    /// Headers that start with `>` are of columns aligned to the right.
    pub fn new(headers: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(headers.iter().map(|header| header.trim_start_matches('>')));
        for (index, header) in headers.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((2, 0));
                if header.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self { table, rows: 0 }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells);
        self.rows += 1;
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn print(&self) {
        println!("{}", self.table.trim_fmt());
    }
}
