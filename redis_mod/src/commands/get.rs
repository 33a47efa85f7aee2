//! `STRATA.GET key [MEASURES n measure ...]`: the newest sample of a series.

use super::arguments::Cursor;
use super::options::Options;
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::api::{Ctx, key};
use crate::failure::Failure;
use crate::hot::Series;
use series::time::Micros;

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
        let latest = match key::read(ctx, name)? {
            Some(series) => Latest::of(&series, &options)?,
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
pub struct Latest {
    time: Micros,
    values: Vec<(String, f64)>,
}

impl Latest {
    pub fn of(series: &Series, options: &Options<'_>) -> Result<Option<Latest>, Failure> {
        let picks = options.picks(series);
        let positions: Vec<usize> = picks.iter().map(|&(position, _)| position).collect();
        let Some((time, values)) = series.latest(&positions)? else {
            return Ok(None);
        };
        let names = picks.into_iter().map(|(_, name)| name);
        Ok(Some(Latest { time, values: names.zip(values).filter(|(_, v)| !v.is_nan()).collect() }))
    }

    /// Two elements: the time, and measures and values alternating.
    pub fn reply(&self, ctx: Ctx, resp3: bool) {
        ctx.reply_time(self.time);
        ctx.reply_array(self.values.len() * 2);
        for (name, value) in &self.values {
            ctx.reply_text(name);
            ctx.reply_value(*value, resp3);
        }
    }
}
