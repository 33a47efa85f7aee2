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
use series::bucket::{Bucket, Summary, Total};
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
        let question = Question { ctx, source, options: &options, survey: &survey, span };
        let needs = needs(&options.aggregates());
        if options.state {
            question.answer_states(needs)
        } else if Total::suffices(needs) {
            question.answer::<Total>(needs)
        } else {
            question.answer::<Bucket>(needs)
        }
    }
}

struct Question<'a, 'o> {
    ctx: Ctx,
    source: &'a str,
    options: &'a Options<'o>,
    survey: &'a Survey,
    span: Span,
}

impl Question<'_, '_> {
    fn answer<S: Summary>(&self, needs: Needs) -> Result<(), Failure> {
        let Question { ctx, options, survey, .. } = *self;
        let (aggregates, picks) = (options.aggregates(), survey.picks());
        let groups = self.collect::<S>(needs)?;
        if let Some(bucket) = options.bucket.filter(|_| options.grid) {
            check_gaps("GRID", groups.values().map(|group| &group.table), bucket, picks.len())?;
        }
        self.reply_groups(groups, |group| match options.bucket {
            None => {
                self.reply_head(&group);
                reply_by_measure(ctx, &aggregates, &picks, &group.table.into_one());
            }
            Some(_) => {
                let form = Form { layout: Layout::of(options), reverse: false, count: usize::MAX, open: group.open };
                reply_table(ctx, &group.table, &picks, &aggregates, form);
            }
        });
        Ok(())
    }

    /// Whoever merges the states may ask them for any aggregate, but for quantiles only if this question does.
    fn answer_states(&self, needs: Needs) -> Result<(), Failure> {
        let picks = self.survey.picks();
        let needs = Needs { sketch: needs.sketch, ..Needs::STATE };
        self.reply_groups(self.collect::<Bucket>(needs)?, |group| match self.options.bucket {
            None => {
                self.reply_head(&group);
                reply_states_by_measure(self.ctx, &picks, group.table.into_one());
            }
            Some(_) => reply_state_table(self.ctx, &group.table, &picks, group.open),
        });
        Ok(())
    }

    fn reply_groups<S>(&self, groups: BTreeMap<String, Group<S>>, reply: impl Fn(Group<S>)) {
        if self.options.by.is_none() {
            groups.into_values().for_each(reply);
            return;
        }
        self.ctx.reply_array(groups.len() * 2);
        for (name, group) in groups {
            self.ctx.reply_text(&name);
            reply(group);
        }
    }

    /// The beginning of a reply without windows; the measures follow.
    fn reply_head<S>(&self, group: &Group<S>) {
        self.ctx.reply_array(4);
        self.ctx.reply_time(self.span.after);
        self.ctx.reply_time(self.span.to);
        self.ctx.reply_integer(group.contributing);
    }

    fn collect<S: Summary>(&self, needs: Needs) -> Result<BTreeMap<String, Group<S>>, Failure> {
        let Question { ctx, source, options, survey, span } = *self;
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

    fn picks(&self) -> Picks<'_> {
        self.measures.iter().enumerate().map(|(position, name)| Pick { position, name }).collect()
    }

    fn positions(&self, series: &Series) -> SmallVec<[usize; 8]> {
        self.measures.iter().map(|name| series.measure(name).unwrap_or(usize::MAX)).collect()
    }
}

struct Group<S> {
    table: Table<S>,
    /// Start of the window that is still filling.
    open: Option<Micros>,
    /// Series with a sample in the window.
    contributing: i64,
}
