use std::fs::File;
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use indicatif::ProgressBar;

use crate::cli::failure::Failure;

/// Columns that the file of rejected rows has in front of the original ones.
pub const LINE_COLUMN: &str = "rejected_line";
pub const REASON_COLUMN: &str = "rejected_reason";

/// A bad file should not bury its own first errors.
const SHOWN: u64 = 20;

/// Names bad rows on stderr and collects them in a file, which is created with the first one.
pub struct Rejects {
    path: PathBuf,
    header: Vec<String>,
    /// Positions of the columns above in a file that was itself written here.
    ours: Vec<usize>,
    delimiter: u8,
    file: Option<csv::Writer<File>>,
    count: u64,
}

impl Rejects {
    pub fn new(path: PathBuf, header: &[String], delimiter: u8) -> Self {
        let is_ours = |name: &String| name == LINE_COLUMN || name == REASON_COLUMN;
        Self {
            path,
            ours: (0..header.len()).filter(|&index| is_ours(&header[index])).collect(),
            header: header.iter().filter(|name| !is_ours(name)).cloned().collect(),
            delimiter,
            file: None,
            count: 0,
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes one bad row. `line` is its line in the input, counted from 1.
    pub fn add(&mut self, line: u64, record: &ByteRecord, reason: &str, bar: &ProgressBar) -> Result<(), Failure> {
        self.count += 1;
        if self.count <= SHOWN {
            bar.suspend(|| eprintln!("line {line}: {reason}"));
        } else if self.count == SHOWN + 1 {
            bar.suspend(|| eprintln!("… more rejected rows are in {}", self.path.display()));
        }
        let failed = |error: csv::Error| {
            Failure::new("the file of rejected rows cannot be written")
                .detail(format!("{}: {error}", self.path.display()))
                .hint("Name another file with --rejected.")
        };
        if self.file.is_none() {
            let mut file = csv::WriterBuilder::new()
                .delimiter(self.delimiter)
                .flexible(true)
                .from_path(&self.path)
                .map_err(failed)?;
            let names = [LINE_COLUMN, REASON_COLUMN].into_iter().chain(self.header.iter().map(String::as_str));
            file.write_record(names).map_err(failed)?;
            self.file = Some(file);
        }
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        let line = line.to_string();
        let original =
            record.iter().enumerate().filter(|(index, _)| !self.ours.contains(index)).map(|(_, field)| field);
        file.write_record([line.as_bytes(), reason.as_bytes()].into_iter().chain(original)).map_err(failed)
    }

    pub fn finish(mut self) -> Result<u64, Failure> {
        if let Some(file) = self.file.as_mut() {
            file.flush().map_err(|error| {
                Failure::new("the file of rejected rows cannot be written")
                    .detail(format!("{}: {error}", self.path.display()))
            })?;
        }
        Ok(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(header: &[&str], rows: &[&[&str]]) -> String {
        let path = std::env::temp_dir().join(format!("strata-rejects-{}-{}", std::process::id(), header.join("-")));
        let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        let mut rejects = Rejects::new(path.clone(), &header, b',');
        for row in rows {
            rejects.add(7, &ByteRecord::from(row.to_vec()), "bad, very", &ProgressBar::hidden()).unwrap();
        }
        assert_eq!(rejects.finish().unwrap(), rows.len() as u64);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        text
    }

    #[test]
    fn rows_keep_all_their_fields_behind_line_and_reason() {
        let text = written(&["time", "x"], &[&["1", "2", "too many"], &["1"]]);
        assert_eq!(text, "rejected_line,rejected_reason,time,x\n7,\"bad, very\",1,2,too many\n7,\"bad, very\",1\n");
    }

    #[test]
    fn a_file_of_rejected_rows_does_not_get_the_columns_twice() {
        let text = written(&["rejected_line", "rejected_reason", "time"], &[&["3", "old", "1"]]);
        assert_eq!(text, "rejected_line,rejected_reason,time\n7,\"bad, very\",1\n");
    }
}
