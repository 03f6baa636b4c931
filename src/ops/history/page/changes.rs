//! The chart of a table's changes: what came above the line, what went below it.

use std::fmt::Write as _;

use super::text::{escape, plural};
use super::time_axis::{TimeAxis, label_at};
use crate::ops::figures::{bytes, grouped, millis, short};
use crate::ops::history::Tally;

const WIDTH: f64 = 1080.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 8.0;
/// Room for the numbers of the changes of columns.
const TOP: f64 = 26.0;
const BOTTOM: f64 = 24.0;

/// The widest bar, and the share of a slot that a bar fills at most.
const BAR: (f64, f64) = (26.0, 0.78);

/// What is there is seen, however little it is.
const LEAST_HEIGHT: f64 = 1.5;

/// Room that the numbers of changes of columns need.
const FLAG: f64 = 50.0;

/// A label on the time axis needs so much room.
const TICK: f64 = 62.0;

/// Labels of the time axis may begin so far left of it, where those of the rows have ended.
pub(super) const LABEL_GAP: f64 = 4.0;

/// The chart, with its legend.
pub(super) fn chart(tallies: &[Tally], axis: &TimeAxis, table: &str) -> String {
    let chart = Chart::new(tallies, axis);
    let silent = tallies.iter().any(|tally| tally.counts.silent_changes > 0);
    let silent = if silent { "<span class=silent>silent changes</span>" } else { "" };
    let mut svg = format!(
        "<figure><figcaption class=legend><span class=inserted>inserted</span><span class=updated>updated</span>\
         <span class=deleted>deleted</span>{silent}</figcaption>\
         <div class=scroll><svg class=changes viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"Changes of {}\">",
        escape(table)
    );
    chart.grid(&mut svg);
    chart.flags(&mut svg, tallies);
    tallies.iter().for_each(|tally| chart.slot(&mut svg, tally));
    chart.first_load(&mut svg, tallies);
    svg + "</svg></div></figure>"
}

struct Chart<'a> {
    axis: &'a TimeAxis,
    step: u64,
    above: u64,
    below: u64,
}

impl<'a> Chart<'a> {
    fn new(tallies: &[Tally], axis: &'a TimeAxis) -> Self {
        let came = tallies.iter().map(|tally| tally.counts.inserted + tally.counts.updated).max().unwrap_or(0);
        let went = tallies.iter().map(|tally| tally.counts.deleted).max().unwrap_or(0);
        let step = step(came + went, 5);
        let above = came.div_ceil(step).max(1);
        Self { axis, step, above, below: went.div_ceil(step) }
    }

    fn slot_width(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.axis.slots() as f64
    }

    fn centre(&self, tally: &Tally) -> f64 {
        LEFT + (self.axis.slot(tally.start) as f64 + 0.5) * self.slot_width()
    }

    /// The height of so many rows.
    fn height(&self, rows: u64) -> f64 {
        let steps = (self.above + self.below) as f64;
        rows as f64 / self.step as f64 * (HEIGHT - TOP - BOTTOM) / steps
    }

    /// Where the line is that divides what came from what went.
    fn zero(&self) -> f64 {
        TOP + self.height(self.above * self.step)
    }

    fn grid(&self, svg: &mut String) {
        let right = WIDTH - RIGHT;
        let mut line = |y: f64, label: u64| {
            let class = if label == 0 { "zero" } else { "rule" };
            let _ = write!(
                svg,
                "<path class={class} d=\"M{LEFT} {y:.1}H{right}\"/><text class=y x={:.1} y={:.1}>{}</text>",
                LEFT - 8.0,
                y + 4.0,
                short(label)
            );
        };
        (1..=self.above).for_each(|n| line(self.zero() - self.height(n * self.step), n * self.step));
        (1..=self.below).for_each(|n| line(self.zero() + self.height(n * self.step), n * self.step));
        line(self.zero(), 0);
        let apart = (TICK / self.slot_width()).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        for (slot, label) in self.axis.ticks(apart as usize) {
            let x = label_at(LEFT + (slot as f64 + 0.5) * self.slot_width(), &label, LEFT - LABEL_GAP, WIDTH);
            let _ = write!(svg, "<text class=x x={x:.1} y={:.1}>{label}</text>", HEIGHT - 6.0);
        }
    }

