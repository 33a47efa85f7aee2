//! `STRATA.ADD key time|* measure value [measure value ...]`: writes one sample.

use super::arguments::Cursor;
use super::sample::{self, When};
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::api::reply::time_text;
use crate::failure::Failure;

pub struct Add;

impl Command for Add {
    const SPEC: Spec = Spec {
        name: c"STRATA.ADD",
        flags: c"write deny-oom fast",
        arity: -5,
        keys: Keys::First,
        access: Access::Insert,
        summary: c"Writes one sample of a series and returns its time",
        complexity: c"O(M) for M measures at the end of the series; O(B) for a block of B samples when it is late",
        args: &[spec::KEY, spec::TIME_OR_NOW, spec::MEASURE_VALUES],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() < 5 || args.len().is_multiple_of(2) {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let when = When::parse(cursor.bytes()?)?;
        let values = sample::values(&mut cursor, (args.len() - 3) / 2)?;
        let time = sample::write(ctx, name, when, &values)?;
        match when {
            When::At(_) => ctx.replicate_verbatim(),
            When::Now => ctx.replicate(c"STRATA.ADD", name, &time_text(time), args.raw_from(3)),
        }
        ctx.notify(c"strata.add", name);
        ctx.reply_time(time);
        Ok(())
    }
}
