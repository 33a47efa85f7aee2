//! `STRATA.SOURCE source duration [AT time|*|+] [MEASURES n measure ...] [AGG n aggregate ...] [BUCKET duration]
//! [ALIGN time] [BY KEY | BY PREFIX separator] [PACKED | GRID | STATE]`: aggregates over the last `duration` of all series of a
//! source or of groups of them, merged exactly.
//!
//! A node of a cluster knows only the series of its own slots. With `STATE` the reply has the same shape, but in place
//! of a measure's aggregates stands their mergeable state, one binary string: `[after, to, contributing, [measure,
//! state, ...]]`, and with `BUCKET` one column `measure:state` per measure instead of one per aggregate. A state is a
//! [`series::bucket::BucketRow`] of one bucket in its byte format; merging the states of all nodes gives what one server with all series
//! would answer. It always holds count, sum, extremes, mean and deviation, first and last; `AGG` only decides whether it
//! holds the quantile sketch too, which it does if a percentile is among the aggregates.

use super::aggregates::{Form, Layout, check_gaps, needs, reply_by_measure, reply_table};
use super::arguments::Cursor;
use super::options::{At, Options, Pick, Picks};
use super::roll::{Span, end};
use super::source_keys::{self, check_source};
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use super::states::{reply_state_table, reply_states_by_measure};
use crate::api::Ctx;
use crate::failure::Failure;
use crate::hot::{Series, WindowQuery};
use series::aggregate::Aggregate;
use series::rolling::{Table, Windows};
use series::rollup::Needs;
use series::time::Micros;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// Windows a group may have: all series of a source can fill every one.
const MAX_WINDOWS: i64 = 100_000;

pub struct Source;

const BY: Arg = Arg::option(
    c"by",
    c"BY",
    Kind::OneOf(&[
        Arg { token: Some(c"KEY"), ..Arg::new(c"key", Kind::Word) },
        Arg { token: Some(c"PREFIX"), ..Arg::new(c"separator", Kind::Text) },
    ]),
);

impl Command for Source {
    const SPEC: Spec = Spec {
        name: c"STRATA.SOURCE",
        flags: c"readonly",
        arity: -3,
        keys: Keys::None,
        access: Access::Read,
        summary: c"Returns aggregates over the last time of all series of a source, or of groups of them",
        complexity: c"O(S*B) for S series of B buckets of 5 minutes or an hour",
        args: &[
            spec::SOURCE,
            spec::DURATION,
            spec::AT,
            spec::MEASURES,
            spec::AGG,
            spec::BUCKET,
            spec::ALIGN,
            BY,
            spec::PACKED,
            spec::GRID,
            spec::STATE,
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let source = check_source(cursor.bytes()?)?;
        let width = cursor.duration()?;
        let allowed = ["AT", "MEASURES", "AGG", "BUCKET", "ALIGN", "BY", "PACKED", "GRID", "STATE"];
        let options = Options::parse(&mut cursor, &allowed)?;
        if options.bucket.is_none() && (options.align != 0 || options.packed) {
            return Err(Failure::text("ALIGN and PACKED need BUCKET"));
        }
        if let Some(bucket) = options.bucket
            && width / bucket > MAX_WINDOWS
        {
            return Err(Failure::text(format!(
                "BUCKET would make {} windows; at most {MAX_WINDOWS} are allowed",
                width / bucket
            )));
        }
        if options.state && options.packed {
            return Err(Failure::text("a STATE is bytes, which PACKED cannot hold"));
        }
        let survey = Survey::of(ctx, source, &options)?;
        let span = Span::ending(end(ctx, &options, survey.newest), width);
        let aggregates = options.aggregates();
        let groups = collect(ctx, source, &options, &survey, span, &aggregates)?;

        let measures: Vec<Vec<u8>> = survey.measures;
        if let Some(bucket) = options.bucket.filter(|_| options.grid) {
            check_gaps("GRID", groups.values().map(|group| &group.table), bucket, measures.len())?;
        }
        let picks: Picks<'_> = measures.iter().enumerate().map(|(position, name)| Pick { position, name }).collect();
        let reply = |group: Group| match options.bucket {
            None => {
                ctx.reply_array(4);
                ctx.reply_time(span.after);
                ctx.reply_time(span.to);
                ctx.reply_integer(group.contributing);
                let buckets = group.table.into_one();
                if options.state {
                    reply_states_by_measure(ctx, &picks, buckets);
                } else {
                    reply_by_measure(ctx, &aggregates, &picks, &buckets);
                }
            }
            Some(_) => {
                let open = group.open;
                if options.state {
                    reply_state_table(ctx, &group.table, &picks, open);
                } else {
                    let form = Form { layout: Layout::of(&options), reverse: false, count: usize::MAX, open };
                    reply_table(ctx, &group.table, &picks, &aggregates, form);
                }
            }
        };
        if options.by.is_some() {
            ctx.reply_array(groups.len() * 2);
            for (name, group) in groups {
                ctx.reply_text(&name);
                reply(group);
            }
        } else {
            groups.into_values().for_each(reply);
        }
        Ok(())
    }
}

/// What must be known of a source before its series are folded.
struct Survey {
    measures: Vec<Vec<u8>>,
    newest: Option<Micros>,
}

impl Survey {
    /// The series are walked only for what the options leave open.
    fn of(ctx: Ctx, source: &str, options: &Options<'_>) -> Result<Survey, Failure> {
        let named = options.measures.as_ref();
        let mut survey = Survey {
            measures: named.map(|names| names.iter().map(|name| name.to_vec()).collect()).unwrap_or_default(),
            newest: None,
        };
        if named.is_some() && options.at != At::Newest {
            return Ok(survey);
        }
        source_keys::visit(ctx, source, None, |_, _, series| {
            survey.newest = survey.newest.max(series.last());
            if named.is_none() {
                for (index, name) in series.measures().enumerate() {
                    let known = |at: &Vec<u8>| at == name.as_bytes();
                    if !survey.measures.get(index).is_some_and(known) && !survey.measures.iter().any(known) {
                        survey.measures.push(name.as_bytes().to_vec());
                    }
                }
            }
            Ok(())
        })?;
        Ok(survey)
    }

