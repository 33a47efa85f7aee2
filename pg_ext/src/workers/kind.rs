//! The jobs.

use std::fmt;
use std::str::FromStr;

/// What a job does. Each has one row in `strata.jobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    Flush,
    Rollup,
    AnomalyDetection,
    Archive,
    Cleanup,
    WarmHot,
    JointRefit,
}

impl JobKind {
    pub const ALL: [JobKind; 7] = [
        JobKind::Flush,
        JobKind::Rollup,
        JobKind::AnomalyDetection,
        JobKind::Archive,
        JobKind::Cleanup,
        JobKind::WarmHot,
        JobKind::JointRefit,
    ];

    /// The job's name in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobKind::Flush => "flush",
            JobKind::Rollup => "rollup",
            JobKind::AnomalyDetection => "anomaly_detection",
            JobKind::Archive => "archive",
            JobKind::Cleanup => "cleanup",
            JobKind::WarmHot => "warm_hot",
            JobKind::JointRefit => "joint_refit",
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No job has the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job \"{0}\" does not exist")]
pub struct UnknownJob(pub String);

impl FromStr for JobKind {
    type Err = UnknownJob;

    fn from_str(name: &str) -> Result<Self, UnknownJob> {
        JobKind::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| UnknownJob(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_job() {
        for kind in JobKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }

    #[test]
    fn another_name_is_refused() {
        assert_eq!("Flush".parse::<JobKind>(), Err(UnknownJob("Flush".into())));
    }
}
