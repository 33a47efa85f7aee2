//! A method and its options as SQL gives them.

use crate::failure::{Failure, Result};
use pgrx::PgSqlErrorCode;
use serde_json::Value;
use series::detect::{AnyDetector, Method, OptionError, Options};

/// A detection method with options that it accepts.
#[derive(Clone, Debug)]
pub struct Setting {
    pub method: Method,
    pub options: Options,
    new: AnyDetector,
}

impl Setting {
    /// What is NULL has its default: the method `range_novelty`, and no options.
    ///
    /// # Errors
    /// `22023` for a method that is none, options that are no flat object, and options the method refuses.
    pub fn new(method: Option<&str>, options: Option<&Value>) -> Result<Self> {
        let method = method.map_or(Ok(Method::RangeNovelty), Self::method)?;
        let pairs = options.map_or_else(|| Ok(Vec::new()), pairs)?;
        let refused = |error| refusal(error, Some(method));
        let options = Options::from_pairs(pairs).map_err(refused)?;
        let new = AnyDetector::new(method, &options).map_err(refused)?;
        Ok(Self { method, options, new })
    }

    /// # Errors
    /// `22023` for a method that is none.
    pub fn method(name: &str) -> Result<Method> {
        Method::parse(name).map_err(|error| refusal(error, None))
    }

    /// A detector that has seen nothing.
    pub fn detector(&self) -> AnyDetector {
        self.new.clone()
    }
}

/// The members of a flat JSON object as texts, without those that are null.
///
/// # Errors
/// `22023` for anything else.
pub fn pairs(options: &Value) -> Result<Vec<(&str, String)>> {
    let Value::Object(members) = options else {
        return Err(invalid("options must be a JSON object")
            .detail(format!("They are {}.", kind(options)))
            .hint("Write them as {\"name\": value, …}; {} stands for the defaults."));
    };
    let mut pairs = Vec::with_capacity(members.len());
    for (name, value) in members {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(invalid(format!("option \"{name}\" has a value of the wrong kind"))
                    .detail(format!("It is {}.", kind(value)))
                    .hint("Options are numbers and texts, such as {\"half_life\": 5000}."));
            }
        };
        pairs.push((name.as_str(), text));
    }
    Ok(pairs)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// `method` is what the options were for, once that is known.
fn refusal(error: OptionError, method: Option<Method>) -> Failure {
    match error {
        OptionError::Method { name, known } => invalid(format!("unknown detection method \"{name}\""))
            .detail(format!("The methods are {known}."))
            .hint("Leave the method out for range_novelty."),
        OptionError::Unknown { method, name, known } => invalid(format!("unknown option \"{name}\" of {method}"))
            .detail(format!("The options of {method} are {known}."))
            .hint("An option that is left out has its default."),
        other => {
            let failure = invalid(other.to_string()).hint("An option that is left out has its default.");
            match method {
                Some(method) => failure.detail(format!("The method is {method}.")),
                None => failure,
            }
        }
    }
}

/// `22023`, an argument that cannot be.
pub fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(method: &str, options: Value) -> String {
        Setting::new(Some(method), Some(&options)).expect_err("must be refused").to_string()
    }

    #[test]
    fn numbers_texts_and_null_are_values_of_options() {
        let setting = Setting::new(None, Some(&json!({"line": 0.05, "warm": "200", "ratio": null}))).unwrap();
        assert_eq!(setting.method, Method::RangeNovelty);
        assert_eq!(setting.options.iter().collect::<Vec<_>>(), [("line", "0.05"), ("warm", "200")]);
    }

    #[test]
    fn what_is_wrong_with_options_is_said() {
        assert!(message("z", json!({})).starts_with("unknown detection method \"z\" (The methods are range_novelty, "));
        assert!(
            message("gap", json!({"widow": 1})).starts_with("unknown option \"widow\" of gap (The options of gap are ")
        );
        assert_eq!(message("gap", json!([1])), "options must be a JSON object (They are an array.)");
        assert_eq!(message("gap", json!({"x": {}})), "option \"x\" has a value of the wrong kind (It is an object.)");
        assert!(message("range_novelty", json!({"warm": true})).contains("needs a whole number, not \"true\""));
    }
}
