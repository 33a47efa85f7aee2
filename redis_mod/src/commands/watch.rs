//! `STRATA.WATCH key measure after state [measure after state ...]`: puts measures under watch by detectors that have learned
//! the samples up to `after`.

use super::alarm;
use super::arguments::{Cursor, shown};
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::key;
use crate::failure::Failure;
use crate::hot::Series;
use redis_module::raw::RedisModuleString;
use series::detect::{Method, Options};
use series::time::Micros;
use series::watch::Watch;

pub struct WatchCommand;

impl Command for WatchCommand {
    const SPEC: Spec = Spec {
        name: c"STRATA.WATCH",
        flags: c"write deny-oom",
        arity: -5,
        keys: Keys::First,
        access: Access::Update,
        summary: c"Puts measures of a series under watch by a detector",
        complexity: c"O(N) for N samples that the detectors have not learned",
        args: &[
            spec::KEY,
            Arg::new(
                c"watch",
                Kind::Block(&[
                    Arg::new(c"measure", Kind::Text),
                    Arg::new(c"after", Kind::Time),
                    Arg::new(c"state", Kind::Text),
                ]),
            )
            .multiple(),
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() < 5 || !(args.len() - 2).is_multiple_of(3) {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let mut wanted = Vec::with_capacity(args.len() / 3);
        while cursor.left() > 0 {
            let measure = cursor.bytes()?;
            let after = cursor.bound()?;
            wanted.push((measure, after, parse(cursor.bytes()?)?));
        }
        let Some(mut series) = key::write(ctx, name)? else {
            ctx.reply_integer(0);
            return Ok(());
        };
        let (watched, messages) = series.change(|series| {
            let before = series.watches().clone();
            let done = set(series, name, wanted);
            if done.is_err() {
                series.put_back(before);
            }
            done
        })?;
        ctx.replicate_verbatim();
        ctx.notify(c"strata.watch", name);
        alarm::publish(ctx, &messages);
        ctx.reply_integer(watched);
        Ok(())
    }
}

/// Sets or ends the watches; returns their number, and the messages of alarms that came of it.
fn set(
    series: &mut Series,
    name: *mut RedisModuleString,
    wanted: Vec<(&[u8], Micros, Option<Watch>)>,
) -> Result<(i64, Vec<String>), Failure> {
    let (mut watched, mut messages) = (0, Vec::new());
    for (measure, after, watch) in wanted {
        let Some(position) = series.measure(measure) else { continue };
        match watch {
            Some(watch) => {
                let raised = series.watch(position, after, watch)?;
                messages.extend(alarm::messages(series, name, &raised));
            }
            None => series.unwatch(position),
        }
        watched += 1;
    }
    Ok((watched, messages))
}

/// A saved state, the name of a method for a new detector with its defaults, or nothing to end the watch.
fn parse(text: &[u8]) -> Result<Option<Watch>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let method = std::str::from_utf8(text).ok().and_then(|name| Method::parse(name).ok());
    if let Some(method) = method {
        let watch = Watch::new(method, &Options::new());
        return watch.map(Some).map_err(|error| Failure::text(error.to_string()));
    }
    Watch::restore(text).map(Some).map_err(|error| {
        let shown = shown(&text[..text.len().min(40)]);
        Failure::text(format!("\"{shown}\" is neither a detection method nor the state of a watch: {error}"))
    })
}
