//! `STRATA.GET key [MEASURES n measure ...]`: the newest sample of a series.

use super::arguments::Cursor;
use super::options::{Options, Picks, positions};
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::api::{Ctx, key};
use crate::failure::Failure;
use crate::hot::Series;
use series::time::Micros;
use smallvec::SmallVec;

pub struct Get;

impl Command for Get {
    const SPEC: Spec = Spec {
        name: c"STRATA.GET",
        flags: c"readonly fast",
        arity: -2,
        keys: Keys::First,
        access: Access::Read,
        summary: c"Returns the newest sample of a series",
        complexity: c"O(M) for M measures",
        args: &[spec::KEY, spec::MEASURES],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let options = Options::parse(&mut cursor, &["MEASURES"])?;
        let series = key::read(ctx, name)?;
        let latest = match &series {
            Some(series) => Latest::of(series, &options)?,
            None => None,
        };
        match latest {
            Some(latest) => {
                ctx.reply_array(2);
                latest.reply(ctx, ctx.resp3());
            }
            None => ctx.reply_null(),
        }
        Ok(())
    }
}

/// The newest sample: measures without a value in it are left out.
pub struct Latest<'a> {
    time: Micros,
    values: SmallVec<[(&'a [u8], f64); 8]>,
}

impl<'a> Latest<'a> {
    pub fn of<'s: 'a, 'o: 'a>(series: &'s Series, options: &Options<'o>) -> Result<Option<Latest<'a>>, Failure> {
        let picks: Picks<'a> = options.picks(series);
        let mut values = SmallVec::new();
        let time = series.latest(&positions(&picks), |pick, value| {
            if !value.is_nan() {
                values.push((picks[pick].name, value));
            }
        })?;
        Ok(time.map(|time| Latest { time, values }))
    }

    /// Two elements: the time, and measures and values alternating.
    pub fn reply(&self, ctx: Ctx, resp3: bool) {
        ctx.reply_time(self.time);
        ctx.reply_array(self.values.len() * 2);
        for (name, value) in &self.values {
            ctx.reply_bytes(name);
            ctx.reply_number(*value, resp3);
        }
    }
}
