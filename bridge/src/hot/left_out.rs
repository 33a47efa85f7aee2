use std::fmt;

use redis::ServerError;

/// Keys that a message names; the others are counted.
const NAMED: usize = 5;

/// Keys in the name space of a source that did not take what the series was to get, as a key of another type does, or did
/// not give what it has, as a damaged series does. They keep nothing from the other series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut(Vec<(String, String)>);

impl LeftOut {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The Redis keys, each once.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// Adds those of another command.
    pub fn extend(&mut self, other: LeftOut) {
        other.0.into_iter().for_each(|(key, reason)| self.add(key, reason));
    }

    pub(super) fn note(&mut self, redis_key: String, error: &ServerError) {
        self.add(redis_key, error.details().unwrap_or(error.code()).to_owned());
    }

    pub(super) fn add(&mut self, redis_key: String, reason: String) {
        if !self.keys().any(|known| known == redis_key) {
            self.0.push((redis_key, reason));
        }
    }
}

/// The first keys with their reasons.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (key, reason)) in self.0.iter().take(NAMED).enumerate() {
            let separator = if position > 0 { ", " } else { "" };
            write!(f, "{separator}{key:?} ({reason})")?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// False for what would meet every key alike, such as a full memory or a server that is loading.
pub(super) fn is_about_the_key(error: &ServerError) -> bool {
    matches!(error.code(), "STRATAERR" | "WRONGTYPE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_keys_are_named_and_the_others_counted() {
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.to_string(), "");
        left_out.add("r:0".into(), "text".into());
        left_out.add("r:0".into(), "again".into());
        assert_eq!(left_out.to_string(), "\"r:0\" (text)");
        (1..8).for_each(|n| left_out.add(format!("r:{n}"), "text".into()));
        assert!(left_out.to_string().ends_with("\"r:4\" (text) and 3 more"), "{left_out}");
    }
}
