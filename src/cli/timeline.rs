//! The history in a terminal: a line for each run, or for each period, with bars.

use std::fmt::Write as _;
use std::io::IsTerminal;

use super::Shell;
use super::print::{self, Colour, Grid, Ink};
use crate::error::Result;
use crate::ops::figures::{bytes, grouped, millis};
use crate::ops::history::{Counts, History, Period, TableHistory, Tally, tallies};

/// More lines than this for one table, and they are added up.
const MOST_LINES: usize = 40;

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 120;

/// The shortest bars worth drawing, and the longest.
const BARS: (usize, usize) = (8, 60);

/// What bars are made of: inserted, updated and deleted rows.
const GLYPHS: [(char, Colour); 3] = [('█', Colour::Blue), ('▓', Colour::Yellow), ('░', Colour::Red)];

/// Prints the history; `by` is the period of a line, a run if that is none.
pub(super) fn print(history: &History, lake: &str, by: Option<Option<Period>>, shell: &Shell) -> Result<()> {
    let period = by.unwrap_or_else(|| fitting(history));
    let width = width(shell);
    print::stdout(summary(history, lake, period, width, shell.ink()).trim_end())
}

fn summary(history: &History, lake: &str, period: Option<Period>, width: usize, ink: Ink) -> String {
    let legend: Vec<String> = GLYPHS
        .iter()
        .zip(["inserted", "updated", "deleted"])
        .map(|((glyph, colour), what)| format!("{} {what}", ink.paint(*colour, &glyph.to_string())))
        .collect();
    let each = period.map_or("run", Period::name);
    let mut text = format!("{lake}: what changed, by {each}   {}\n", legend.join("  "));
    for table in &history.tables {
        let _ = write!(text, "\n{}", table_summary(table, period, width, ink));
    }
    for warning in &history.warnings {
        let _ = writeln!(text, "{} {warning}", ink.paint(Colour::Yellow, "!"));
    }
    text
}

fn table_summary(table: &TableHistory, period: Option<Period>, width: usize, ink: Ink) -> String {
    let mut text = format!("{}{}\n", table.name, facts(table));
    let lines = match period {
        Some(period) => tallies(&table.changes, period),
        None => table.changes.iter().map(Tally::of).collect(),
    };
    if let Some(error) = &table.error {
        let _ = writeln!(text, "{} {} ({})", ink.paint(Colour::Red, "x"), error.chain(), error.code());
    } else if lines.is_empty() {
        text.push_str("nothing changed in this time\n");
    } else {
        text.push_str(&with_bars(&lines, period, table, width, ink));
    }
    for tally in lines.iter().filter(|tally| !tally.schema_changes.is_empty()) {
        let changes = tally.schema_changes.join(", ");
        let _ = writeln!(text, "{} {}: {changes}", ink.paint(Colour::Yellow, "~"), label(tally, period));
    }
    text
}

fn facts(table: &TableHistory) -> String {
    let full_load = table.full_load.as_ref();
    let now = full_load.map(|full_load| format!("  {} rows now, {}", grouped(full_load.rows), bytes(full_load.bytes)));
    let tombstones = Some(table.tombstones).filter(|count| *count > 0).map(|count| format!(", {count} tombstone(s)"));
    now.unwrap_or_default() + &tombstones.unwrap_or_default()
}

/// The grid, with a bar at the end of each line that has room for one.
fn with_bars(lines: &[Tally], period: Option<Period>, table: &TableHistory, width: usize, ink: Ink) -> String {
    let grid = grid(lines, period, &table.total).render(Ink::NONE);
    let taken = grid.lines().map(|line| line.chars().count()).max().unwrap_or(0) + 2;
    let room = width.saturating_sub(taken).min(BARS.1);
    let most = lines.iter().map(|tally| tally.counts.events()).max().unwrap_or(0);
    let mut text = String::new();
    for (number, line) in grid.lines().enumerate() {
        // Above the lines are the header and its rule.
        let bar = number.checked_sub(2).and_then(|number| lines.get(number)).filter(|_| room >= BARS.0);
        let bar = bar.map(|tally| bar_of(tally, most, room, ink)).filter(|bar| !bar.is_empty());
        let _ = match bar {
            Some(bar) => writeln!(text, "{line}{}{bar}", " ".repeat(taken - line.chars().count())),
            None => writeln!(text, "{line}"),
        };
    }
    text
}

