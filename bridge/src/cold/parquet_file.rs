//! Rows as a Parquet file (<https://parquet.apache.org/docs/file-format/>), in the types that BigQuery loads exactly
//! (<https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet>).
//!
//! Columns stand in table order: the emulator matches them by position, BigQuery by name.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::error::ColdError;
use super::value::scaled_numeric;
use crate::table::{Cell, Column, ColumnKind, NUMERIC_SCALE, Row, TableShape};

const NUMERIC_PRECISION: i32 = 38;
const NUMERIC_BYTES: i32 = 16;

/// The file. The rows must have been checked: a cell that does not fit its column's kind is written as NULL.
pub(crate) fn parquet_file<'a>(
    shape: &TableShape,
    rows: impl Iterator<Item = &'a Row> + Clone,
) -> Result<Vec<u8>, ColdError> {
    write(shape, rows).map_err(|error| ColdError::permanent(format!("cannot write Parquet: {error}")))
}

fn write<'a>(shape: &TableShape, rows: impl Iterator<Item = &'a Row> + Clone) -> Result<Vec<u8>, ParquetError> {
    let fields = shape.columns().iter().map(field).collect::<Result<Vec<_>, _>>()?;
    let schema = Type::group_type_builder("rows").with_fields(fields).build()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for (position, column) in shape.columns().iter().enumerate() {
        write_column(&mut group, column.kind, rows.clone().map(|row| &row[position]))?;
    }
    group.close()?;
    file.into_inner()
}

fn field(column: &Column) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match column.kind {
        ColumnKind::Bool => (PhysicalType::BOOLEAN, None),
        ColumnKind::Int64 => (PhysicalType::INT64, None),
        ColumnKind::Float64 => (PhysicalType::DOUBLE, None),
        ColumnKind::Numeric => {
            (PhysicalType::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::decimal(NUMERIC_SCALE as i32, NUMERIC_PRECISION)))
        }
        ColumnKind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnKind::Bytes => (PhysicalType::BYTE_ARRAY, None),
        ColumnKind::Timestamp => (PhysicalType::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        ColumnKind::Date => (PhysicalType::INT32, Some(LogicalType::Date)),
    };
    let mut builder = Type::primitive_type_builder(&column.name, physical)
        .with_logical_type(logical)
        .with_repetition(Repetition::OPTIONAL);
    if column.kind == ColumnKind::Numeric {
        builder = builder.with_length(NUMERIC_BYTES).with_precision(NUMERIC_PRECISION).with_scale(NUMERIC_SCALE as i32);
    }
    builder.build().map(Arc::new)
}

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

fn write_column<'a>(
    group: &mut Group<'_>,
    kind: ColumnKind,
    cells: impl Iterator<Item = &'a Cell>,
) -> Result<(), ParquetError> {
    match kind {
        ColumnKind::Bool => put::<BoolType>(group, cells, |cell| match cell {
            Cell::Bool(value) => Some(*value),
            _ => None,
        }),
        ColumnKind::Int64 => put::<Int64Type>(group, cells, |cell| match cell {
            Cell::Int(value) => Some(*value),
            _ => None,
        }),
        ColumnKind::Float64 => put::<DoubleType>(group, cells, |cell| match cell {
            Cell::Float(value) => Some(*value),
            _ => None,
        }),
        ColumnKind::Numeric => put::<FixedLenByteArrayType>(group, cells, |cell| match cell {
            Cell::Numeric(text) => {
                let scaled = scaled_numeric(text)?;
                Some(FixedLenByteArray::from(scaled.to_be_bytes().to_vec()))
            }
            _ => None,
        }),
        ColumnKind::Text => put::<ByteArrayType>(group, cells, |cell| match cell {
            Cell::Text(text) => Some(ByteArray::from(text.as_str())),
            _ => None,
        }),
        ColumnKind::Bytes => put::<ByteArrayType>(group, cells, |cell| match cell {
            Cell::Bytes(bytes) => Some(ByteArray::from(bytes.clone())),
            _ => None,
        }),
        ColumnKind::Timestamp => put::<Int64Type>(group, cells, |cell| match cell {
            Cell::Timestamp(micros) => Some(*micros),
            _ => None,
        }),
        ColumnKind::Date => put::<Int32Type>(group, cells, |cell| match cell {
            Cell::Date(day) => Some(*day),
            _ => None,
        }),
    }
}

/// Writes the next column: the values that are there, and for each row whether one is.
fn put<'a, T: DataType>(
    group: &mut Group<'_>,
    cells: impl Iterator<Item = &'a Cell>,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let mut values = Vec::new();
    let mut present = Vec::new();
    for cell in cells {
        let found = value(cell);
        present.push(i16::from(found.is_some()));
        values.extend(found);
    }
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("too few columns in the schema".to_owned()))?;
    column.typed::<T>().write_batch(&values, Some(&present), None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    #[test]
    fn a_file_holds_the_rows_in_table_order() {
        let columns = vec![
            Column::new("t", ColumnKind::Timestamp, true),
            Column::new("k", ColumnKind::Text, true),
            Column::new("n", ColumnKind::Numeric, false),
        ];
        let shape = TableShape::new(columns, 0, 1).unwrap();
        let rows = [
            vec![Cell::Timestamp(-1), Cell::Text("ä".into()), Cell::Numeric("-1.5".into())],
            vec![Cell::Timestamp(2), Cell::Text(String::new()), Cell::Null],
        ];
        let file = parquet_file(&shape, rows.iter()).unwrap();
        let reader = SerializedFileReader::new(bytes(file)).unwrap();
        let read: Vec<Vec<(String, Field)>> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns()).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0][0], ("t".into(), Field::TimestampMicros(-1)));
        assert_eq!(read[0][1], ("k".into(), Field::Str("ä".into())));
        assert_eq!(read[0][2].1.to_string(), "-1.500000000");
        assert_eq!(read[1][1].1, Field::Str(String::new()));
        assert_eq!(read[1][2].1, Field::Null);
    }

    #[test]
    fn a_day_without_rows_is_a_file_too() {
        let columns = vec![Column::new("t", ColumnKind::Timestamp, true), Column::new("k", ColumnKind::Int64, true)];
        let shape = TableShape::new(columns, 0, 1).unwrap();
        let file = parquet_file(&shape, [].iter()).unwrap();
        let reader = SerializedFileReader::new(bytes(file)).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    }

    fn bytes(file: Vec<u8>) -> bytes::Bytes {
        file.into()
    }
}
