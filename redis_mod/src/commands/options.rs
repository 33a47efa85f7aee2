//! The options that reading commands share, and the measures they pick.

use super::arguments::{Cursor, List, shown};
use crate::failure::Failure;
use crate::hot::{MAX_MEASURES, Series, TIME_RANGE};
use series::aggregate::Aggregate;
use series::time::Micros;
use smallvec::SmallVec;

/// The end of a rolling window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum At {
    Now,
    Newest,
    Time(Micros),
}

/// Everything that may follow the fixed arguments. A command names the options that it takes.
#[derive(Debug, PartialEq)]
pub struct Options<'a> {
    pub measures: Option<List<'a>>,
    pub aggregates: Option<Aggregates>,
    pub bucket: Option<Micros>,
    pub align: Micros,
    pub at: At,
    pub empty: bool,
    pub count: Option<usize>,
    pub reverse: bool,
    pub packed: bool,
    /// One list per column instead of rows.
    pub grid: bool,
    /// Mergeable states instead of aggregates.
    pub state: bool,
    pub by: Option<By<'a>>,
}

/// How the series of a source are grouped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum By<'a> {
    /// Each series on its own.
    Key,
    /// By the part of the key before the first separator; a key without it is a group of its own.
    Prefix(&'a str),
}

impl By<'_> {
    /// The group of a key.
    pub fn group<'k>(&self, key: &'k str) -> &'k str {
        match self {
            By::Key => key,
            By::Prefix(separator) => key.split_once(separator).map_or(key, |(prefix, _)| prefix),
        }
    }
}

/// A measure that a reply shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pick<'a> {
    /// Position in the series, beyond its measures for a name that it does not have.
    pub position: usize,
    pub name: &'a [u8],
}

/// Aggregates in the order in which they were asked for.
pub type Aggregates = SmallVec<[Aggregate; 6]>;

pub type Picks<'a> = SmallVec<[Pick<'a>; 8]>;

/// The positions of picks.
pub fn positions(picks: &[Pick<'_>]) -> SmallVec<[usize; 8]> {
    picks.iter().map(|pick| pick.position).collect()
}

impl<'a> Options<'a> {
    /// Reads the rest of the arguments. `allowed` lists the options of the command, in upper case.
    pub fn parse(cursor: &mut Cursor<'a>, allowed: &[&str]) -> Result<Options<'a>, Failure> {
        let mut options = Options {
            measures: None,
            aggregates: None,
            bucket: None,
            align: 0,
            at: At::Now,
            empty: false,
            count: None,
            reverse: false,
            packed: false,
            grid: false,
            state: false,
            by: None,
        };
        while cursor.left() > 0 {
            let word = cursor.bytes()?;
            let name = allowed.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(word)).ok_or_else(|| {
                Failure::text(format!("unknown option \"{}\"; allowed here: {}", shown(word), allowed.join(", ")))
            })?;
            match *name {
                "MEASURES" => options.measures = Some(distinct(cursor.list("MEASURES")?)?),
                "AGG" => options.aggregates = Some(aggregates(cursor)?),
                "BUCKET" => options.bucket = Some(bucket(cursor)?),
                "ALIGN" => options.align = cursor.time()?,
                "AT" => options.at = at(cursor)?,
                "EMPTY" => options.empty = true,
                "COUNT" => options.count = Some(cursor.count("COUNT")?),
                "PACKED" => options.packed = true,
                "GRID" => options.grid = true,
                "STATE" => options.state = true,
                "BY" => options.by = Some(by(cursor)?),
                _ => options.reverse = true,
            }
        }
        if options.grid {
            options.check_grid()?;
        }
        Ok(options)
    }

    fn check_grid(&self) -> Result<(), Failure> {
        if self.bucket.is_none() {
            return Err(Failure::text("GRID needs BUCKET"));
        }
        let others = [(self.packed, "PACKED"), (self.reverse, "REV"), (self.state, "STATE")];
        match others.iter().find(|(given, _)| *given) {
            Some((_, other)) => Err(Failure::text(format!("GRID and {other} exclude each other"))),
            None => Ok(()),
        }
    }

    /// The aggregates that were asked for, or the usual ones.
    pub fn aggregates(&self) -> Aggregates {
        self.aggregates
            .clone()
            .unwrap_or_else(|| [Aggregate::Avg, Aggregate::Min, Aggregate::Max, Aggregate::Count].into_iter().collect())
    }

    /// The measures of a series that were asked for, or all. One that the series does not have is missing in every row.
    pub fn picks<'s>(&self, series: &'s Series) -> Picks<'s>
    where
        'a: 's,
    {
        match &self.measures {
            None => {
                series.measures().enumerate().map(|(position, name)| Pick { position, name: name.as_bytes() }).collect()
            }
            Some(names) => {
                names.iter().map(|&name| Pick { position: series.measure(name).unwrap_or(usize::MAX), name }).collect()
            }
        }
    }
}

/// Refuses a name that stands twice, so that no list is longer than a series has measures or the server would answer
/// a thousand times the same.
fn distinct(names: List<'_>) -> Result<List<'_>, Failure> {
    let mut sorted = names.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::text(format!("\"{}\" is named twice", shown(pair[0])))),
        None if names.len() > MAX_MEASURES => {
            Err(Failure::text(format!("{} measures are asked for; a series has at most {MAX_MEASURES}", names.len())))
        }
        None => Ok(names),
    }
}

fn by<'a>(cursor: &mut Cursor<'a>) -> Result<By<'a>, Failure> {
    let word = cursor.bytes()?;
    if word.eq_ignore_ascii_case(b"KEY") {
        return Ok(By::Key);
    }
    if !word.eq_ignore_ascii_case(b"PREFIX") {
        return Err(Failure::text(format!("BY: \"{}\" is neither KEY nor PREFIX", shown(word))));
    }
    let separator = cursor.text("BY PREFIX: the separator")?;
    if separator.is_empty() {
        return Err(Failure::text("BY PREFIX: the separator is empty"));
    }
    Ok(By::Prefix(separator))
}

/// A width. One beyond all times would have starts that no number holds.
fn bucket(cursor: &mut Cursor<'_>) -> Result<Micros, Failure> {
    let width = cursor.duration()?;
    if width > TIME_RANGE.end() - TIME_RANGE.start() {
        return Err(Failure::text("BUCKET must not be longer than the years 1 to 9999"));
    }
    Ok(width)
}

fn aggregates(cursor: &mut Cursor<'_>) -> Result<Aggregates, Failure> {
    distinct(cursor.list("AGG")?)?
        .into_iter()
        .map(|name| {
            let text =
                std::str::from_utf8(name).map_err(|_| Failure::text("the name of an aggregate is not UTF-8 text"))?;
            text.parse().map_err(|error: series::aggregate::AggregateError| Failure::text(error.to_string()))
        })
        .collect()
}

fn at(cursor: &mut Cursor<'_>) -> Result<At, Failure> {
    let before = cursor.position();
    match cursor.bytes()? {
        b"*" => Ok(At::Now),
        b"+" => Ok(At::Newest),
        text => super::arguments::parse_time(text).map(At::Time).ok_or_else(|| {
            Failure::text(format!("AT: \"{}\" (argument {before}) is neither a time nor * nor +", shown(text)))
        }),
    }
}
