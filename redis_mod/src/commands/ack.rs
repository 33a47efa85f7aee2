//! `STRATA.ACK flush_id key token_time token_seq [key token_time token_seq ...]`: the table has what these tokens of
//! STRATA.PENDING name. Repeating it changes nothing.

use super::arguments::Cursor;
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::key;
use crate::config;
use crate::failure::Failure;
use crate::hot::Token;

pub struct Ack;

impl Command for Ack {
    const SPEC: Spec = Spec {
        name: c"STRATA.ACK",
        // Not deny-oom: acknowledging is what frees memory.
        flags: c"write",
        arity: -5,
        keys: Keys::Every { first: 2, step: 3 },
        access: Access::Update,
        summary: c"Acknowledges that a flush brought pending samples into the table",
        complexity: c"O(S+L) for S series and L late samples",
        args: &[
            Arg::new(c"flush_id", Kind::Integer),
            Arg::new(
                c"token",
                Kind::Block(&[
                    spec::KEY,
                    Arg::new(c"token_time", Kind::Integer),
                    Arg::new(c"token_seq", Kind::Integer),
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
        let flush_id = cursor.integer("flush_id")?;
        let mut tokens = Vec::with_capacity(args.len() / 3);
        while cursor.left() > 0 {
            let name = cursor.raw()?;
            let time = cursor.integer("token_time")?;
            let seq = cursor.unsigned("token_seq")?;
            tokens.push((name, Token { time, seq }));
        }
        let retention = config::retention();
        let mut acknowledged = 0;
        for (name, token) in tokens {
            // A key that was overwritten since cannot be acknowledged, and must not keep the others from it.
            let Ok(Some(mut series)) = key::write(ctx, name) else {
                continue;
            };
            series.change(|series| {
                series.acknowledge(flush_id, token)?;
                series.trim(retention);
                Ok::<(), Failure>(())
            })?;
            acknowledged += 1;
        }
        if acknowledged > 0 {
            ctx.replicate_verbatim();
        }
        ctx.reply_integer(acknowledged);
        Ok(())
    }
}
