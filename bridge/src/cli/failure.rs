use std::fmt;

use bridge::hot::HotError;

/// Some rows were rejected, the rest went in.
pub const SOME_REJECTED: u8 = 1;
/// The command did not do what it was asked to do.
pub const FAILED: u8 = 2;

/// Why a command stopped, as people read it on stderr.
#[derive(Debug)]
pub struct Failure {
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), detail: None, hint: None }
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a sentence to the detail.
    pub fn note(mut self, note: impl AsRef<str>) -> Self {
        self.detail = Some(match self.detail {
            Some(detail) => format!("{detail}; {}", note.as_ref()),
            None => note.as_ref().to_owned(),
        });
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "strata: {}", self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, "\n  detail: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl From<HotError> for Failure {
    fn from(error: HotError) -> Self {
        Self { message: error.message, detail: error.detail, hint: error.hint }
    }
}
