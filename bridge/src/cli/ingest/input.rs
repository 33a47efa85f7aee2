use std::fs::File;
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::cli::failure::Failure;

/// The CSV file: its header and, one by one, its records.
pub struct Input {
    reader: Reader<File>,
    pub header: Vec<String>,
    /// Size in bytes.
    pub size: u64,
}

impl Input {
    /// Errors: the file cannot be read, has no header, or its header is not text.
    pub fn open(path: &Path, delimiter: u8) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(format!("{} cannot be read", path.display())).detail(error.to_string())
        };
        let file = File::open(path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if metadata.is_dir() {
            return Err(failed(&"it is a directory"));
        }
        // a record with too few or too many fields is one bad row, not the end of the file
        let mut reader =
            ReaderBuilder::new().delimiter(delimiter).flexible(true).buffer_capacity(1 << 16).from_reader(file);
        let header = reader.byte_headers().map_err(|error| failed(&error))?.clone();
        if header.is_empty() {
            return Err(
                Failure::new(format!("{} is empty", path.display())).hint("Its first line must name the columns.")
            );
        }
        let header = header
            .iter()
            .enumerate()
            .map(|(index, name)| {
                // spreadsheets mark UTF-8 files in front of the first name
                let name = if index == 0 { name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name) } else { name };
                std::str::from_utf8(name).map(|name| name.trim().to_owned())
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| failed(&"the header is not valid UTF-8"))?;
        Ok(Self { reader, header, size: metadata.len() })
    }

    /// Reads the next record into `record`; returns its line, or `None` at the end.
    pub fn next(&mut self, record: &mut ByteRecord) -> Result<Option<u64>, Failure> {
        match self.reader.read_byte_record(record) {
            Ok(true) => Ok(Some(record.position().map_or(0, csv::Position::line))),
            Ok(false) => Ok(None),
            Err(error) => Err(Failure::new("the file cannot be read to its end").detail(error.to_string())),
        }
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.reader.position().byte()
    }
}

/// True if both names lead to one existing file.
pub fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
