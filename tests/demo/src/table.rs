use comfy_table::{Table, presets};
use postgres::Row;

/// Prints a statement as it was typed, and its rows; every column must be text. Long answers are cut in the middle.
pub fn print(statement: &str, headers: &[&str], rows: &[Row], shown: usize) {
    println!("\n  strata_demo=# {}", statement.replace('\n', "\n  strata_demo-# "));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headers);
    for column in table.column_iter_mut() {
        column.set_padding((4, 0));
    }
    let (head, tail) = if rows.len() > shown { (shown - 2, 2) } else { (rows.len(), 0) };
    for row in &rows[..head] {
        table.add_row(cells(row));
    }
    if tail > 0 {
        table.add_row(vec![format!("… {} more", rows.len() - head - tail)]);
    }
    for row in &rows[rows.len() - tail..] {
        table.add_row(cells(row));
    }
    println!("{}", table.trim_fmt());
}

fn cells(row: &Row) -> Vec<String> {
    (0..row.len()).map(|column| row.get::<_, Option<String>>(column).unwrap_or_default()).collect()
}
