//! Reading the module's answers without trusting their shape.

use redis::Value;

use super::error::HotError;

pub(super) fn array(value: Value) -> Result<Vec<Value>, HotError> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        other => Err(HotError::reply(format!("{} where an array was expected", shape(&other)))),
    }
}

/// An array of exactly `N` elements (more are allowed and ignored: a newer module may say more).
pub(super) fn fields<const N: usize>(value: Value, what: &str) -> Result<[Value; N], HotError> {
    let mut items = array(value)?;
    let count = items.len();
    items.truncate(N);
    items.try_into().map_err(|_| HotError::reply(format!("{what} has {count} elements instead of {N}")))
}

pub(super) fn integer(value: &Value) -> Result<i64, HotError> {
    match value {
        Value::Int(number) => Ok(*number),
        other => {
            let text = text(other)?;
            text.parse().map_err(|_| HotError::reply(format!("{text:?} where an integer was expected")))
        }
    }
}

pub(super) fn unsigned(value: &Value) -> Result<u64, HotError> {
    // the write counter is a u64; a value above i64::MAX can only come as text
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| HotError::reply(format!("negative counter {number}"))),
        other => {
            let text = text(other)?;
            text.parse().map_err(|_| HotError::reply(format!("{text:?} where a counter was expected")))
        }
    }
}

pub(super) fn float(value: &Value) -> Result<f64, HotError> {
    match value {
        Value::Double(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Nil => Ok(f64::NAN),
        other => {
            let text = text(other)?;
            text.parse().map_err(|_| HotError::reply(format!("{text:?} where a number was expected")))
        }
    }
}

pub(super) fn text(value: &Value) -> Result<String, HotError> {
    match value {
        Value::BulkString(bytes) => {
            String::from_utf8(bytes.clone()).map_err(|_| HotError::reply("text that is not valid UTF-8"))
        }
        Value::SimpleString(text) => Ok(text.clone()),
        Value::VerbatimString { text, .. } => Ok(text.clone()),
        Value::Okay => Ok("OK".to_owned()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Double(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        other => Err(HotError::reply(format!("{} where text was expected", shape(other)))),
    }
}

/// Field/value pairs, as a RESP3 map or as a flat array.
pub(super) fn pairs(value: Value) -> Result<Vec<(String, Value)>, HotError> {
    if let Value::Map(entries) = value {
        return entries.into_iter().map(|(name, value)| Ok((text(&name)?, value))).collect();
    }
    let mut items = array(value)?.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let Some(name) = items.next() {
        let name = text(&name)?;
        let value = items.next().ok_or_else(|| HotError::reply(format!("field {name:?} without a value")))?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

pub(super) fn shape(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Int(_) => "an integer",
        Value::Double(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::VerbatimString { .. } | Value::Okay => "text",
        Value::Array(_) | Value::Set(_) => "an array",
        Value::Map(_) => "a map",
        Value::ServerError(_) => "an error",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn pairs_come_from_flat_arrays_and_from_maps() {
        let flat = Value::Array(vec![bulk("samples"), Value::Int(3)]);
        let map = Value::Map(vec![(bulk("samples"), Value::Int(3))]);
        assert_eq!(pairs(flat).unwrap(), pairs(map).unwrap());
        assert!(pairs(Value::Array(vec![bulk("odd")])).is_err());
    }

    #[test]
    fn a_wrong_shape_is_an_error_and_no_panic() {
        assert!(array(Value::Nil).is_err());
        assert!(fields::<3>(Value::Array(vec![Value::Nil]), "a series").is_err());
        assert!(integer(&bulk("x")).is_err());
        assert!(unsigned(&Value::Int(-1)).is_err());
        assert!(text(&Value::BulkString(vec![0xff])).is_err());
        assert_eq!(unsigned(&bulk("18446744073709551615")).unwrap(), u64::MAX);
    }
}
