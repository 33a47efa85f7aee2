use crate::cli::args::IngestArgs;
use crate::cli::failure::Failure;

use super::rejects::{LINE_COLUMN, REASON_COLUMN};

const TIME_NAMES: [&str; 6] = ["time", "timestamp", "ts", "datetime", "date_time", "date"];
const KEY_NAMES: [&str; 12] = [
    "key",
    "series",
    "node_id",
    "sensor_id",
    "device_id",
    "meter_id",
    "node",
    "sensor",
    "device",
    "meter",
    "tag",
    "id",
];

/// Which column of the file is what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    pub count: usize,
    pub time: usize,
    pub key: KeyFrom,
    /// Position and name.
    pub measures: Vec<(usize, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFrom {
    Column(usize),
    Constant(String),
}

impl Columns {
    /// Finds the columns in the header. Errors name the columns that are there.
    pub fn find(header: &[String], args: &IngestArgs) -> Result<Self, Failure> {
        for (index, name) in header.iter().enumerate() {
            if header[..index].contains(name) {
                return Err(Failure::new(format!("the header names column {name:?} twice")));
            }
        }
        let time = match &args.time_column {
            Some(name) => position(header, name)?,
            None => {
                guess(header, &TIME_NAMES).ok_or_else(|| missing("time", "--time-column", header, args.delimiter))?
            }
        };
        let key = match (&args.key, &args.key_column) {
            (Some(key), _) => KeyFrom::Constant(key.clone()),
            (None, Some(name)) => KeyFrom::Column(position(header, name)?),
            (None, None) => KeyFrom::Column(guess(header, &KEY_NAMES).ok_or_else(|| {
                missing("key", "--key-column, or --key if the file holds one series", header, args.delimiter)
            })?),
        };
        let taken = |index: usize| index == time || key == KeyFrom::Column(index);
        let measures: Vec<(usize, String)> = match &args.measures {
            Some(names) => {
                names.iter().map(|name| Ok((position(header, name)?, name.clone()))).collect::<Result<_, Failure>>()?
            }
            // a corrected file of rejected rows can be put in as it is
            None => header
                .iter()
                .cloned()
                .enumerate()
                .filter(|(index, name)| !taken(*index) && name != LINE_COLUMN && name != REASON_COLUMN)
                .collect(),
        };
        if key == KeyFrom::Column(time) {
            return Err(Failure::new(format!("column {:?} cannot be both time and key", header[time])));
        }
        if let Some((_, name)) = measures.iter().find(|(index, _)| taken(*index)) {
            return Err(Failure::new(format!("column {name:?} is the time or the key and cannot be a measure")));
        }
        if measures.is_empty() || measures.iter().any(|(_, name)| name.is_empty()) {
            return Err(Failure::new("the file has no measure, or one without a name")
                .detail(format!("Its columns are: {}", header.join(", ")))
                .hint("Beside time and key there must be at least one numeric column, each with a name."));
        }
        Ok(Self { count: header.len(), time, key, measures })
    }
}

fn position(header: &[String], name: &str) -> Result<usize, Failure> {
    header.iter().position(|column| column == name).ok_or_else(|| {
        Failure::new(format!("the file has no column {name:?}"))
            .detail(format!("Its columns are: {}", header.join(", ")))
    })
}

fn guess(header: &[String], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| header.iter().position(|column| column.eq_ignore_ascii_case(name)))
}

fn missing(what: &str, option: &str, header: &[String], delimiter: char) -> Failure {
    let failure = Failure::new(format!("it is not clear which column is the {what}"))
        .detail(format!("The columns are: {}", header.join(", ")));
    let other = [';', '\t', ',']
        .into_iter()
        .find(|other| *other != delimiter && header.len() == 1 && header[0].contains(*other));
    match other {
        Some(other) => failure.hint(format!("The fields seem to be separated by {other:?}; name it with --delimiter.")),
        None => failure.hint(format!("Name it with {option}.")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, Command};

    fn find(header: &str, options: &[&str]) -> Result<Columns, Failure> {
        let line = ["strata", "ingest", "file.csv"].iter().chain(options);
        let Command::Ingest(args) = Args::try_parse_from(line).unwrap().command else { panic!("not ingest") };
        Columns::find(&header.split(',').map(str::to_owned).collect::<Vec<_>>(), &args)
    }

    #[test]
    fn usual_names_are_found_and_the_rest_are_measures() {
        let columns = find("Timestamp,node_id,flow_rate,pressure", &[]).unwrap();
        assert_eq!((columns.time, columns.key), (0, KeyFrom::Column(1)));
        assert_eq!(columns.measures, [(2, "flow_rate".to_owned()), (3, "pressure".to_owned())]);
    }

    #[test]
    fn options_win_over_usual_names() {
        let columns =
            find("time,at,key,where,x", &["--time-column", "at", "--key-column", "where", "--measures", "x"]).unwrap();
        assert_eq!((columns.time, columns.key), (1, KeyFrom::Column(3)));
        assert_eq!(columns.measures, [(4, "x".to_owned())]);
    }

    #[test]
    fn a_file_of_one_series_gets_its_key_from_the_command_line() {
        let columns = find("timestamp,value", &["--key", "pump"]).unwrap();
        assert_eq!(columns.key, KeyFrom::Constant("pump".to_owned()));
        assert_eq!(columns.measures, [(1, "value".to_owned())]);
    }

    #[test]
    fn the_columns_of_a_rejected_file_are_not_measures() {
        let columns = find("rejected_line,rejected_reason,time,key,x", &[]).unwrap();
        assert_eq!(columns.measures, [(4, "x".to_owned())]);
    }

    #[test]
    fn an_unclear_header_is_refused_with_a_hint() {
        assert!(find("time,value", &[]).unwrap_err().to_string().contains("--key-column"));
        assert!(find("at,key,value", &[]).unwrap_err().to_string().contains("--time-column"));
        assert!(find("time;key;value", &[]).unwrap_err().to_string().contains("--delimiter"));
        assert!(find("time,key", &[]).is_err());
        assert!(find("time,key,x,x", &[]).unwrap_err().to_string().contains("twice"));
        assert!(find("time,key,x", &["--measures", "y"]).unwrap_err().to_string().contains("\"y\""));
        assert!(find("time,key,x", &["--measures", "key"]).is_err());
    }
}
