//! One file: a time, sensors, and labels where it has them.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::{TRAINING, USUAL};

/// Alarm and change of each row.
pub type Judgement = Vec<(bool, bool)>;

pub struct Recording {
    path: PathBuf,
    pub times: Vec<String>,
    /// Row by row.
    pub values: Vec<f64>,
    pub sensors: usize,
    /// Labels, false where the file has none.
    pub anomalies: Vec<bool>,
    pub change_points: Vec<bool>,
}

/// The number in a file's name, for their order.
pub fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

impl Recording {
    pub fn read(path: &Path) -> Self {
        let at = path.display();
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{at}: {error}"));
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let head: Vec<&str> =
            lines.next().unwrap_or_else(|| panic!("{at} is empty")).split(';').map(str::trim).collect();
        let column = |name: &str| head.iter().position(|column| *column == name);
        let (anomaly, change_point) = (column("anomaly"), column("changepoint"));
        let sensors: Vec<usize> = (1..head.len()).filter(|i| Some(*i) != anomaly && Some(*i) != change_point).collect();
        let mut recording = Self {
            path: path.to_owned(),
            times: Vec::new(),
            values: Vec::new(),
            sensors: sensors.len(),
            anomalies: Vec::new(),
            change_points: Vec::new(),
        };
        for line in lines {
            let fields: Vec<&str> = line.split(';').map(str::trim).collect();
            assert_eq!(fields.len(), head.len(), "{at}: {line:?}");
            let number = |i: usize| fields[i].parse::<f64>().unwrap_or_else(|_| panic!("{at}: {line:?}"));
            recording.times.push(fields[0].to_owned());
            recording.values.extend(sensors.iter().map(|i| number(*i)));
            recording.anomalies.push(anomaly.is_some_and(|i| number(i) == 1.0));
            recording.change_points.push(change_point.is_some_and(|i| number(i) == 1.0));
        }
        assert!(recording.rows() > TRAINING, "{at} has no row after its training");
        assert!(anomaly.is_some() == change_point.is_some(), "{at} has one of two kinds of labels");
        assert!(anomaly.is_some() != recording.is_usual(), "{at}: labels belong to all files but those in {USUAL}");
        recording
    }

    pub fn rows(&self) -> usize {
        self.times.len()
    }

    fn is_usual(&self) -> bool {
        self.folder() == USUAL
    }

    pub fn is_labelled(&self) -> bool {
        !self.is_usual()
    }

    fn folder(&self) -> String {
        let folder = self.path.parent().and_then(Path::file_name).expect("a file lies in a folder");
        folder.to_string_lossy().into_owned()
    }

    fn file(&self) -> String {
        self.path.file_name().expect("a file has a name").to_string_lossy().into_owned()
    }

    pub fn name(&self) -> String {
        format!("{}/{}", self.folder(), self.file())
    }

    /// Times in seconds, whatever they count from.
    pub fn seconds(&self) -> Vec<f64> {
        self.times.iter().map(|time| seconds(time).unwrap_or_else(|| panic!("{}: {time:?}", self.name()))).collect()
    }

    pub fn write(&self, folder: &Path, judgement: &Judgement) {
        let folder = folder.join(self.folder());
        fs::create_dir_all(&folder).expect("target/ can be written");
        let mut csv = String::from("datetime,outlier,changepoint\n");
        for (time, (alarm, change)) in self.times.iter().zip(judgement) {
            writeln!(csv, "{time},{},{}", u8::from(*alarm), u8::from(*change)).expect("a text takes everything");
        }
        fs::write(folder.join(self.file()), csv).expect("target/ can be written");
    }
}

/// Seconds since 1970 of a time such as `2020-03-09 10:34:33`.
fn seconds(time: &str) -> Option<f64> {
    let (date, clock) = time.split_once([' ', 'T'])?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut clock = clock.split(':').map(str::parse::<f64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    // days of the civil calendar: the year begins in March, so that the leap day is its last
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day;
    Some((days - 719_469) as f64 * 86_400.0 + hour * 3600.0 + minute * 60.0 + second)
}