    /// The bars of a period, and what they say when they are pointed at.
    fn slot(&self, svg: &mut String, tally: &Tally) {
        let width = (self.slot_width() * BAR.1).min(BAR.0);
        let (x, zero) = (self.centre(tally) - width / 2.0, self.zero());
        let counts = &tally.counts;
        let _ = write!(svg, "<g class=slot tabindex=0><title>{}</title>", escape(&said(tally, self.axis)));
        let _ = write!(
            svg,
            "<rect class=hit x={:.2} y={TOP} width={:.2} height={:.1} />",
            self.centre(tally) - self.slot_width() / 2.0,
            self.slot_width(),
            HEIGHT - TOP - BOTTOM
        );
        let mut bar = |class: &str, rows: u64, from: f64, upwards: bool| -> f64 {
            if rows == 0 {
                return from;
            }
            let height = self.height(rows).max(LEAST_HEIGHT);
            let y = if upwards { from - height } else { from };
            let _ = write!(svg, "<rect class={class} x={x:.2} y={y:.2} width={width:.2} height={height:.2} rx=1.5 />");
            if upwards { y - 1.0 } else { y + height }
        };
        let top = bar("inserted", counts.inserted, zero - 0.5, true);
        let top = bar("updated", counts.updated, top, true);
        bar("deleted", counts.deleted, zero + 0.5, false);
        if counts.silent_changes > 0 {
            let _ = write!(svg, "<circle class=silent cx={:.1} cy={:.1} r=3 />", self.centre(tally), top - 5.0);
        }
        svg.push_str("</g>");
    }

    /// The numbers of the changes of columns; those that would touch share one place.
    fn flags(&self, svg: &mut String, tallies: &[Tally]) {
        let mut groups: Vec<(f64, usize, usize)> = Vec::new();
        let mut number = 0;
        for tally in tallies.iter().filter(|tally| !tally.schema_changes.is_empty()) {
            let (x, first) = (self.centre(tally), number + 1);
            number += tally.schema_changes.len();
            let _ = write!(svg, "<path class=flag d=\"M{x:.1} {TOP}V{:.1}\"/>", HEIGHT - BOTTOM);
            match groups.last_mut() {
                Some((start, _, last)) if x - *start < FLAG => *last = number,
                _ => groups.push((x, first, number)),
            }
        }
        for (x, first, last) in groups {
            let label = if first == last { first.to_string() } else { format!("{first}–{last}") };
            let width = (9.0 + 6.4 * label.chars().count() as f64).max(18.0);
            let x = x.min(WIDTH - RIGHT - width / 2.0);
            let _ = write!(
                svg,
                "<rect class=flag x={:.1} y=4 width={width:.1} height=17 rx=8.5 /><text class=flag x={x:.1} y=16.5>{label}</text>",
                x - width / 2.0
            );
        }
    }

    /// A first load is named, not drawn: beside it nothing else would be seen.
    fn first_load(&self, svg: &mut String, tallies: &[Tally]) {
        let Some((tally, rows)) = tallies.iter().find_map(|tally| Some((tally, tally.first_load?))) else { return };
        let x = self.centre(tally);
        let (dx, anchor) = if x < WIDTH / 2.0 { (7.0, "start") } else { (-7.0, "end") };
        let _ = write!(
            svg,
            "<path class=first d=\"M{x:.1} {TOP}V{:.1}\"/><text class=first x={:.1} y={:.1} text-anchor={anchor}>first load: {}</text>",
            self.zero(),
            x + dx,
            TOP + 11.0,
            plural(rows, "row")
        );
    }
}

/// A period in words, one fact a line.
pub(super) fn said(tally: &Tally, axis: &TimeAxis) -> String {
    let counts = &tally.counts;
    let mut lines = vec![axis.label(tally.start)];
    lines.extend(tally.first_load.map(|rows| format!("first load: {}", plural(rows, "row"))));
    let counted = [
        (counts.inserted, "inserted"),
        (counts.updated, "updated"),
        (counts.deleted, "deleted"),
        (counts.silent_changes, "changed silently"),
    ];
    let counted = counted.into_iter().filter(|(count, _)| *count > 0);
    lines.extend(counted.map(|(count, what)| format!("{} {what}", grouped(count))));
    lines.extend(tally.rows.map(|rows| format!("{} afterwards", plural(rows, "row"))));
    let longest = tally.longest_ms.map(|elapsed| format!(", longest {}", millis(elapsed))).unwrap_or_default();
    lines.push(format!("{}, {}{longest}", plural(tally.runs, "run"), bytes(counts.bytes)));
    lines.extend(tally.schema_changes.iter().map(|text| text.replace('`', "")));
    lines.join("\n")
}

/// The smallest of 1, 2, 5, 10, 20, 50, … of which at most `most` reach `greatest`.
pub(super) fn step(greatest: u64, most: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [1, 2, 5].map(|digit| power.saturating_mul(digit)) {
            if greatest.div_ceil(step) <= most {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_at_round_numbers_and_few() {
        assert_eq!([0, 1, 5, 6, 37, 1000, 4_000_001].map(|max| step(max, 5)), [1, 1, 1, 2, 10, 200, 1_000_000]);
        assert!(u64::MAX.div_ceil(step(u64::MAX, 5)) <= 5);
    }
}
