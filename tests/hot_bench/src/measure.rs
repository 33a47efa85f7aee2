//! Rounds: the same measurement of both systems in turn, several times.

use anyhow::Result;

use crate::dialect::Dialect;
use crate::system::System;

/// What the rounds of one system gave, or why they ended.
#[derive(Debug, Default, Clone)]
pub struct Rounds {
    pub values: Vec<f64>,
    pub failure: Option<String>,
}

impl Rounds {
    pub fn of(result: Result<f64>) -> Self {
        let mut rounds = Self::default();
        rounds.add(result);
        rounds
    }

    pub fn missing(why: &str) -> Self {
        Self { values: Vec::new(), failure: Some(why.to_owned()) }
    }

    pub fn add(&mut self, result: Result<f64>) {
        match result {
            Ok(value) => self.values.push(value),
            Err(error) => self.failure = Some(format!("{error:#}")),
        }
    }

    /// None where a round failed.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.complete()?.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        Some(if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 })
    }

    pub fn minimum(&self) -> Option<f64> {
        self.complete()?.iter().copied().min_by(f64::total_cmp)
    }

    fn complete(&self) -> Option<&[f64]> {
        (self.failure.is_none() && !self.values.is_empty()).then_some(&self.values)
    }
}

/// The rounds of both systems.
#[derive(Debug, Default, Clone)]
pub struct Both {
    pub strata: Rounds,
    pub peer: Rounds,
}

impl Both {
    pub fn of(&mut self, dialect: Dialect) -> &mut Rounds {
        match dialect {
            Dialect::Strata => &mut self.strata,
            Dialect::Peer => &mut self.peer,
        }
    }
}

/// Both systems, each with servers of its own.
pub struct Pair {
    pub strata: System,
    pub peer: System,
}

impl Pair {
    pub fn start() -> Result<Self> {
        Ok(Self { strata: System::start(Dialect::Strata)?, peer: System::start(Dialect::Peer)? })
    }

    pub fn of(&mut self, dialect: Dialect) -> &mut System {
        match dialect {
            Dialect::Strata => &mut self.strata,
            Dialect::Peer => &mut self.peer,
        }
    }

    pub fn each(&mut self) -> [&mut System; 2] {
        [&mut self.strata, &mut self.peer]
    }

    /// One round after the other, in each both systems; a system that fails is not asked again.
    pub fn alternate(&mut self, rounds: usize, mut measure: impl FnMut(&mut System, usize) -> Result<f64>) -> Both {
        let mut both = Both::default();
        for round in 0..rounds {
            for system in self.each() {
                let results = both.of(system.dialect);
                if results.failure.is_none() {
                    results.add(measure(system, round));
                }
            }
        }
        both
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let rounds = Rounds { values: vec![4.0, 1.0, 3.0, 2.0], failure: None };
        assert_eq!((rounds.median(), rounds.minimum()), (Some(2.5), Some(1.0)));
    }

    #[test]
    fn a_failed_round_leaves_no_figure() {
        let mut rounds = Rounds::of(Ok(1.0));
        rounds.add(Err(anyhow::anyhow!("no")));
        assert_eq!((rounds.median(), rounds.failure.as_deref()), (None, Some("no")));
    }
}
