//! Points reduced to what a picture can show, and cut where readings are missing.

use super::Point;
use series::time::Micros;

/// Points to be joined by a line.
pub type Line<'a> = Vec<&'a Point>;

/// A line is not drawn across a pause of more than this many usual steps between readings.
const PAUSE: Micros = 6;

/// The longest pause that a line is drawn across: two columns of pixels at least, which is what thinning may leave.
pub fn pause(points: &[Point], from: Micros, to: Micros, columns: usize) -> Micros {
    let mut steps: Vec<Micros> = points.windows(2).map(|pair| pair[1].time.saturating_sub(pair[0].time)).collect();
    steps.sort_unstable();
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(0).max(1);
    usual.saturating_mul(PAUSE).max(to.saturating_sub(from) / columns as Micros * 2)
}

/// Of each column of pixels the first and last point, the extremes, and the highest score; in the order of time.
pub fn thin(points: &[Point], from: Micros, to: Micros, columns: usize) -> Vec<Point> {
    let mut kept = Vec::new();
    let span = i128::from(to) - i128::from(from);
    let column = |point: &Point| (i128::from(point.time) - i128::from(from)) * columns as i128 / span.max(1);
    for pixels in points.chunk_by(|a, b| column(a) == column(b)) {
        let last = pixels.len() - 1;
        // NaN is no extreme
        let rank = |number: f64| number.max(f64::NEG_INFINITY);
        let most =
            |of: fn(&Point) -> f64| (0..=last).max_by(|a, b| rank(of(&pixels[*a])).total_cmp(&rank(of(&pixels[*b]))));
        let mut chosen = vec![0, last];
        chosen.extend(most(|point| point.value));
        chosen.extend(most(|point| -point.value));
        chosen.extend(most(|point| point.score));
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|i| pixels[i]));
    }
    kept
}

/// The points that `shown` lets through, in parts between which there is a longer pause.
pub fn lines(points: &[Point], pause: Micros, shown: impl Fn(&Point) -> bool) -> Vec<Line<'_>> {
    let shown: Vec<&Point> = points.iter().filter(|point| shown(point)).collect();
    let joined = |a: &&Point, b: &&Point| b.time.saturating_sub(a.time) <= pause;
    shown.chunk_by(joined).map(<[&Point]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(time: Micros, value: f64) -> Point {
        Point { time, value, score: 0.0, expected: 0.0, lower: 0.0, upper: 0.0 }
    }

    #[test]
    fn the_extremes_of_a_column_stay() {
        let points: Vec<Point> = (0..1000).map(|i| point(i, if i == 503 { 99.0 } else { (i % 7) as f64 })).collect();
        let kept = thin(&points, 0, 1000, 10);
        assert!(kept.len() <= 50 && kept.contains(&points[503]));
        assert!(kept.is_sorted_by_key(|point| point.time));
        assert_eq!(thin(&points, 0, 1000, 5000), points);
    }

    #[test]
    fn a_line_ends_where_readings_pause() {
        let points: Vec<Point> = [0, 10, 20, 30, 200, 210].map(|time| point(time, 1.0)).to_vec();
        let lengths = |pause| lines(&points, pause, |_| true).iter().map(Vec::len).collect::<Vec<usize>>();
        assert_eq!(lengths(pause(&points, 0, 210, 100)), [4, 2]);
        assert_eq!(lengths(pause(&points, 0, 210, 2)), [6]);
        assert!(lines(&points, 1000, |_| false).is_empty());
    }

    #[test]
    fn a_missing_value_is_no_extreme() {
        let points = [point(0, 1.0), point(1, f64::NAN), point(2, 5.0), point(3, f64::NAN), point(4, 2.0)];
        assert!(thin(&points, 0, 5, 1).contains(&points[2]));
    }
}
