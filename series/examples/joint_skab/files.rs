//! The benchmark's files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use series::detect::{JointDetector, JointReading, JointSettings};
use series::time::MICROS_PER_SECOND;

const SENSORS: usize = 8;

pub struct Recording {
    path: PathBuf,
    datetimes: Vec<String>,
    rows: Vec<f64>,
    /// Whether a row is anomalous; false where the file has no labels.
    pub labels: Vec<bool>,
}

impl Recording {
    pub fn labelled_in(data: &Path) -> anyhow::Result<Vec<Recording>> {
        let mut recordings = Vec::new();
        for folder in ["valve1", "valve2", "other"] {
            let folder = data.join(folder);
            let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
            let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
            paths.sort();
            for path in paths {
                recordings.push(Recording::read(&path)?);
            }
        }
        Ok(recordings)
    }

    pub fn read(path: &Path) -> anyhow::Result<Recording> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut recording =
            Recording { path: path.to_owned(), datetimes: Vec::new(), rows: Vec::new(), labels: Vec::new() };
        for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
            let mut fields = line.split(';');
            recording.datetimes.push(fields.next().context("an empty line")?.to_owned());
            for _ in 0..SENSORS {
                recording.rows.push(fields.next().context("a line is too short")?.parse()?);
            }
            let label = fields.next().map(str::parse::<f64>).transpose()?;
            recording.labels.push(label == Some(1.0));
        }
        Ok(recording)
    }

    pub fn rows(&self) -> usize {
        self.datetimes.len()
    }

    /// The recording without its first rows.
    pub fn from(&self, row: usize) -> Recording {
        Recording {
            path: self.path.clone(),
            datetimes: self.datetimes[row..].to_vec(),
            rows: self.rows[row * SENSORS..].to_vec(),
            labels: self.labels[row..].to_vec(),
        }
    }

    /// A reading for every row; those of the training are as usual.
    pub fn readings(&self, training: usize, settings: &JointSettings) -> anyhow::Result<Vec<JointReading>> {
        let times: Vec<i64> = (0..self.datetimes.len() as i64).map(|second| second * MICROS_PER_SECOND).collect();
        let (first, rest) = self.rows.split_at(training * SENSORS);
        let mut detector = JointDetector::train(&times[..training], first, SENSORS, settings)?;
        let unjudged = JointReading {
            score: 0.0,
            change_score: 0.0,
            is_anomaly: false,
            is_change: false,
            reason: None,
            change_reason: None,
        };
        let judged = times[training..].iter().zip(rest.chunks_exact(SENSORS));
        let judged = judged.map(|(&time, row)| detector.update(time, row));
        Ok(std::iter::repeat_n(unjudged, training).chain(judged).collect())
    }

    /// Writes the readings below `out`, in the folder and under the name that the recording has.
    pub fn write(&self, out: &Path, readings: &[JointReading]) -> anyhow::Result<()> {
        let folder = self.path.parent().and_then(Path::file_name).context("a file without a folder")?;
        let name = self.path.file_name().context("a path without a name")?;
        let mut text = String::from("datetime,outlier,changepoint,score,change_score\n");
        for (datetime, reading) in self.datetimes.iter().zip(readings) {
            let JointReading { score, change_score, is_anomaly, is_change, .. } = reading;
            let (outlier, change) = (u8::from(*is_anomaly), u8::from(*is_change));
            text.push_str(&format!("{datetime},{outlier},{change},{score:?},{change_score:?}\n"));
        }
        fs::create_dir_all(out.join(folder))?;
        fs::write(out.join(folder).join(name), text)?;
        Ok(())
    }
}
