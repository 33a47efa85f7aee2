//! `STRATA.ANOMALIES source [COUNT n]`: the alarms of samples that the table does not have yet.

use super::alarm::measure;
use super::arguments::Cursor;
use super::options::Options;
use super::source_keys::{self, check_source};
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::failure::Failure;

pub struct Anomalies;

impl Command for Anomalies {
    const SPEC: Spec = Spec {
        name: c"STRATA.ANOMALIES",
        flags: c"readonly",
        arity: -2,
        keys: Keys::None,
        access: Access::Read,
        summary: c"Returns the alarms of a source whose samples the table does not have yet",
        complexity: c"O(S+A) for S series and A alarms",
        args: &[spec::SOURCE, spec::COUNT],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let source = check_source(cursor.bytes()?)?;
        let options = Options::parse(&mut cursor, &["COUNT"])?;
        let mut left = options.count.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        source_keys::visit(ctx, source, None, |redis_key, key, series| {
            for alarm in series.watches().alarms().iter().take(left) {
                found.push((redis_key.to_owned(), key.to_owned(), measure(series, alarm).to_owned(), alarm.clone()));
            }
            left -= left.min(series.watches().alarms().len());
            Ok(())
        })?;
        let resp3 = ctx.resp3();
        ctx.reply_array(found.len());
        for (redis_key, key, measure, alarm) in found {
            ctx.reply_array(11);
            ctx.reply_text(&redis_key);
            ctx.reply_text(&key);
            ctx.reply_text(&measure);
            ctx.reply_time(alarm.time);
            for number in [alarm.value, alarm.score, alarm.expected, alarm.lower, alarm.upper] {
                ctx.reply_number(number, resp3);
            }
            ctx.reply_text(alarm.method);
            ctx.reply_text(&alarm.reason);
        }
        Ok(())
    }
}
