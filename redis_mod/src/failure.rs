//! Why a command is refused.

use crate::api::Ctx;
use crate::hot::AddError;
use series::bytes::DecodeError;

#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// Too few or too many arguments.
    Arity,
    /// The key holds something else than a series.
    WrongType,
    /// Anything else; the text says what is wrong, without a code.
    Text(String),
}

impl Failure {
    pub fn text(text: impl Into<String>) -> Failure {
        Failure::Text(text.into())
    }

    pub fn reply(&self, ctx: Ctx) {
        match self {
            Failure::Arity => ctx.reply_wrong_arity(),
            Failure::WrongType => ctx.reply_error("WRONGTYPE Operation against a key holding the wrong kind of value"),
            Failure::Text(text) => ctx.reply_error(&format!("STRATAERR {text}")),
        }
    }
}

impl From<AddError> for Failure {
    fn from(error: AddError) -> Failure {
        Failure::text(error.to_string())
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Failure {
        Failure::Text(damage(&error))
    }
}

/// What is said of a series with a block that cannot be read.
pub fn damage(error: &DecodeError) -> String {
    format!("the series is damaged: {error}")
}
