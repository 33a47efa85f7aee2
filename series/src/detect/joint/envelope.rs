//! The remembered ranges: for every transition of an on/off sensor the least and greatest value and innovation of each
//! sensor that training saw in it. What leaves them by a margin is unusual in this state, however usual it is in others.

use nalgebra::DMatrix;

use super::JointSettings;
use super::numbers::{Numbers, with_slice};
use super::predictor::{Predictor, STEP_LIMIT};
use super::stepwise::Pause;
use super::training::Training;
use crate::bytes::{DecodeError, Reader, put_f64s};

/// off-off, off-on, on-off, on-on
const TRANSITIONS: usize = 4;
/// The greatest score of the envelope.
const LIMIT: f64 = 5.0;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Envelope {
    /// Value of an on/off sensor above which it is on.
    middle: Vec<f64>,
    /// Per switch and transition the bounds of the values, then of the innovations; infinite where training saw too little.
    lower: Numbers,
    upper: Numbers,
    /// Inverse margins of the values, then of the innovations.
    inverse_margin: Vec<f64>,
}

/// The last known states of the on/off sensors: NaN before the first, else 0 or 1.
pub(super) type States = Vec<f64>;

/// The view that is furthest outside, as an index into the values, then the innovations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outside {
    pub(super) view: usize,
    pub(super) lower: f64,
    pub(super) upper: f64,
}

impl Envelope {
    /// `None` without on/off sensors.
    pub(super) fn fit(
        predictor: &Predictor,
        training: &Training,
        values: &DMatrix<f64>,
        innovations: &DMatrix<f64>,
        settings: &JointSettings,
        pause: Pause<'_>,
    ) -> Option<Envelope> {
        let (n, p) = values.shape();
        let switches = &predictor.switches;
        if switches.is_empty() {
            return None;
        }
        let middle: Vec<f64> = switches
            .iter()
            .map(|&s| (training.values.column(s).max() + training.values.column(s).min()) / 2.0)
            .collect();
        let size = switches.len() * TRANSITIONS * 2 * p;
        let (mut lower, mut upper) = (vec![f64::NEG_INFINITY; size], vec![f64::INFINITY; size]);
        for (k, (&switch, middle)) in switches.iter().zip(&middle).enumerate() {
            let on = |i: usize| usize::from(training.values[(i, switch)] > *middle);
            let cell_of = |i: usize| 2 * on(i.saturating_sub(1)) + on(i);
            for transition in 0..TRANSITIONS {
                let rows: Vec<usize> = (0..n).filter(|&i| cell_of(i) == transition).collect();
                if rows.len() < settings.cell_rows as usize {
                    continue;
                }
                let start = (k * TRANSITIONS + transition) * 2 * p;
                for view in 0..2 * p {
                    pause();
                    let seen = rows.iter().map(|&i| match view.checked_sub(p) {
                        None => values[(i, view)],
                        Some(j) => innovations[(i, j)].clamp(-STEP_LIMIT, STEP_LIMIT),
                    });
                    let (least, greatest) =
                        seen.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
                    (lower[start + view], upper[start + view]) = (least, greatest);
                }
            }
        }
        let accuracy = |j: usize| settings.accuracy * predictor.mean[j].abs() / predictor.deviation[j];
        let of_values = (0..p).map(|j| settings.margin + accuracy(j));
        let of_innovations =
            (0..p).map(|j| 3.0 * settings.margin + accuracy(j) / (predictor.step[j] * predictor.noise[j]));
        let inverse_margin = of_values.chain(of_innovations).map(|margin| 1.0 / margin).collect();
        let single = settings.single_precision;
        Some(Envelope {
            middle,
            lower: Numbers::new(lower, single),
            upper: Numbers::new(upper, single),
            inverse_margin,
        })
    }

    pub(super) fn new_states(&self) -> States {
        vec![f64::NAN; self.middle.len()]
    }

