//! The name of a series as a Redis key, `<source>:<key>`.
//!
//! A source name has no colon; everything after the first colon is the key. Redis Cluster hashes only what stands
//! between the first braces of a key (Redis Cluster specification, "Hash tags"), so either part may be put in braces as
//! a whole, `{readings}:A` or `readings:{A}`; those braces are not part of the name.

use std::fmt;
use std::str::FromStr;

/// Source and key of a series, without hash-tag braces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesName {
    source: String,
    key: String,
}

/// Which part of a Redis key is put in hash-tag braces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HashTag {
    #[default]
    None,
    /// All series of a source share a cluster slot.
    Source,
    /// The series of one key of several sources share a cluster slot.
    Key,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeriesNameError {
    #[error("\"{0}\" is not a series name: it needs the form <source>:<key>")]
    NoColon(String),
    #[error("the source of a series name must not be empty")]
    EmptySource,
    #[error("the key of a series name must not be empty")]
    EmptyKey,
    #[error("the source \"{0}\" must not contain a colon or a brace")]
    Source(String),
}

impl SeriesName {
    pub fn new(source: &str, key: &str) -> Result<SeriesName, SeriesNameError> {
        if source.is_empty() {
            return Err(SeriesNameError::EmptySource);
        }
        if source.contains([':', '{', '}']) {
            return Err(SeriesNameError::Source(shortened(source)));
        }
        if key.is_empty() {
            return Err(SeriesNameError::EmptyKey);
        }
        Ok(SeriesName { source: source.to_owned(), key: key.to_owned() })
    }

    /// Reads a Redis key.
    pub fn parse(redis_key: &str) -> Result<SeriesName, SeriesNameError> {
        let (source, key) = split(redis_key)?;
        SeriesName::new(source, key)
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// The Redis key, which [`SeriesName::parse`] reads back to the same name. A key that has braces of its own gets no
    /// key tag, since they would not read back; one that is wholly in braces gets a second pair for the same reason.
    pub fn redis_key(&self, tag: HashTag) -> String {
        let (source, key) = (&self.source, &self.key);
        match tag {
            _ if without_tag(key) != key => format!("{source}:{{{key}}}"),
            HashTag::Source => format!("{{{source}}}:{key}"),
            HashTag::Key if !key.contains(['{', '}']) => format!("{source}:{{{key}}}"),
            _ => format!("{source}:{key}"),
        }
    }
}

/// Source and key of a Redis key without copying; the same rules as [`SeriesName::parse`].
pub fn split(redis_key: &str) -> Result<(&str, &str), SeriesNameError> {
    let (source, key) = redis_key.split_once(':').ok_or_else(|| SeriesNameError::NoColon(shortened(redis_key)))?;
    let (source, key) = (without_tag(source), without_tag(key));
    if source.is_empty() {
        return Err(SeriesNameError::EmptySource);
    }
    if source.contains(['{', '}']) {
        return Err(SeriesNameError::Source(shortened(source)));
    }
    if key.is_empty() {
        return Err(SeriesNameError::EmptyKey);
    }
    Ok((source, key))
}

/// `part` without the pair of braces around it, if its first brace closes at its very end and there is something inside.
fn without_tag(part: &str) -> &str {
    let Some(inner) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) else {
        return part;
    };
    let mut depth = 0_i64;
    for byte in inner.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return part;
        }
    }
    if depth == 0 && !inner.is_empty() { inner } else { part }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for SeriesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redis_key(HashTag::None))
    }
}

impl FromStr for SeriesName {
    type Err = SeriesNameError;

    fn from_str(text: &str) -> Result<SeriesName, SeriesNameError> {
        SeriesName::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(redis_key: &str) -> (String, String) {
        let name = SeriesName::parse(redis_key).unwrap();
        (name.source().to_owned(), name.key().to_owned())
    }

    #[test]
    fn hash_tag_braces_are_not_part_of_the_name() {
        let expected = ("readings".to_owned(), "A".to_owned());
        assert_eq!(parts("readings:A"), expected);
        assert_eq!(parts("{readings}:A"), expected);
        assert_eq!(parts("readings:{A}"), expected);
        assert_eq!(parts("{readings}:{A}"), expected);
    }

    #[test]
    fn only_the_first_colon_separates() {
        assert_eq!(parts("readings:A:B"), ("readings".into(), "A:B".into()));
    }

    #[test]
    fn braces_around_a_part_of_the_key_belong_to_it() {
        assert_eq!(parts("r:{A}.1").1, "{A}.1");
        assert_eq!(parts("r:{A}{B}").1, "{A}{B}");
        assert_eq!(parts("r:{}").1, "{}");
    }

    #[test]
    fn names_without_source_or_key_are_refused() {
        for text in ["", "readings", ":A", "readings:", "{}:A", "{readings:A}"] {
            assert!(SeriesName::parse(text).is_err(), "{text}");
        }
        assert!(SeriesName::new("a:b", "c").is_err());
    }

    proptest! {
        #[test]
        fn every_name_reads_back(source in "[a-z_]{1,8}", key in "[a-z{}:]{1,12}",
                                 tag in prop_oneof![Just(HashTag::None), Just(HashTag::Source), Just(HashTag::Key)]) {
            let name = SeriesName::new(&source, &key).unwrap();
            prop_assert_eq!(SeriesName::parse(&name.redis_key(tag)).unwrap(), name);
        }

        #[test]
        fn reading_never_panics(text in ".{0,40}") {
            let _ = SeriesName::parse(&text);
        }
    }
}
