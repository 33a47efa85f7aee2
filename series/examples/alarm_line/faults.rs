//! Faults and incidents laid over a quiet series.

use super::quiet::{PER_DAY, Random};

/// Samples that it lasts and what it makes of the values (given the whole series and where it starts).
pub struct Fault {
    pub name: &'static str,
    pub samples: usize,
    apply: fn(&[f64], usize, usize, &mut Random) -> f64,
}

impl Fault {
    pub fn lay_over(&self, values: &[f64], start: usize, random: &mut Random) -> Vec<f64> {
        let mut changed = values.to_vec();
        for (offset, value) in changed[start..start + self.samples].iter_mut().enumerate() {
            *value = (self.apply)(values, start, offset, random);
        }
        changed
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub const FAULTS: [Fault; 9] = [
    Fault { name: "burst, x 3 for 2 h", samples: 24, apply: |x, start, i, _| 3.0 * x[start + i] },
    Fault { name: "burst, x 2 for 4 h", samples: 48, apply: |x, start, i, _| 2.0 * x[start + i] },
    Fault { name: "leak, + 60 % of mean for 3 d", samples: 864, apply: |x, start, i, _| x[start + i] + 0.6 * mean(x) },
    Fault { name: "leak, + 30 % of mean for 3 d", samples: 864, apply: |x, start, i, _| x[start + i] + 0.3 * mean(x) },
    Fault {
        name: "drift to x 2 in 5 d",
        samples: 1440,
        apply: |x, start, i, _| x[start + i] * (1.0 + i as f64 / 1440.0),
    },
    Fault { name: "zero for 1 h", samples: 12, apply: |_, _, _, _| 0.0 },
    Fault { name: "spike, x 5, one sample", samples: 1, apply: |x, start, i, _| 5.0 * x[start + i] },
    Fault { name: "stuck for 12 h", samples: PER_DAY / 2, apply: |x, start, _, _| x[start] },
    Fault {
        name: "noise of 30 % for 12 h",
        samples: PER_DAY / 2,
        apply: |x, start, i, random| x[start + i] * (0.3 * random.normal()).exp(),
    },
];