fn grid(lines: &[Tally], period: Option<Period>, total: &Counts) -> Grid {
    let (first, second) = if period.is_some() { ("period", "runs") } else { ("run", "columns") };
    let mut grid = Grid::new(&[first, second, "rows", "inserted", "updated", "deleted", "silent", "size", "time"]);
    let numbers =
        |counts: &Counts| [counts.inserted, counts.updated, counts.deleted, counts.silent_changes].map(grouped);
    for tally in lines {
        let second = match period {
            Some(_) => grouped(tally.runs),
            None if tally.schema_changes.is_empty() => String::new(),
            None => "changed".to_owned(),
        };
        let rows = tally.rows.map_or_else(|| "-".to_owned(), grouped);
        let mut cells = vec![label(tally, period), second, rows];
        cells.extend(numbers(&tally.counts));
        if let Some(rows) = tally.first_load {
            cells[3] = format!("first load {}", grouped(rows));
        }
        let size = if tally.counts.bytes > 0 { bytes(tally.counts.bytes) } else { "-".to_owned() };
        cells.extend([size, tally.longest_ms.map_or_else(|| "-".to_owned(), millis)]);
        grid.row(cells);
    }
    if lines.len() > 1 {
        let mut cells = vec!["total".to_owned(), String::new(), String::new()];
        cells.extend(numbers(total));
        let size = lines.iter().map(|tally| tally.counts.bytes).sum();
        cells.extend([bytes(size), String::new()]);
        grid.total(cells);
    }
    grid
}

/// The bar of a line: what is there is seen, and all lines of a table have one scale.
fn bar_of(tally: &Tally, most: u64, room: usize, ink: Ink) -> String {
    let Counts { inserted, updated, deleted, .. } = tally.counts;
    let length = |rows: u64| -> usize {
        let share = u128::from(rows) * room as u128 / u128::from(most.max(1));
        usize::try_from(share).unwrap_or(room).max(usize::from(rows > 0))
    };
    let parts = [inserted, updated, deleted].into_iter().zip(GLYPHS).filter(|(rows, _)| *rows > 0);
    parts.map(|(rows, (glyph, colour))| ink.paint(colour, &glyph.to_string().repeat(length(rows)))).collect()
}

fn label(tally: &Tally, period: Option<Period>) -> String {
    let format = match period {
        None => "%Y-%m-%d %H:%M:%S",
        Some(Period::Minute | Period::Hour) => "%Y-%m-%d %H:%M",
        Some(Period::Day | Period::Week) => "%Y-%m-%d",
        Some(Period::Month) => "%Y-%m",
        Some(Period::Year) => "%Y",
    };
    tally.start.format(format).to_string()
}

/// The shortest period by which no table has too many lines; none where its runs are few.
fn fitting(history: &History) -> Option<Period> {
    let few = |lines: &dyn Fn(&TableHistory) -> usize| history.tables.iter().all(|table| lines(table) <= MOST_LINES);
    if few(&|table| table.changes.len()) {
        return None;
    }
    let periods = [Period::Hour, Period::Day, Period::Week, Period::Month];
    let fits = |period: &Period| few(&|table| tallies(&table.changes, *period).len());
    Some(periods.into_iter().find(fits).unwrap_or(Period::Year))
}

/// How many columns there are to write in.
fn width(shell: &Shell) -> usize {
    let told = shell.clients.environment().get("COLUMNS").and_then(|columns| columns.parse().ok());
    let stdout = std::io::stdout();
    let terminal = || {
        let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|_| stdout.is_terminal())?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    told.or_else(terminal).unwrap_or(COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(inserted: u64, updated: u64, deleted: u64) -> Tally {
        Tally { counts: Counts { inserted, updated, deleted, ..Counts::default() }, ..Tally::default() }
    }

    #[test]
    fn bars_have_one_scale_and_no_change_is_invisible() {
        let bar = |tally: Tally| bar_of(&tally, 1000, 10, Ink::NONE);
        assert_eq!(bar(tally(1000, 0, 0)), "██████████");
        assert_eq!(bar(tally(500, 200, 1)), "█████▓▓░");
        assert_eq!(bar(tally(0, 0, 0)), "");
    }
}
