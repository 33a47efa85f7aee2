//! Which keys belong to which source, per database, so that a command over a source never walks the keyspace.
//!
//! The index holds candidates: every series is in it, but a key that was overwritten or expired may still be. Whoever
//! reads it opens the key and calls [`forget`] if it is no series (any more).

use crate::failure::Failure;
use series::series_name;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Sources = HashMap<Box<str>, BTreeSet<Arc<[u8]>>>;

/// Candidates by database and source.
#[derive(Default)]
struct Index {
    databases: HashMap<i32, Sources>,
}

static INDEX: Mutex<Option<Index>> = Mutex::new(None);

/// Source and key (hash-tag braces removed) of a Redis key.
///
/// # Errors
/// If the name is not of the form `<source>:<key>`.
pub fn check_name(redis_key: &[u8]) -> Result<(&str, &str), Failure> {
    let text = std::str::from_utf8(redis_key).map_err(|_| Failure::text("the name of a series is UTF-8 text"))?;
    series_name::split(text).map_err(|error| Failure::text(error.to_string()))
}

/// Notes that a key holds a series. A name without a source is not noted: no source has it.
pub fn insert(db: i32, redis_key: &[u8]) {
    let Ok((source, _)) = check_name(redis_key) else {
        return;
    };
    with(|index| {
        let sources = index.databases.entry(db).or_default();
        match sources.get_mut(source) {
            Some(keys) => {
                keys.insert(redis_key.into());
            }
            None => {
                sources.insert(source.into(), BTreeSet::from([redis_key.into()]));
            }
        }
    });
}

/// Notes that a key holds no series.
pub fn forget(db: i32, redis_key: &[u8]) {
    let Ok((source, _)) = check_name(redis_key) else {
        return;
    };
    with(|index| {
        let Some(sources) = index.databases.get_mut(&db) else {
            return;
        };
        let Some(keys) = sources.get_mut(source) else {
            return;
        };
        keys.remove(redis_key);
        if keys.is_empty() {
            sources.remove(source);
        }
    });
}

/// The candidates of a source in the order of their names.
pub fn keys(db: i32, source: &str) -> Vec<Arc<[u8]>> {
    with(|index| {
        let keys = index.databases.get(&db).and_then(|sources| sources.get(source));
        keys.map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    })
}

/// The sources of a database that have candidates, sorted.
pub fn sources(db: i32) -> Vec<String> {
    with(|index| {
        let mut names: Vec<String> = index
            .databases
            .get(&db)
            .map(|sources| sources.keys().map(|name| name.to_string()).collect())
            .unwrap_or_default();
        names.sort_unstable();
        names
    })
}

/// Forgets a database, or all.
pub fn clear(db: Option<i32>) {
    with(|index| match db {
        Some(db) => {
            index.databases.remove(&db);
        }
        None => index.databases.clear(),
    });
}

/// Exchanges two databases.
pub fn swap(first: i32, second: i32) {
    with(|index| {
        let one = index.databases.remove(&first);
        let other = index.databases.remove(&second);
        if let Some(sources) = one {
            index.databases.insert(second, sources);
        }
        if let Some(sources) = other {
            index.databases.insert(first, sources);
        }
    });
}

/// The lock is never held while the server is called, which might call back.
fn with<T>(body: impl FnOnce(&mut Index) -> T) -> T {
    let mut index: MutexGuard<'_, Option<Index>> = INDEX.lock().unwrap_or_else(PoisonError::into_inner);
    body(index.get_or_insert_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(db: i32, source: &str) -> Vec<String> {
        keys(db, source).iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    #[test]
    fn keys_are_found_by_source_whatever_their_hash_tag() {
        for key in ["flow:B", "{flow}:A", "flow:{C}", "other:A", "nameless"] {
            insert(100, key.as_bytes());
        }
        assert_eq!(names(100, "flow"), ["flow:B", "flow:{C}", "{flow}:A"]);
        assert_eq!(sources(100), ["flow", "other"]);
        forget(100, b"other:A");
        assert_eq!(sources(100), ["flow"]);
        assert!(names(101, "flow").is_empty());
    }

    #[test]
    fn databases_are_swapped_and_cleared() {
        insert(110, b"flow:A");
        swap(110, 111);
        assert!(names(110, "flow").is_empty());
        assert_eq!(names(111, "flow"), ["flow:A"]);
        clear(Some(111));
        assert!(names(111, "flow").is_empty());
    }
}
