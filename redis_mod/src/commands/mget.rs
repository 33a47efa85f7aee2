//! `STRATA.MGET key [key ...]` and `STRATA.MGET SOURCE source [MEASURES n measure ...]`: the newest samples of many
//! series. A series name has a colon, so that the word SOURCE is none.

use super::arguments::Cursor;
use super::get::Latest;
use super::options::Options;
use super::source_keys::{self, check_source};
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::args::Args;
use crate::api::key;
use crate::failure::Failure;

pub struct Mget;

impl Command for Mget {
    const SPEC: Spec = Spec {
        name: c"STRATA.MGET",
        flags: c"readonly getkeys-api",
        arity: -2,
        keys: Keys::Asked,
        access: Access::Read,
        summary: c"Returns the newest samples of many series, or of all series of a source",
        complexity: c"O(N) for N series",
        args: &[Arg::new(
            c"what",
            Kind::OneOf(&[
                Arg::new(c"key", Kind::Key).multiple(),
                Arg { token: Some(c"SOURCE"), ..Arg::new(c"source", Kind::Block(&[spec::SOURCE, spec::MEASURES])) },
            ]),
        )],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        if names_source(&call.args) { of_source(call) } else { of_keys(call) }
    }

    fn keys(args: &Args<'_>, found: &mut dyn FnMut(usize)) {
        if !names_source(args) {
            (1..args.len()).for_each(found);
        }
    }
}

fn names_source(args: &Args<'_>) -> bool {
    args.len() > 1 && args.get(1).eq_ignore_ascii_case(b"SOURCE")
}

fn of_keys(call: &Call<'_>) -> Result<(), Failure> {
    let Call { ctx, args } = *call;
    let mut cursor = Cursor::new(args);
    if cursor.left() == 0 {
        return Err(Failure::Arity);
    }
    let options = Options::parse(&mut Cursor::end(args), &[])?;
    let mut opened = Vec::with_capacity(cursor.left());
    while cursor.left() > 0 {
        // as by MGET, a key that holds something else has no newest sample, and keeps the others from nothing
        opened.push(key::read(ctx, cursor.raw()?).unwrap_or(None));
    }
    let resp3 = ctx.resp3();
    ctx.reply_array(opened.len());
    for series in &opened {
        match series.as_ref().map(|series| Latest::of(series, &options)) {
            Some(Ok(Some(latest))) => {
                ctx.reply_array(2);
                latest.reply(ctx, resp3);
            }
            Some(Ok(None)) | None => ctx.reply_null(),
            Some(Err(failure)) => failure.reply(ctx),
        }
    }
    Ok(())
}

fn of_source(call: &Call<'_>) -> Result<(), Failure> {
    let Call { ctx, args } = *call;
    let mut cursor = Cursor::new(args);
    cursor.bytes()?;
    let source = check_source(cursor.bytes()?)?;
    let options = Options::parse(&mut cursor, &["MEASURES"])?;
    let opened = source_keys::open(ctx, source, |series| series.last().is_some());
    let resp3 = ctx.resp3();
    ctx.reply_array(opened.len());
    for (redis_key, series) in &opened {
        match Latest::of(series, &options) {
            Ok(latest) => {
                ctx.reply_array(if latest.is_some() { 3 } else { 1 });
                ctx.reply_bytes(redis_key);
                if let Some(latest) = latest {
                    latest.reply(ctx, resp3);
                }
            }
            Err(failure) => failure.reply(ctx),
        }
    }
    Ok(())
}
