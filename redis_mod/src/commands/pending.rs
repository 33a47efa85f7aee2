//! `STRATA.PENDING source [FROM time] [TO time] [KEYS n key ...] [COUNT n]`: the samples of a source that the table does
//! not have yet. It changes nothing; STRATA.ACK does.

use super::arguments::{Cursor, List, shown};
use super::flush_token::FlushToken;
use super::source_keys::{self, check_source};
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::failure::{self, Failure};
use crate::hot::{PendingQuery, TIME_RANGE};

pub struct PendingCommand;

struct Found {
    redis_key: String,
    key: String,
    token: FlushToken,
    payload: Vec<u8>,
}

impl Command for PendingCommand {
    const SPEC: Spec = Spec {
        name: c"STRATA.PENDING",
        flags: c"readonly",
        arity: -2,
        keys: Keys::None,
        access: Access::Read,
        summary: c"Returns the samples of a source that were not acknowledged by a flush",
        complexity: c"O(S+N) for S series and N pending samples",
        args: &[
            spec::SOURCE,
            Arg::option(c"from", c"FROM", Kind::Time),
            Arg::option(c"to", c"TO", Kind::Time),
            Arg::option(
                c"keys",
                c"KEYS",
                Kind::Block(&[Arg::new(c"count", Kind::Integer), Arg::new(c"series", Kind::Text).multiple()]),
            ),
            spec::COUNT,
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let source = check_source(cursor.bytes()?)?;
        let (mut query, only) = parse(&mut cursor)?;

        let (mut flush_id, mut more) = (0i64, false);
        let mut results = Vec::new();
        // A damaged series must not keep the others from their flush.
        let mut left_out: Vec<(String, String)> = Vec::new();
        source_keys::visit(ctx, source, only.as_deref(), |redis_key, key, series| {
            flush_id = flush_id.max(series.flush_id());
            if query.count == 0 {
                // one more is enough to know that there are more; those that are known to be damaged are named all the same
                if more && !series.is_unreadable() {
                    return Ok(());
                }
                match series.pending(&PendingQuery { count: 1, ..query }) {
                    Ok(pending) => more = more || pending.is_some(),
                    Err(error) => left_out.push((redis_key.to_owned(), failure::damage(&error))),
                }
                return Ok(());
            }
            let pending = match series.pending(&query) {
                Ok(Some(pending)) => pending,
                Ok(None) => return Ok(()),
                Err(error) => {
                    left_out.push((redis_key.to_owned(), failure::damage(&error)));
                    return Ok(());
                }
            };
            query.count -= pending.batch.rows().min(query.count);
            more = more || pending.more;
            results.push(Found {
                redis_key: redis_key.to_owned(),
                key: key.to_owned(),
                token: FlushToken { token: pending.token, instance: series.instance() },
                payload: pending.batch.encode(),
            });
            Ok(())
        })?;

        ctx.reply_array(4);
        ctx.reply_integer(flush_id);
        ctx.reply_integer(i64::from(more));
        ctx.reply_array(results.len());
        for found in results {
            ctx.reply_array(4);
            ctx.reply_text(&found.redis_key);
            ctx.reply_text(&found.key);
            ctx.reply_text(&found.token.to_string());
            ctx.reply_bytes(&found.payload);
        }
        ctx.reply_array(left_out.len());
        for (redis_key, reason) in left_out {
            ctx.reply_array(2);
            ctx.reply_text(&redis_key);
            ctx.reply_text(&reason);
        }
        Ok(())
    }
}

type Only<'a> = Option<List<'a>>;

fn parse<'a>(cursor: &mut Cursor<'a>) -> Result<(PendingQuery, Only<'a>), Failure> {
    let mut query = PendingQuery { from: *TIME_RANGE.start(), to: *TIME_RANGE.end(), count: usize::MAX };
    let mut only = None;
    while cursor.left() > 0 {
        let word = cursor.bytes()?;
        match word.to_ascii_uppercase().as_slice() {
            b"FROM" => query.from = cursor.bound()?,
            b"TO" => query.to = cursor.bound()?,
            b"KEYS" => only = Some(cursor.list("KEYS")?),
            b"COUNT" => {
                query.count = usize::try_from(cursor.integer("COUNT")?)
                    .map_err(|_| Failure::text("COUNT must not be negative"))?;
            }
            _ => {
                return Err(Failure::text(format!(
                    "unknown option \"{}\"; allowed here: FROM, TO, KEYS, COUNT",
                    shown(word)
                )));
            }
        }
    }
    Ok((query, only))
}
