use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::cli::failure::Failure;

/// The CSV file: its header and, one by one, its records.
pub struct Input {
    reader: Reader<File>,
    /// The same file, to look at single places of it.
    file: File,
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
        let again = file.try_clone().map_err(|error| failed(&error))?;
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
        Ok(Self { reader, file: again, header, size: metadata.len() })
    }

    /// Reads the next record into `record`; false at the end.
    pub fn next(&mut self, record: &mut ByteRecord) -> Result<bool, Failure> {
        self.reader
            .read_byte_record(record)
            .map_err(|error| Failure::new("the file cannot be read to its end").detail(error.to_string()))
    }

    /// The line on which a record of this file starts, counted from 1.
    pub fn line_of(&self, record: &ByteRecord) -> u64 {
        let Some(position) = record.position() else { return 0 };
        // the reader notes a record's place before it skips the empty lines in front of it
        let (mut line, mut at) = (position.line(), position.byte());
        let mut bytes = [0; 512];
        while let Ok(count @ 1..) = self.file.read_at(&mut bytes, at) {
            let ends = bytes[..count].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            line += bytes[..ends].iter().filter(|byte| **byte == b'\n').count() as u64;
            if ends < count {
                break;
            }
            at += count as u64;
        }
        line
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(content: &str) -> Vec<u64> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("strata-input-{}-{number}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        let mut input = Input::open(&path, b',').unwrap();
        assert_eq!(input.header[0], "time");
        let (mut lines, mut record) = (Vec::new(), ByteRecord::new());
        while input.next(&mut record).unwrap() {
            lines.push(input.line_of(&record));
        }
        std::fs::remove_file(path).unwrap();
        lines
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        assert_eq!(lines("time,x\n1,1\n2,2\n"), [2, 3]);
        assert_eq!(lines("time,x\n1,1\n\n\n2,2"), [2, 5]);
        assert_eq!(lines("time,x\r\n1,1\r\n\r\n2,2\r\n"), [2, 4]);
        assert_eq!(lines("time,x\n1,\"a\nb\"\n2,2\n"), [2, 4]);
        assert_eq!(lines("\u{feff}time,x\n\n1,1\n"), [3]);
    }
}
