//! The series of a source that the caller may read.

use super::arguments::shown;
use crate::api::key::{OwnedString, SeriesRef};
use crate::api::user::Caller;
use crate::api::{Ctx, key};
use crate::failure::Failure;
use crate::hot::Series;
use crate::index;
use std::collections::HashSet;
use std::sync::Arc;

/// A source's name as an argument.
pub fn check_source(text: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(text).ok().filter(|source| !source.is_empty() && !source.contains([':', '{', '}'])).ok_or_else(
        || Failure::text(format!("\"{}\" is not the name of a source: text without colon and braces", shown(text))),
    )
}

/// Calls `visit` with the Redis key, the key within the source and the series, in the order of the Redis keys. Series
/// that the caller has no right to read are left out, as if they did not exist. `only` limits it to these keys, each
/// named as in Redis or as within the source.
pub fn visit(
    ctx: Ctx,
    source: &str,
    only: Option<&[&[u8]]>,
    mut visit: impl FnMut(&str, &str, &SeriesRef) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let db = ctx.db();
    let caller = Caller::of(ctx);
    let only: Option<HashSet<&[u8]>> = only.map(|keys| keys.iter().copied().collect());
    for redis_key in index::keys(db, source) {
        let Ok((_, name)) = index::check_name(&redis_key) else {
            continue;
        };
        let wanted = |only: &HashSet<&[u8]>| only.contains(name.as_bytes()) || only.contains(&redis_key[..]);
        if !only.as_ref().is_none_or(wanted) {
            continue;
        }
        let handle = OwnedString::new(&redis_key);
        if !caller.may_read(&handle) {
            continue;
        }
        match key::read(ctx, handle.0) {
            Ok(Some(series)) => {
                let text = std::str::from_utf8(&redis_key).unwrap_or_default();
                visit(text, name, &series)?;
            }
            Ok(None) | Err(_) => index::forget(db, &redis_key),
        }
    }
    Ok(())
}

/// The series of a source that the caller may read and that are `wanted`, open, with their Redis keys.
pub fn open(ctx: Ctx, source: &str, wanted: impl Fn(&Series) -> bool) -> Vec<(Arc<[u8]>, SeriesRef)> {
    let db = ctx.db();
    let caller = Caller::of(ctx);
    let keys = index::keys(db, source);
    let mut opened = Vec::with_capacity(keys.len());
    for redis_key in keys {
        let handle = OwnedString::new(&redis_key);
        if !caller.may_read(&handle) {
            continue;
        }
        match key::read(ctx, handle.0) {
            Ok(Some(series)) if wanted(&series) => opened.push((redis_key, series)),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => index::forget(db, &redis_key),
        }
    }
    opened
}
