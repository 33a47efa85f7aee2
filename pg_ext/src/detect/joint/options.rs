//! Settings of the joint detector as SQL gives them.

use crate::detect::setting::{invalid, pairs};
use crate::failure::{Failure, Result};
use pgrx::PgSqlErrorCode;
use serde_json::Value;
use series::detect::{JointError, JointSettings};

/// The name of the option that chooses where the other settings start from.
const PRESET: &str = "preset";

/// The preset, `default` unless the option names one, with the settings that the other options name.
///
/// # Errors
/// `22023` for options that are no flat object, an unknown preset or setting, and a value out of range.
pub fn settings(options: Option<&Value>) -> Result<JointSettings> {
    let pairs = options.map_or_else(|| Ok(Vec::new()), pairs)?;
    let preset = pairs.iter().find(|(name, _)| *name == PRESET);
    let preset = preset.map_or(Ok(JointSettings::default()), |(_, name)| JointSettings::preset(name));
    let mut settings = preset.map_err(refusal)?;
    for (name, text) in pairs.iter().filter(|(name, _)| *name != PRESET) {
        let value = match text.trim() {
            "true" => 1.0,
            "false" => 0.0,
            number => number.parse().map_err(|_| {
                invalid(format!("setting \"{name}\" needs a number, not \"{text}\"")).hint("Flags are 0 or 1.")
            })?,
        };
        settings.set(name, value).map_err(refusal)?;
    }
    Ok(settings)
}

/// What the detector refuses, as an error of SQL.
pub fn refusal(error: JointError) -> Failure {
    match error {
        JointError::UnknownSetting { name, known } => {
            invalid(format!("unknown setting \"{name}\" of the joint detector"))
                .detail(format!("The settings are {known}."))
                .hint("A setting that is left out has the value of the preset: {\"preset\": \"default\"}.")
        }
        JointError::Preset { name, known } => invalid(format!("unknown preset \"{name}\" of the joint detector"))
            .detail(format!("The presets are {known}.")),
        JointError::TooFewRows { .. } => {
            invalid(error.to_string()).hint("Train on more rows; 400 are enough, some weeks are better.")
        }
        JointError::Sensors { .. } => {
            invalid(error.to_string()).hint("Name the keys and measures that belong together.")
        }
        JointError::Decode(error) => {
            Failure::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, format!("a stored model cannot be read: {error}"))
                .hint("Train it again: SELECT strata.refit_joint(name).")
        }
        other => invalid(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(options: Value) -> String {
        settings(Some(&options)).expect_err("must be refused").to_string()
    }

    #[test]
    fn options_change_the_settings_of_a_preset() {
        let changed =
            settings(Some(&json!({"level_line": 12, "time_of_day": true, "preset": "benchmark", "hold": null})));
        let expected = JointSettings { level_line: 12.0, time_of_day: true, ..JointSettings::benchmark() };
        assert_eq!(changed.unwrap(), expected);
        assert_eq!(settings(None).unwrap(), JointSettings::default());
    }

    #[test]
    fn what_is_wrong_with_options_is_said() {
        assert!(
            message(json!({"lvel": 1}))
                .starts_with("unknown setting \"lvel\" of the joint detector (The settings are ")
        );
        assert!(message(json!({"preset": "best"})).starts_with("unknown preset \"best\""));
        assert!(message(json!({"hold": "long"})).contains("needs a number"));
        assert!(message(json!({"hold": 0})).contains("must be between"));
        assert!(message(json!([])).contains("JSON object"));
    }
}
