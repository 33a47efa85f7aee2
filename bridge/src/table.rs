//! What a source's table looks like and what its rows hold, in terms that PostgreSQL and BigQuery share.
//!
//! A PostgreSQL type that BigQuery cannot carry exactly (unconstrained numeric, arrays, enums, uuid, ranges, json…)
//! is described as [`ColumnKind::Text`] and travels in PostgreSQL's own text form.

use series::time::Micros;

/// The type of a column, the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    Bool,
    Int64,
    /// `real` and `double precision`: widening a `real` is exact, and so is the way back.
    Float64,
    /// `numeric(precision, scale)` within BigQuery's NUMERIC (scale at most 9, at most 29 digits before the point).
    /// Build it with [`ColumnKind::numeric`].
    Numeric,
    Text,
    Bytes,
    /// An instant, microseconds since the Unix epoch.
    Timestamp,
    /// A calendar day, days since 1970-01-01.
    Date,
}

/// Fractional digits of BigQuery's NUMERIC.
pub const NUMERIC_SCALE: u32 = 9;
const NUMERIC_INTEGER_DIGITS: i32 = 29;

impl ColumnKind {
    /// The kind of a PostgreSQL `numeric(precision, scale)`; what NUMERIC cannot hold exactly becomes text.
    pub fn numeric(precision: i32, scale: i32) -> ColumnKind {
        let fits = (0..=NUMERIC_SCALE as i32).contains(&scale) && precision - scale <= NUMERIC_INTEGER_DIGITS;
        if fits { ColumnKind::Numeric } else { ColumnKind::Text }
    }

    /// The type's name in a BigQuery statement.
    pub fn sql_type(self) -> &'static str {
        match self {
            ColumnKind::Bool => "BOOL",
            ColumnKind::Int64 => "INT64",
            ColumnKind::Float64 => "FLOAT64",
            ColumnKind::Numeric => "NUMERIC",
            ColumnKind::Text => "STRING",
            ColumnKind::Bytes => "BYTES",
            ColumnKind::Timestamp => "TIMESTAMP",
            ColumnKind::Date => "DATE",
        }
    }

    /// The type's name in a BigQuery schema, where the REST API keeps the older names.
    pub fn schema_type(self) -> &'static str {
        match self {
            ColumnKind::Bool => "BOOLEAN",
            ColumnKind::Int64 => "INTEGER",
            ColumnKind::Float64 => "FLOAT",
            other => other.sql_type(),
        }
    }

    /// The kind of a column of that BigQuery type, in either spelling; `None` for a type without a kind of its own.
    pub fn of_bigquery_type(name: &str) -> Option<ColumnKind> {
        Some(match name.to_ascii_uppercase().as_str() {
            "BOOL" | "BOOLEAN" => ColumnKind::Bool,
            "INT64" | "INTEGER" => ColumnKind::Int64,
            "FLOAT64" | "FLOAT" => ColumnKind::Float64,
            "NUMERIC" => ColumnKind::Numeric,
            "STRING" => ColumnKind::Text,
            "BYTES" => ColumnKind::Bytes,
            "TIMESTAMP" => ColumnKind::Timestamp,
            "DATE" => ColumnKind::Date,
            _ => return None,
        })
    }
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A decimal number as text, for example `-12.50`. Trailing zeros carry no meaning.
    Numeric(String),
    Text(String),
    Bytes(Vec<u8>),
    Timestamp(Micros),
    Date(i32),
}

impl Cell {
    /// Whether a column of that kind can hold this value.
    pub fn fits(&self, kind: ColumnKind) -> bool {
        matches!(
            (self, kind),
            (Cell::Null, _)
                | (Cell::Bool(_), ColumnKind::Bool)
                | (Cell::Int(_), ColumnKind::Int64)
                | (Cell::Float(_), ColumnKind::Float64)
                | (Cell::Numeric(_), ColumnKind::Numeric)
                | (Cell::Text(_), ColumnKind::Text)
                | (Cell::Bytes(_), ColumnKind::Bytes)
                | (Cell::Timestamp(_), ColumnKind::Timestamp)
                | (Cell::Date(_), ColumnKind::Date)
        )
    }
}

/// One cell per column, in the order of the table's columns.
pub type Row = Vec<Cell>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: ColumnKind,
    pub not_null: bool,
}

impl Column {
    pub fn new(name: impl Into<String>, kind: ColumnKind, not_null: bool) -> Column {
        Column { name: name.into(), kind, not_null }
    }
}

/// Why a table cannot have a cold tier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error(
        "column \"{0}\" cannot be archived: a BigQuery column name has letters, digits and underscores, does not start with a digit, and has at most {MAX_NAME} characters"
    )]
    Name(String),
    #[error("column \"{0}\" cannot be archived: BigQuery reserves names that start with {1}")]
    Reserved(String, &'static str),
    #[error("columns \"{0}\" and \"{1}\" differ only in case, which BigQuery does not tell apart")]
    SameName(String, String),
    #[error("there is no column number {0}")]
    NoSuchColumn(usize),
    #[error("the time column \"{0}\" is not a timestamp")]
    TimeKind(String),
    #[error("the key column \"{0}\" must be text or an integer")]
    KeyKind(String),
}

