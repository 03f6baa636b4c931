//! The small charts of a table: its rows, the size of its log, the time of its runs; and the line in the overview.

use std::fmt::Write as _;

use super::changes::{LABEL_GAP, said, step};
use super::text::escape;
use super::time_axis::{TimeAxis, label_at};
use crate::ops::figures::{bytes, millis, short};
use crate::ops::history::Tally;

const WIDTH: f64 = 350.0;
const HEIGHT: f64 = 128.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 20.0;

/// A label on the time axis needs so much room.
const TICK: f64 = 74.0;

/// Rules across a chart, at most.
const RULES: u64 = 3;

/// The size of the chart in the overview.
const SPARK: (f64, f64) = (220.0, 26.0);

/// The three charts.
pub(super) fn charts(tallies: &[Tally], axis: &TimeAxis) -> String {
    let rows = tallies.iter().map(|tally| (tally, tally.rows));
    let sizes = tallies.iter().map(|tally| (tally, Some(tally.counts.bytes).filter(|bytes| *bytes > 0)));
    let times = tallies.iter().map(|tally| (tally, tally.longest_ms));
    let whole = Measure::new("Rows", short, rows.collect(), axis, true).line();
    let size = Measure::new("Size of the log's objects", bytes, sizes.collect(), axis, false).bars();
    let time = Measure::new("Longest run", millis, times.collect(), axis, false).bars();
    whole + &size + &time
}

/// The events of a table over the time, without any scale.
pub(super) fn spark(tallies: &[Tally], axis: &TimeAxis) -> String {
    let greatest = tallies.iter().map(|tally| tally.counts.events()).max().unwrap_or(0).max(1) as f64;
    let slot = SPARK.0 / axis.slots() as f64;
    let mut svg = format!(
        "<svg class=spark viewBox=\"0 0 {} {}\" aria-hidden=true><path class=zero d=\"M0 {1}H{0}\"/>",
        SPARK.0, SPARK.1
    );
    for tally in tallies.iter().filter(|tally| tally.counts.events() > 0) {
        let height = (tally.counts.events() as f64 / greatest * SPARK.1).max(1.5);
        let x = axis.slot(tally.start) as f64 * slot;
        let width = (slot * 0.8).clamp(1.0, 8.0);
        let _ = write!(svg, "<rect x={x:.1} y={:.1} width={width:.1} height={height:.1} />", SPARK.1 - height);
    }
    svg + "</svg>"
}

/// One chart of one number over the time.
struct Measure<'a> {
    title: &'static str,
    written: fn(u64) -> String,
    values: Vec<(&'a Tally, u64)>,
    axis: &'a TimeAxis,
    /// The lowest and the highest value of the scale, and the distance of its rules.
    scale: (u64, u64, u64),
}

impl<'a> Measure<'a> {
    /// A `floating` scale begins near the smallest value, others at 0.
    fn new(
        title: &'static str,
        written: fn(u64) -> String,
        values: Vec<(&'a Tally, Option<u64>)>,
        axis: &'a TimeAxis,
        floating: bool,
    ) -> Self {
        let values: Vec<_> = values.into_iter().filter_map(|(tally, value)| Some((tally, value?))).collect();
        let all = || values.iter().map(|(_, value)| *value);
        let (least, greatest) = (all().min().filter(|_| floating).unwrap_or(0), all().max().unwrap_or(0));
        let step = step(greatest - least, RULES - 1);
        let low = least / step * step;
        let high = (greatest.div_ceil(step) * step).max(low + step);
        Self { title, written, values, axis, scale: (low, high, step) }
    }

    fn line(self) -> String {
        let mut path = String::new();
        for (index, (tally, value)) in self.values.iter().enumerate() {
            let (x, y) = (self.x(tally), self.y(*value));
            let _ = if index == 0 { write!(path, "M{x:.1} {y:.1}") } else { write!(path, "H{x:.1}V{y:.1}") };
        }
        let _ = write!(path, "H{:.1}", WIDTH - RIGHT);
        let dots = if self.values.len() > 40 { String::new() } else { self.dots() };
        self.framed(&format!("<path class=line d=\"{path}\"/>{dots}"))
    }

    fn dots(&self) -> String {
        let dot = |(tally, value): &(&Tally, u64)| {
            format!("<circle class=dot cx={:.1} cy={:.1} r=2.2 />", self.x(tally), self.y(*value))
        };
        self.values.iter().map(dot).collect()
    }

    fn bars(self) -> String {
        let width = (self.slot_width() * 0.78).clamp(1.0, 14.0);
        let bar = |(tally, value): &(&Tally, u64)| {
            let y = self.y(*value).min(HEIGHT - BOTTOM - 1.0);
            format!(
                "<rect class=bar x={:.1} y={y:.1} width={width:.1} height={:.1} />",
                self.x(tally) - width / 2.0,
                HEIGHT - BOTTOM - y
            )
        };
        let bars: String = self.values.iter().map(bar).collect();
        self.framed(&bars)
    }

    /// The chart with its rules and labels, around what is drawn.
    fn framed(&self, drawn: &str) -> String {
        let mut svg = format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{}\">",
            self.title, self.title
        );
        let (low, high, step) = self.scale;
        let mut value = low;
        while value <= high {
            let (y, class) = (self.y(value), if value == low { "zero" } else { "rule" });
            let _ = write!(
                svg,
                "<path class={class} d=\"M{LEFT} {y:.1}H{:.1}\"/><text class=y x={:.1} y={:.1}>{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                (self.written)(value)
            );
            value += step;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        for (slot, label) in self.axis.ticks((TICK / self.slot_width()).ceil() as usize) {
            let x = label_at(LEFT + (slot as f64 + 0.5) * self.slot_width(), &label, LEFT - LABEL_GAP, WIDTH);
            let _ = write!(svg, "<text class=x x={x:.1} y={:.1}>{label}</text>", HEIGHT - 5.0);
        }
        svg.push_str(drawn);
        for (tally, _) in &self.values {
            let _ = write!(
                svg,
                "<g class=slot><title>{}</title><rect class=hit x={:.2} y={TOP} width={:.2} height={:.1} /></g>",
                escape(&said(tally, self.axis)),
                self.x(tally) - self.slot_width() / 2.0,
                self.slot_width(),
                HEIGHT - TOP - BOTTOM
            );
        }
        svg + "</svg></figure>"
    }

    fn slot_width(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.axis.slots() as f64
    }

    fn x(&self, tally: &Tally) -> f64 {
        LEFT + (self.axis.slot(tally.start) as f64 + 0.5) * self.slot_width()
    }

    fn y(&self, value: u64) -> f64 {
        let (low, high, _) = self.scale;
        let share = value.saturating_sub(low) as f64 / (high - low) as f64;
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}
