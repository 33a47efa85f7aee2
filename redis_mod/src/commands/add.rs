//! `STRATA.ADD key time|* [SCORE] measure value [measure value ...]`: writes one sample.

use super::arguments::Cursor;
use super::sample::{self, When};
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
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
        args: &[spec::KEY, spec::TIME_OR_NOW, Arg::option(c"score", c"SCORE", Kind::Word), spec::MEASURE_VALUES],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() < 5 {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let when = When::parse(cursor.bytes()?)?;
        // Measures and values come in pairs, so that a word before them cannot be taken for a measure.
        let scored = args.len().is_multiple_of(2);
        if scored && !cursor.bytes()?.eq_ignore_ascii_case(b"SCORE") {
            return Err(Failure::Arity);
        }
        // its memory comes while the values are read
        let stored = sample::open(ctx, name)?;
        let pairs = cursor.left() / 2;
        let values = sample::values(&mut cursor, pairs)?;
        let written = sample::write(ctx, stored, name, when, &values)?;
        if written.in_command() {
            ctx.replicate_verbatim();
        } else {
            written.replicate(ctx, c"STRATA.ADD", name, args.raw_from(3 + usize::from(scored)));
        }
        ctx.notify(c"strata.add", name);
        if scored {
            ctx.reply_array(2);
            ctx.reply_time(written.time);
            ctx.reply_number(written.score.unwrap_or(f64::NAN), ctx.resp3());
        } else {
            ctx.reply_time(written.time);
        }
        Ok(())
    }
}
