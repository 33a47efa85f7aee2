//! `STRATA.ACK flush_id key token [key token ...]`: the table has what these tokens of STRATA.PENDING name. Repeating it
//! changes nothing.

use super::arguments::Cursor;
use super::flush_token::FlushToken;
use super::retention;
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::key;
use crate::failure::Failure;
use crate::hot::Series;
use series::bytes::DecodeError;

pub struct Ack;

impl Command for Ack {
    const SPEC: Spec = Spec {
        name: c"STRATA.ACK",
        // Not deny-oom: acknowledging is what frees memory.
        flags: c"write",
        arity: -4,
        keys: Keys::Every { first: 2, step: 2 },
        access: Access::Update,
        summary: c"Acknowledges that a flush brought pending samples into the table",
        complexity: c"O(S+L) for S series and L late samples",
        args: &[
            Arg::new(c"flush_id", Kind::Integer),
            Arg::new(c"token", Kind::Block(&[spec::KEY, Arg::new(c"token", Kind::Text)])).multiple(),
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() < 4 || !args.len().is_multiple_of(2) {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        let flush = args.raw(cursor.position());
        let flush_id = cursor.integer("flush_id")?;
        let mut tokens = Vec::with_capacity(args.len() / 2);
        while cursor.left() > 0 {
            let name = cursor.raw()?;
            let text = args.raw(cursor.position());
            tokens.push((name, text, FlushToken::parse(cursor.bytes()?)?));
        }
        let mut acknowledged = 0;
        // A replica and the AOF take every token that they get, so they get those that were taken here.
        let mut taken = vec![flush];
        let mut trimmed = Vec::new();
        for (name, text, token) in tokens {
            // A key that was overwritten since or is damaged cannot be acknowledged, and must not keep the others from it.
            let Ok(Some(mut series)) = key::write(ctx, name) else {
                continue;
            };
            if series.instance() != token.instance && !ctx.repeats() {
                continue;
            }
            let acknowledge = |series: &mut Series| {
                series.acknowledge(flush_id, token.token)?;
                Ok::<_, DecodeError>(retention::trim(ctx, series))
            };
            let Ok(dropped) = series.change(acknowledge) else {
                continue;
            };
            acknowledged += 1;
            taken.extend([name, text]);
            trimmed.push((name, dropped));
        }
        if acknowledged > 0 {
            ctx.replicate_words(c"STRATA.ACK", &taken);
            trimmed.into_iter().for_each(|(name, dropped)| retention::replicate(ctx, name, dropped));
        }
        ctx.reply_integer(acknowledged);
        Ok(())
    }
}
