//! `STRATA.PUT key sample`: what replicas and the AOF get of STRATA.ADD and STRATA.MADD.

use super::alarm;
use super::arguments::Cursor;
use super::retention;
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::key;
use crate::failure::Failure;

pub struct Put;

impl Command for Put {
    const SPEC: Spec = Spec {
        name: c"STRATA.PUT",
        flags: c"write deny-oom fast",
        arity: 3,
        keys: Keys::First,
        access: Access::Insert,
        summary: c"Writes one sample as replicas and the AOF get it",
        complexity: c"O(M) for M measures at the end of the series; O(B) for a block of B samples when it is late",
        args: &[spec::KEY, Arg::new(c"sample", Kind::Text)],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() != 3 {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let sample = cursor.bytes()?;
        let Some(mut stored) = key::write(ctx, name)? else {
            return Err(Failure::text("no such key"));
        };
        let (messages, trimmed) = stored.change(|series| {
            let judged = series.put(sample)?;
            let trimmed = retention::trim(ctx, series);
            Ok::<_, Failure>((alarm::messages(series, name, series.watches().newest(judged.alarms)), trimmed))
        })?;
        alarm::publish(ctx, &messages);
        ctx.replicate_verbatim();
        retention::replicate(ctx, name, trimmed);
        ctx.notify(c"strata.add", name);
        ctx.reply_text("OK");
        Ok(())
    }
}
