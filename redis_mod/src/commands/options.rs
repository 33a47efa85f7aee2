//! The options that reading commands share, and the measures they pick.

use super::arguments::{Cursor, shown};
use crate::failure::Failure;
use crate::hot::Series;
use series::aggregate::Aggregate;
use series::time::Micros;

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
    pub measures: Option<Vec<&'a [u8]>>,
    pub aggregates: Option<Vec<Aggregate>>,
    pub bucket: Option<Micros>,
    pub align: Micros,
    pub at: At,
    pub empty: bool,
    pub count: Option<usize>,
    pub reverse: bool,
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
        };
        while cursor.left() > 0 {
            let word = cursor.bytes()?;
            let name = allowed.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(word)).ok_or_else(|| {
                Failure::text(format!("unknown option \"{}\"; allowed here: {}", shown(word), allowed.join(", ")))
            })?;
            match *name {
                "MEASURES" => options.measures = Some(cursor.list("MEASURES")?),
                "AGG" => options.aggregates = Some(aggregates(cursor)?),
                "BUCKET" => options.bucket = Some(cursor.duration()?),
                "ALIGN" => options.align = cursor.time()?,
                "AT" => options.at = at(cursor)?,
                "EMPTY" => options.empty = true,
                "COUNT" => options.count = Some(cursor.count("COUNT")?),
                _ => options.reverse = true,
            }
        }
        Ok(options)
    }

    /// The aggregates that were asked for, or the usual ones.
    pub fn aggregates(&self) -> Vec<Aggregate> {
        self.aggregates
            .clone()
            .unwrap_or_else(|| vec![Aggregate::Avg, Aggregate::Min, Aggregate::Max, Aggregate::Count])
    }

    /// Positions and names of the measures of a series that were asked for, or all. A name that the series does not have
    /// gets a position beyond its measures and is missing in every row.
    pub fn picks(&self, series: &Series) -> Vec<(usize, String)> {
        match &self.measures {
            None => series.measures().enumerate().map(|(index, name)| (index, name.to_owned())).collect(),
            Some(names) => names
                .iter()
                .map(|name| {
                    let index = series.measure(name).unwrap_or(usize::MAX);
                    (index, String::from_utf8_lossy(name).into_owned())
                })
                .collect(),
        }
    }
}

fn aggregates(cursor: &mut Cursor<'_>) -> Result<Vec<Aggregate>, Failure> {
    cursor
        .list("AGG")?
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
