//! A picture of one series under watch, as SVG: values, expected values and band above, scores below, events in both.

mod axes;
mod thin;

use axes::{NumberAxis, TimeAxis};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use series::event::{Event, Severity};
use series::time::Micros;
use thin::Line;

const SIZE: (u32, u32) = (1200, 620);
const HEAD: i32 = 92;
const SCORES: i32 = 190;
const MARGIN: u32 = 12;
const LABELS: u32 = 76;
const LEFT: u32 = MARGIN + LABELS;
const RIGHT: u32 = 34;
/// Pixels between the left and the right end of the time axis.
const WIDTH: u32 = SIZE.0 - LEFT - RIGHT;
/// Higher scores are drawn here: an infinity scores a thousand, and the alarm line would vanish below it.
const HIGHEST_SCORE: f64 = 10.0;

const FONT: &str = "sans-serif";
const VALUE: RGBColor = RGBColor(0x1f, 0x4e, 0x8c);
const EXPECTED: RGBColor = RGBColor(0x2e, 0x8b, 0x57);
const BAND: RGBColor = RGBColor(0x7f, 0xb8, 0xe6);
const SCORE: RGBColor = RGBColor(0x55, 0x55, 0x55);
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);

/// One judged reading; an expected value or an end of the band that is not known is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub time: Micros,
    pub value: f64,
    pub score: f64,
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
}

/// What to draw. `points` are in the order of time; `from` is before `to`.
pub struct Chart<'a> {
    pub title: &'a str,
    pub caption: &'a str,
    /// Name of the vertical axis, in whose unit the values are.
    pub measure: &'a str,
    pub from: Micros,
    pub to: Micros,
    pub points: &'a [Point],
    pub events: &'a [Event],
}

/// What is left of the points, and the pause that ends a line.
struct Thinned {
    points: Vec<Point>,
    pause: Micros,
}

type DrawResult = Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Panel<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<TimeAxis, RangedCoordf64>>;

impl Chart<'_> {
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        self.draw(&mut svg).expect("a text takes whatever is drawn");
        svg
    }

    fn draw(&self, svg: &mut String) -> DrawResult {
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (head, body) = area.split_vertically(HEAD);
        let (values, scores) = body.split_vertically(SIZE.1 as i32 - HEAD - SCORES);
        let columns = WIDTH as usize;
        let pause = thin::pause(self.points, self.from, self.to, columns);
        let points = Thinned { points: thin::thin(self.points, self.from, self.to, columns), pause };
        self.draw_head(&head)?;
        self.draw_values(&values, &points)?;
        self.draw_scores(&scores, &points)?;
        area.present()
    }

    fn draw_head(&self, head: &Area) -> DrawResult {
        let left = LEFT as i32;
        head.draw(&Text::new(self.title, (left, 12), (FONT, 26).into_font().color(&INK)))?;
        head.draw(&Text::new(self.caption, (left, 42), (FONT, 16).into_font().color(&SCORE)))?;
        let event = |severity: Severity| colour(severity).mix(0.45);
        let samples = [
            ("value", 0, 1, VALUE.to_rgba()),
            ("expected", 90, 1, EXPECTED.to_rgba()),
            ("usual band", 205, 7, BAND.mix(0.35)),
            ("info event", 335, 7, event(Severity::Info)),
            ("warning event", 460, 7, event(Severity::Warning)),
            ("critical event", 610, 7, event(Severity::Critical)),
        ];
        for (name, x, half, colour) in samples {
            let x = left + x;
            head.draw(&Rectangle::new([(x, 74 - half), (x + 22, 74 + half)], colour.filled()))?;
            head.draw(&Text::new(name, (x + 30, 67), (FONT, 17).into_font().color(&INK)))?;
        }
        Ok(())
    }

    fn draw_values(&self, area: &Area, thinned: &Thinned) -> DrawResult {
        let axis = NumberAxis::around(&thinned.points);
        let mut panel = self.panel(area, &axis, self.measure, 10)?;
        for line in
            thin::lines(&thinned.points, thinned.pause, |point| point.lower.is_finite() && point.upper.is_finite())
        {
            let upper = line.iter().map(|point| (point.time, axis.clamp(point.upper)));
            let lower = line.iter().rev().map(|point| (point.time, axis.clamp(point.lower)));
            let outline: Vec<_> = upper.chain(lower).collect();
            panel.plotting_area().draw(&Polygon::new(outline, BAND.mix(0.35).filled()))?;
        }
        self.draw_events(&mut panel, &axis)?;
        draw_lines(&mut panel, &axis, thinned, |point| point.expected, EXPECTED)?;
        draw_lines(&mut panel, &axis, thinned, |point| point.value, VALUE)?;
        for event in self.events.iter().filter(|event| axis.holds(event.peak.value) && self.shows(event.peak.time)) {
            let at = (event.peak.time, event.peak.value);
            panel.draw_series([Circle::new(at, 5, colour(event.severity).stroke_width(2))])?;
        }
        Ok(())
    }

    fn draw_scores(&self, area: &Area, thinned: &Thinned) -> DrawResult {
        let axis = NumberAxis::of_scores(&thinned.points, HIGHEST_SCORE);
        let mut panel = self.panel(area, &axis, "score (1: alarm line)", 4)?;
        self.draw_events(&mut panel, &axis)?;
        draw_lines(&mut panel, &axis, thinned, |point| point.score, SCORE)?;
        let alarm_line = [(self.from, 1.0), (self.to, 1.0)];
        panel.draw_series(DashedLineSeries::new(alarm_line, 6, 4, colour(Severity::Critical).into()))?;
        Ok(())
    }

    /// An empty panel with its axes.
    fn panel<'a, 'b>(
        &self,
        area: &'a Area<'b>,
        axis: &NumberAxis,
        name: &str,
        labels: usize,
    ) -> Result<Panel<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
        let time = TimeAxis::new(self.from, self.to);
        let mut panel = ChartBuilder::on(area)
            .margin_left(MARGIN)
            .margin_right(RIGHT)
            .margin_top(8)
            .y_label_area_size(LABELS)
            .x_label_area_size(48)
            .build_cartesian_2d(time, axis.range())?;
        panel
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.12))
            .axis_style(INK.mix(0.6))
            .label_style((FONT, 15).into_font().color(&INK))
            .axis_desc_style((FONT, 17).into_font().color(&INK))
            .x_desc("time (UTC)")
            .y_desc(name)
            .y_labels(labels)
            .y_label_formatter(&|number| axis.label(*number))
            .draw()?;
        Ok(panel)
    }

    /// Where an event lasted, as wide as two pixels at least.
    fn draw_events(&self, panel: &mut Panel, axis: &NumberAxis) -> DrawResult {
        let least = self.to.saturating_sub(self.from) / i64::from(WIDTH / 2);
        let range = axis.range();
        for event in self.events.iter().filter(|event| event.last >= self.from && event.start <= self.to) {
            let (start, end) =
                (event.start.max(self.from), event.last.max(event.start.saturating_add(least)).min(self.to));
            let corners = [(start, range.start), (end, range.end)];
            panel.draw_series([Rectangle::new(corners, colour(event.severity).mix(0.3).filled())])?;
        }
        Ok(())
    }

    fn shows(&self, time: Micros) -> bool {
        (self.from..=self.to).contains(&time)
    }
}