    /// The greatest excess of a sensor that has a value over its ranges, in margins, at most 5; not above 0 inside all of
    /// them. `views` are the values, then the limited innovations, NaN for a missing one. Explains it if it reaches `explain`.
    pub(super) fn excess(
        &self,
        predictor: &Predictor,
        states: &mut States,
        row: &[f64],
        views: &[f64],
        explain: f64,
    ) -> (f64, Option<Outside>) {
        let (mut greatest, mut outside) = (f64::NEG_INFINITY, None);
        for (k, (&switch, &middle)) in predictor.switches.iter().zip(&self.middle).enumerate() {
            let x = row[switch];
            let before = states[k];
            let now = if x.is_nan() { before } else { f64::from(u8::from(x > middle)) };
            if now.is_nan() {
                continue;
            }
            states[k] = now;
            let before = if before.is_nan() { now } else { before };
            let cell = k * TRANSITIONS + 2 * usize::from(before == 1.0) + usize::from(now == 1.0);
            let range = cell * views.len()..(cell + 1) * views.len();
            let excess = with_slice!(&self.lower, lower => with_slice!(&self.upper, upper => {
                greatest_excess(&lower[range.clone()], &upper[range.clone()], views, &self.inverse_margin)
            }));
            if excess > greatest {
                greatest = excess;
                if excess >= explain {
                    outside = with_slice!(&self.lower, lower => with_slice!(&self.upper, upper => {
                        furthest(&lower[range.clone()], &upper[range.clone()], views, &self.inverse_margin)
                    }));
                }
            }
        }
        (greatest.min(LIMIT), outside)
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &self.middle);
        self.lower.save(out);
        self.upper.save(out);
        put_f64s(out, &self.inverse_margin);
    }

    pub(super) fn restore(predictor: &Predictor, reader: &mut Reader<'_>) -> Result<Envelope, DecodeError> {
        let (p, switches) = (predictor.sensors(), predictor.switches.len());
        let size = switches * TRANSITIONS * 2 * p;
        let envelope = Envelope {
            middle: reader.f64s(switches)?,
            lower: Numbers::restore(size, reader)?,
            upper: Numbers::restore(size, reader)?,
            inverse_margin: reader.f64s(2 * p)?,
        };
        let sound = envelope.middle.iter().all(|m| m.is_finite())
            && envelope.inverse_margin.iter().all(|m| m.is_finite() && *m > 0.0);
        if sound { Ok(envelope) } else { Err(DecodeError::Invalid("a remembered range is out of range")) }
    }
}

#[inline(always)]
fn excess_of<L: Copy + Into<f64>, U: Copy + Into<f64>>(lower: L, upper: U, view: f64, inverse_margin: f64) -> f64 {
    let (above, below) = (view - upper.into(), lower.into() - view);
    (if above > below { above } else { below }) * inverse_margin
}

/// In lanes, because the order of comparisons of a single maximum would keep the compiler from doing several at once.
fn greatest_excess<L: Copy + Into<f64>, U: Copy + Into<f64>>(
    lower: &[L],
    upper: &[U],
    views: &[f64],
    inverse_margin: &[f64],
) -> f64 {
    let mut greatest = [f64::NEG_INFINITY; 4];
    let ((lower, lower_rest), (upper, upper_rest)) = (lower.as_chunks::<4>(), upper.as_chunks::<4>());
    let ((views, views_rest), (inverse, inverse_rest)) = (views.as_chunks::<4>(), inverse_margin.as_chunks::<4>());
    for ((lower, upper), (view, inverse)) in lower.iter().zip(upper).zip(views.iter().zip(inverse)) {
        for lane in 0..4 {
            let excess = excess_of(lower[lane], upper[lane], view[lane], inverse[lane]);
            greatest[lane] = if excess > greatest[lane] { excess } else { greatest[lane] };
        }
    }
    let bounds = lower_rest.iter().zip(upper_rest);
    let rest = bounds.zip(views_rest.iter().zip(inverse_rest));
    let rest = rest.map(|((&lower, &upper), (&view, &inverse))| excess_of(lower, upper, view, inverse));
    greatest.into_iter().chain(rest).fold(f64::NEG_INFINITY, f64::max)
}

fn furthest<L: Copy + Into<f64>, U: Copy + Into<f64>>(
    lower: &[L],
    upper: &[U],
    views: &[f64],
    inverse_margin: &[f64],
) -> Option<Outside> {
    let excess = |view: usize| excess_of(lower[view], upper[view], views[view], inverse_margin[view]);
    (0..views.len())
        .filter(|&view| !views[view].is_nan())
        .max_by(|&a, &b| excess(a).total_cmp(&excess(b)))
        .map(|view| Outside { view, lower: lower[view].into(), upper: upper[view].into() })
}