const MAX_NAME: usize = 300;
const RESERVED: [&str; 6] = ["_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER"];

/// Checks a column name against BigQuery's rules
/// (<https://cloud.google.com/bigquery/docs/schemas#column_names>, without the flexible names).
///
/// # Errors
/// The rule that the name breaks.
pub fn check_column_name(name: &str) -> Result<(), ShapeError> {
    let mut characters = name.chars();
    let starts_well = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') || name.len() > MAX_NAME {
        return Err(ShapeError::Name(name.to_owned()));
    }
    let upper = name.to_ascii_uppercase();
    match RESERVED.iter().find(|prefix| upper.starts_with(**prefix)) {
        Some(prefix) => Err(ShapeError::Reserved(name.to_owned(), prefix)),
        None => Ok(()),
    }
}

/// The columns of a source's table and which of them are time and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableShape {
    columns: Vec<Column>,
    time_column: usize,
    key_column: usize,
}

impl TableShape {
    /// `time_column` and `key_column` are positions in `columns`.
    ///
    /// # Errors
    /// When one of the two is missing or of a type that cannot be it.
    pub fn new(columns: Vec<Column>, time_column: usize, key_column: usize) -> Result<TableShape, ShapeError> {
        let time = columns.get(time_column).ok_or(ShapeError::NoSuchColumn(time_column))?;
        if time.kind != ColumnKind::Timestamp {
            return Err(ShapeError::TimeKind(time.name.clone()));
        }
        let key = columns.get(key_column).ok_or(ShapeError::NoSuchColumn(key_column))?;
        if !matches!(key.kind, ColumnKind::Text | ColumnKind::Int64) {
            return Err(ShapeError::KeyKind(key.name.clone()));
        }
        Ok(TableShape { columns, time_column, key_column })
    }

    /// Checks the names that the columns would have in an archive.
    ///
    /// # Errors
    /// The first rule of BigQuery that a name breaks.
    pub fn check_names(&self) -> Result<(), ShapeError> {
        for (position, column) in self.columns.iter().enumerate() {
            check_column_name(&column.name)?;
            let earlier = self.columns[..position].iter().find(|other| other.name.eq_ignore_ascii_case(&column.name));
            if let Some(other) = earlier {
                return Err(ShapeError::SameName(other.name.clone(), column.name.clone()));
            }
        }
        Ok(())
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Position of the time column.
    pub fn time_index(&self) -> usize {
        self.time_column
    }

    /// Position of the key column.
    pub fn key_index(&self) -> usize {
        self.key_column
    }

    pub fn time(&self) -> &Column {
        &self.columns[self.time_column]
    }

    pub fn key(&self) -> &Column {
        &self.columns[self.key_column]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: ColumnKind) -> Column {
        Column::new(name, kind, false)
    }

    #[test]
    fn names_that_bigquery_refuses_are_refused() {
        for good in ["a", "_a", "flow_rate", "T1"] {
            assert_eq!(check_column_name(good), Ok(()), "{good}");
        }
        for bad in ["", "1a", "flow rate", "größe", "a-b", "a.b", "_partition", "_TABLE_x", "__root__x"] {
            assert!(check_column_name(bad).is_err(), "{bad}");
        }
        assert!(check_column_name(&"a".repeat(301)).is_err());
    }

    #[test]
    fn a_shape_needs_a_timestamp_and_a_plain_key() {
        let columns =
            vec![column("t", ColumnKind::Timestamp), column("k", ColumnKind::Text), column("v", ColumnKind::Float64)];
        assert!(TableShape::new(columns.clone(), 0, 1).is_ok());
        assert_eq!(TableShape::new(columns.clone(), 1, 1), Err(ShapeError::TimeKind("k".into())));
        assert_eq!(TableShape::new(columns.clone(), 0, 2), Err(ShapeError::KeyKind("v".into())));
        assert_eq!(TableShape::new(columns, 0, 7), Err(ShapeError::NoSuchColumn(7)));
    }

    #[test]
    fn names_differing_only_in_case_are_refused() {
        let columns =
            vec![column("t", ColumnKind::Timestamp), column("k", ColumnKind::Text), column("K", ColumnKind::Text)];
        let shape = TableShape::new(columns, 0, 1).unwrap();
        assert_eq!(shape.check_names(), Err(ShapeError::SameName("k".into(), "K".into())));
    }

    #[test]
    fn a_numeric_beyond_bigquerys_becomes_text() {
        assert_eq!(ColumnKind::numeric(10, 2), ColumnKind::Numeric);
        assert_eq!(ColumnKind::numeric(38, 9), ColumnKind::Numeric);
        assert_eq!(ColumnKind::numeric(30, 0), ColumnKind::Text);
        assert_eq!(ColumnKind::numeric(12, 10), ColumnKind::Text);
        assert_eq!(ColumnKind::numeric(5, -2), ColumnKind::Text);
    }
}
