use csv::ByteRecord;
use series::time::Micros;

use super::columns::{Columns, KeyFrom};
use super::times::parse_time;

/// A good row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub key: String,
    pub time: Micros,
    /// One per measure of [`Columns::measures`]; NaN is missing.
    pub values: Vec<f64>,
}

/// Reads one record. The error is the reason for which the row is rejected.
pub fn parse_row(record: &ByteRecord, columns: &Columns) -> Result<Row, String> {
    if record.len() != columns.count {
        return Err(format!("{} fields instead of {}", record.len(), columns.count));
    }
    let field = |index: usize| {
        std::str::from_utf8(&record[index])
            .map(str::trim)
            .map_err(|_| format!("field {} is not valid UTF-8", index + 1))
    };
    let key = match &columns.key {
        KeyFrom::Constant(key) => key.clone(),
        KeyFrom::Column(index) => field(*index)?.to_owned(),
    };
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    let time = parse_time(field(columns.time)?)?;
    let mut values = Vec::with_capacity(columns.measures.len());
    for (index, name) in &columns.measures {
        values.push(parse_value(field(*index)?).map_err(|reason| format!("{name}: {reason}"))?);
    }
    if values.iter().all(|value| value.is_nan()) {
        return Err("no measure has a value".to_owned());
    }
    Ok(Row { key, time, values })
}

fn parse_value(text: &str) -> Result<f64, String> {
    if text.is_empty() {
        return Ok(f64::NAN);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_infinite() => Err(format!("{text:?} is not a finite number")),
        Ok(value) => Ok(value),
        Err(_) => Err(format!("{text:?} is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        Columns {
            count: 4,
            time: 0,
            key: KeyFrom::Column(1),
            measures: vec![(2, "flow".into()), (3, "pressure".into())],
        }
    }

    fn parse(fields: &[&str]) -> Result<Row, String> {
        parse_row(&ByteRecord::from(fields.to_vec()), &columns())
    }

    #[test]
    fn an_empty_field_is_a_missing_value() {
        let row = parse(&["1769853900", " A ", "12.5", ""]).unwrap();
        assert_eq!((row.key.as_str(), row.time), ("A", 1_769_853_900_000_000));
        assert_eq!(row.values[0], 12.5);
        assert!(row.values[1].is_nan());
    }

    #[test]
    fn bad_rows_say_what_is_wrong() {
        let reason = |fields: &[&str]| parse(fields).unwrap_err();
        assert_eq!(reason(&["1769853900", "A", "1"]), "3 fields instead of 4");
        assert_eq!(reason(&["1769853900", "", "1", "2"]), "the key is empty");
        assert!(reason(&["soon", "A", "1", "2"]).contains("\"soon\" is not a time"));
        assert_eq!(reason(&["1769853900", "A", "1,5", "2"]), "flow: \"1,5\" is not a number");
        assert_eq!(reason(&["1769853900", "A", "1", "inf"]), "pressure: \"inf\" is not a finite number");
        assert_eq!(reason(&["1769853900", "A", "", ""]), "no measure has a value");
        let record = ByteRecord::from(vec![b"1769853900".to_vec(), vec![0xff], b"1".to_vec(), b"2".to_vec()]);
        assert_eq!(parse_row(&record, &columns()).unwrap_err(), "field 2 is not valid UTF-8");
    }
}