fn draw_lines(
    panel: &mut Panel,
    axis: &NumberAxis,
    thinned: &Thinned,
    of: impl Fn(&Point) -> f64,
    colour: RGBColor,
) -> DrawResult {
    let line = |line: Line| {
        let points: Vec<_> = line.iter().map(|point| (point.time, axis.clamp(of(point)))).collect();
        LineSeries::new(points, colour)
    };
    for part in thin::lines(&thinned.points, thinned.pause, |point| of(point).is_finite()) {
        panel.draw_series(line(part))?;
    }
    Ok(())
}

fn colour(severity: Severity) -> RGBColor {
    match severity {
        Severity::Info => RGBColor(0xf2, 0xc1, 0x4e),
        Severity::Warning => RGBColor(0xf0, 0x8a, 0x24),
        Severity::Critical => RGBColor(0xc6, 0x28, 0x28),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[Point], title: &str) -> String {
        let (from, to) = (points[0].time, points[points.len() - 1].time + 1);
        Chart { title, caption: "", measure: "flow", from, to, points, events: &[] }.svg()
    }

    fn point(time: Micros, value: f64) -> Point {
        Point { time, value, score: 0.0, expected: f64::NAN, lower: f64::NAN, upper: f64::NAN }
    }

    #[test]
    fn a_name_cannot_end_an_element_of_the_picture() {
        let svg = chart(&[point(0, 1.0), point(1_000_000, 2.0)], "<script>&\"");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("&lt;script&gt;&amp;&quot;") && !svg.contains("<script"));
    }

    #[test]
    fn any_numbers_can_be_drawn() {
        for values in [[0.0, 0.0], [f64::INFINITY, 1.0], [f64::MAX, f64::MIN], [f64::NAN, f64::NAN], [1e-300, 2e-300]] {
            let points = [point(0, values[0]), point(3_600_000_000, values[1])];
            assert!(chart(&points, "any").contains("</svg>"), "{values:?}");
        }
        assert!(chart(&[point(i64::MIN / 2, 1.0), point(i64::MAX / 2, 2.0)], "long").contains("</svg>"));
    }

    #[test]
    fn a_million_readings_make_a_picture_of_a_few_hundred_kilobytes() {
        let points: Vec<Point> = (0..1_000_000).map(|i| point(i * 1_000_000, (i % 977) as f64)).collect();
        assert!(chart(&points, "long").len() < 400_000);
    }
}
