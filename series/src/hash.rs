//! An order-independent content hash of rows: equal for equal multisets of rows, whatever order or server they come in.
//!
//! A row's cells are written in a canonical form (a type byte, then fixed-width or length-prefixed bytes), hashed with
//! XXH3-128 (xxHash specification, Yann Collet) and the row hashes are added modulo 2^128. A sum rather than an
//! exclusive or, so that a duplicated row does not cancel out. It guards against loss and corruption, not against an
//! adversary.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_128;

use crate::time::{Day, Micros};

/// One typed value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// -0.0 counts as 0.0 and every NaN as the same one: neither difference survives all stores.
    Float(f64),
    /// Decimal digits, `-12.50`; written without superfluous zeros, so `12.5` and `12.50` are the same.
    Decimal(&'a str),
    Time(Micros),
    Date(Day),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Count and wrapping sum of the hashes of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ContentHash {
    pub rows: u64,
    pub sum: u128,
}

impl ContentHash {
    pub fn add_row(&mut self, row: u128) {
        self.rows = self.rows.wrapping_add(1);
        self.sum = self.sum.wrapping_add(row);
    }

    /// Takes back a row that was added.
    pub fn remove_row(&mut self, row: u128) {
        self.rows = self.rows.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(row);
    }
}

impl std::ops::AddAssign for ContentHash {
    /// The hash of both sets of rows together.
    fn add_assign(&mut self, other: ContentHash) {
        self.rows = self.rows.wrapping_add(other.rows);
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

impl std::ops::SubAssign for ContentHash {
    /// The hash without the rows of `other`, which must be among them.
    fn sub_assign(&mut self, other: ContentHash) {
        self.rows = self.rows.wrapping_sub(other.rows);
        self.sum = self.sum.wrapping_sub(other.sum);
    }
}

impl fmt::Display for ContentHash {
    /// `<rows>-<32 hexadecimal digits>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:032x}", self.rows, self.sum)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a content hash of the form <rows>-<32 hexadecimal digits>")]
pub struct ContentHashError(String);

impl FromStr for ContentHash {
    type Err = ContentHashError;

    fn from_str(text: &str) -> Result<ContentHash, ContentHashError> {
        let read = || {
            let (rows, sum) = text.split_once('-')?;
            let plain = rows.bytes().all(|b| b.is_ascii_digit()) && sum.bytes().all(|b| b.is_ascii_hexdigit());
            if !plain || sum.len() != 32 {
                return None;
            }
            Some(ContentHash { rows: rows.parse().ok()?, sum: u128::from_str_radix(sum, 16).ok()? })
        };
        read().ok_or_else(|| ContentHashError(text.chars().take(60).collect()))
    }
}

/// Hashes row after row with one reused buffer.
#[derive(Debug, Default)]
pub struct RowHasher {
    buffer: Vec<u8>,
    content: ContentHash,
}

impl RowHasher {
    pub fn new() -> RowHasher {
        RowHasher::default()
    }

    /// Adds the next cell of the current row.
    pub fn cell(&mut self, cell: Cell<'_>) {
        let out = &mut self.buffer;
        match cell {
            Cell::Null => out.push(0),
            Cell::Bool(value) => out.extend([1, u8::from(value)]),
            Cell::Int(value) => {
                out.push(2);
                out.extend(value.to_le_bytes());
            }
            Cell::Float(value) => {
                out.push(3);
                let canonical = if value.is_nan() {
                    f64::NAN
                } else if value == 0.0 {
                    0.0
                } else {
                    value
                };
                out.extend(canonical.to_bits().to_le_bytes());
            }
            Cell::Decimal(text) => {
                out.push(4);
                put_decimal(out, text);
            }
            Cell::Time(micros) => {
                out.push(5);
                out.extend(micros.to_le_bytes());
            }
            Cell::Date(day) => {
                out.push(6);
                out.extend(day.0.to_le_bytes());
            }
            Cell::Text(text) => {
                out.push(7);
                put_bytes(out, text.as_bytes());
            }
            Cell::Bytes(bytes) => {
                out.push(8);
                put_bytes(out, bytes);
            }
        }
    }

    /// Ends the current row, adds it to the content and returns its hash.
    pub fn end_row(&mut self) -> u128 {
        let row = xxh3_128(&self.buffer);
        self.buffer.clear();
        self.content.add_row(row);
        row
    }

    /// Hash of one whole row.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) -> u128 {
        for cell in cells {
            self.cell(cell);
        }
        self.end_row()
    }

    /// Of all rows ended so far.
    pub fn content(&self) -> ContentHash {
        self.content
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Plain decimals lose superfluous zeros and the sign of zero; anything else (`NaN`, an exponent) is taken as it stands.
fn put_decimal(out: &mut Vec<u8>, text: &str) {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) || digits.is_empty() {
        return put_bytes(out, text.as_bytes());
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let sign = if negative && !(whole.is_empty() && fraction.is_empty()) { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    let whole = if whole.is_empty() { "0" } else { whole };
    put_bytes(out, [sign, whole, point, fraction].concat().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(cells: &[Cell<'_>]) -> u128 {
        RowHasher::new().row(cells.iter().copied())
    }

    #[test]
    fn types_and_cell_borders_matter() {
        let rows: [&[Cell<'_>]; 9] = [
            &[],
            &[Cell::Null],
            &[Cell::Null, Cell::Null],
            &[Cell::Int(1)],
            &[Cell::Time(1)],
            &[Cell::Float(1.0)],
            &[Cell::Text("ab"), Cell::Text("c")],
            &[Cell::Text("a"), Cell::Text("bc")],
            &[Cell::Bytes(b"a"), Cell::Text("bc")],
        ];
        for (i, a) in rows.iter().enumerate() {
            for b in &rows[..i] {
                assert_ne!(hash(a), hash(b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn differences_that_a_store_may_lose_do_not_count() {
        assert_eq!(hash(&[Cell::Float(-0.0)]), hash(&[Cell::Float(0.0)]));
        assert_eq!(hash(&[Cell::Float(f64::from_bits(0xfff8_0000_0000_0001))]), hash(&[Cell::Float(f64::NAN)]));
        for (a, b) in [("12.50", "12.5"), ("007", "7"), ("-0.0", "0"), (".5", "0.50"), ("1.", "1")] {
            assert_eq!(hash(&[Cell::Decimal(a)]), hash(&[Cell::Decimal(b)]), "{a} {b}");
        }
        assert_ne!(hash(&[Cell::Decimal("-1")]), hash(&[Cell::Decimal("1")]));
        assert_ne!(hash(&[Cell::Decimal("10")]), hash(&[Cell::Decimal("1")]));
    }

    #[test]
    fn the_hash_of_a_row_does_not_change_between_releases() {
        let row = [Cell::Int(-7), Cell::Text("NODE_001"), Cell::Float(12.5), Cell::Null, Cell::Bool(true)];
        assert_eq!(format!("{:032x}", hash(&row)), "0f192ce9c3cdd7821701f734b1d8f636");
    }

    #[test]
    fn a_duplicated_row_changes_the_hash() {
        let mut hasher = RowHasher::new();
        hasher.row([Cell::Int(1)]);
        let once = hasher.content();
        hasher.row([Cell::Int(1)]);
        hasher.row([Cell::Int(1)]);
        assert_ne!(hasher.content().sum, once.sum);
        assert_eq!(hasher.content().rows, 3);
    }

    #[test]
    fn text_that_is_no_content_hash_is_refused() {
        for text in ["", "1", "1-", "-1-00000000000000000000000000000000", "1-+0000000000000000000000000000000"] {
            assert!(text.parse::<ContentHash>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn order_does_not_matter(mut rows in prop::collection::vec((any::<i64>(), any::<f64>()), 0..30)) {
            let content = |rows: &[(i64, f64)]| {
                let mut hasher = RowHasher::new();
                rows.iter().for_each(|&(i, f)| { hasher.row([Cell::Int(i), Cell::Float(f)]); });
                hasher.content()
            };
            let before = content(&rows);
            rows.reverse();
            prop_assert_eq!(content(&rows), before);
            let (left, right) = rows.split_at(rows.len() / 2);
            let mut both = content(left);
            both += content(right);
            prop_assert_eq!(both, before);
            both -= content(left);
            prop_assert_eq!(both, content(right));
        }

        #[test]
        fn content_hashes_print_and_read_the_same(rows: u64, sum: u128) {
            let hash = ContentHash { rows, sum };
            prop_assert_eq!(hash.to_string().parse::<ContentHash>(), Ok(hash));
        }
    }
}
