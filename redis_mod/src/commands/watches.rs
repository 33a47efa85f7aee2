//! `STRATA.WATCHES source [BEHIND]`: which measures of a source are under watch, and by which method.

use super::arguments::{Cursor, shown};
use super::source_keys::{self, check_source};
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::failure::Failure;
use crate::hot::Series;

pub struct WatchesCommand;

impl Command for WatchesCommand {
    const SPEC: Spec = Spec {
        name: c"STRATA.WATCHES",
        flags: c"readonly",
        arity: -2,
        keys: Keys::None,
        access: Access::Read,
        summary: c"Returns the measures of a source that are under watch, and by which method",
        complexity: c"O(S) for S series",
        args: &[spec::SOURCE, Arg::option(c"behind", c"BEHIND", Kind::Word)],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let source = check_source(cursor.bytes()?)?;
        let behind = cursor.left() > 0;
        if behind {
            let word = cursor.bytes()?;
            if !word.eq_ignore_ascii_case(b"BEHIND") {
                return Err(Failure::text(format!("unknown option \"{}\"; allowed here: BEHIND", shown(word))));
            }
        }
        if cursor.left() > 0 {
            return Err(Failure::Arity);
        }
        let opened = source_keys::open(ctx, source, |series| wanted(series, behind).next().is_some());
        ctx.reply_array(opened.len());
        for (redis_key, series) in &opened {
            ctx.reply_array(2);
            ctx.reply_bytes(redis_key);
            ctx.reply_array(wanted(series, behind).count() * 2);
            for (measure, method) in wanted(series, behind) {
                ctx.reply_text(measure);
                ctx.reply_text(method);
            }
        }
        Ok(())
    }
}

/// Measures under watch, of all or only of watches that passed over a sample, with their methods.
fn wanted(series: &Series, behind: bool) -> impl Iterator<Item = (&str, &'static str)> {
    let watches = series.watches();
    let chosen = watches.iter().filter(move |&(measure, _)| !behind || watches.is_behind(measure));
    chosen.filter_map(|(measure, watch)| Some((series.measures().nth(measure)?, watch.method().name())))
}