    fn positions(&self, series: &Series) -> SmallVec<[usize; 8]> {
        self.measures.iter().map(|name| series.measure(name).unwrap_or(usize::MAX)).collect()
    }
}

struct Group {
    table: Table,
    /// Start of the window that is still filling.
    open: Option<Micros>,
    /// Series with a sample in the window.
    contributing: i64,
}

fn collect(
    ctx: Ctx,
    source: &str,
    options: &Options<'_>,
    survey: &Survey,
    span: Span,
    aggregates: &[Aggregate],
) -> Result<BTreeMap<String, Group>, Failure> {
    let needs = match options.state {
        // whoever merges the states may ask them for any aggregate
        true => Needs { sketch: needs(aggregates).sketch, ..Needs::STATE },
        false => needs(aggregates),
    };
    let measures = survey.measures.len();
    let empty = || {
        let windows = match options.bucket {
            Some(width) => Windows::tumbling(width, options.align, measures, needs),
            None => Windows::one(span.after, measures, needs),
        };
        (windows, 0)
    };
    let mut groups = BTreeMap::new();
    if options.by.is_none() {
        groups.insert(String::new(), empty());
    }
    source_keys::visit(ctx, source, None, |_, key, series| {
        let name = options.by.map_or("", |by| by.group(key));
        let (windows, contributing) = match groups.get_mut(name) {
            Some(group) => group,
            None => groups.entry(name.to_owned()).or_insert_with(empty),
        };
        let positions = survey.positions(series);
        let query = WindowQuery { from: span.after.saturating_add(1), to: span.to, picks: &positions };
        let before = windows.values();
        series.fold(&query, windows)?;
        *contributing += i64::from(windows.values() > before);
        Ok(())
    })?;
    let now = ctx.now();
    let finished = groups.into_iter().map(|(name, (windows, contributing))| {
        let open = (now > span.after && now <= span.to).then(|| windows.start_of(now));
        (name, Group { table: windows.finish(), open, contributing })
    });
    Ok(finished.collect())
}
