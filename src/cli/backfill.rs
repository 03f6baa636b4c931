//! `backfill`: the old versions of the dataset, as if there had been runs all along.

use super::bars::Bars;
use super::print::{self, Colour, Grid, Ink};
use super::run::{Signals, approval, interrupted};
use super::{Common, Shell, wall_clock};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ops::backfill::{self, Backfill, Outcome, Step, VersionReport};
use crate::ops::figures::{grouped, millis};
use crate::report::{TableReport, TableStatus};
use crate::request::{Approval, Deadline, Request};

#[derive(Debug, clap::Args)]
pub(super) struct BackfillArguments {
    #[command(flatten)]
    common: Common,
    /// The first version to read [default: the oldest]
    #[arg(long, value_name = "VERSION")]
    from: Option<u64>,
    /// The last version to read [default: the newest]
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    /// Say which versions would be read, and read none
    #[arg(long)]
    dry_run: bool,
    /// Let these tables (or all) lose more rows than `max_deleted_fraction`
    #[arg(long, value_name = "TABLE", num_args = 0..)]
    approve_deletes: Option<Vec<String>>,
}

/// What is printed as JSON.
#[derive(serde::Serialize)]
struct Summary<'a> {
    dataset: String,
    dry_run: bool,
    /// What was left to be read, for a dry run.
    planned: Vec<&'a Step>,
    /// What was read, oldest first.
    versions: &'a [VersionReport],
}

pub(super) fn run(shell: &Shell, arguments: &BackfillArguments) -> Result<u8> {
    shell.runtime.block_on(async {
        let config = shell.config(&arguments.common).await?;
        let mut signals = Signals::new()?;
        tokio::select! {
            code = Box::pin(versions(shell, arguments, &config)) => code,
            () = signals.end() => Err(interrupted()),
        }
    })
}

async fn versions(shell: &Shell, arguments: &BackfillArguments, config: &Config) -> Result<u8> {
    let range = arguments.from.unwrap_or(1)..=arguments.to.unwrap_or(u64::MAX);
    if range.is_empty() {
        return Err(Error::config("NoVersions", "`--from` is later than `--to`").hint("exchange the two"));
    }
    let (now, common) = (wall_clock(), &arguments.common);
    let approve_deletes = approval(arguments.approve_deletes.clone());
    let tables = Some(common.tables.clone()).filter(|tables| !tables.is_empty());
    let request = Request {
        tables,
        approve_deletes: approve_deletes.clone(),
        ..Request::new(now, "backfill", now, Deadline::NONE)
    };
    let wanted = request.select(&config.tables)?;
    let source = shell.clients.source(config).await?;
    let store = shell.clients.store(config).await;
    let mut backfill = Backfill::plan(&source, store.as_ref(), &config.tables, &wanted, range, now).await?;
    let done = if arguments.dry_run { Vec::new() } else { walk(&mut backfill, &approve_deletes).await? };
    let heading = format!("{} -> {}", source.name(), store.location());
    if common.json {
        let planned = backfill.steps().filter(|_| arguments.dry_run).collect();
        print::json(&Summary { dataset: source.name(), dry_run: arguments.dry_run, planned, versions: &done })?;
    } else if arguments.dry_run {
        print::stdout(&planned(&heading, &backfill))?;
    } else {
        print::stdout(&summary(&heading, &done, shell.ink()))?;
    }
    Ok(backfill::exit_code(&done))
}

/// Reads one version after the other, and says of each how it went.
async fn walk(backfill: &mut Backfill<'_>, approve_deletes: &Approval) -> Result<Vec<VersionReport>> {
    let (all, mut done) = (backfill.steps().len(), Vec::new());
    loop {
        let bars = Bars::new();
        let next = backfill.next(wall_clock(), approve_deletes, &std::env::temp_dir(), &bars).await;
        bars.clear();
        let Some(version) = next? else { return Ok(done) };
        let left = backfill.steps().len();
        print::note(&format!("[{}/{all}] {}", all - left, line(&version)));
        done.push(version);
    }
}

/// How a version went, in a line.
fn line(version: &VersionReport) -> String {
    let mut parts: Vec<String> = version.tables.iter().map(table).collect();
    parts.extend(version.absent.iter().map(|name| format!("{name} is not there yet")));
    if version.outcome == Outcome::Gone {
        parts.push("is gone from Kaggle".to_owned());
    }
    let VersionReport { version: number, run_at, elapsed_ms, .. } = version;
    format!("version {number} of {run_at}: {}  ({})", parts.join(", "), millis(*elapsed_ms))
}

fn table(report: &TableReport) -> String {
    let TableReport { name, inserted, updated, deleted, .. } = report;
    match (report.status, &report.error) {
        (TableStatus::Changed, _) => {
            format!("{name} +{} ~{} -{}", grouped(*inserted), grouped(*updated), grouped(*deleted))
        }
        (_, Some(error)) => format!("{name} FAILED ({})", error.code()),
        (status, None) => format!("{name} {}", status.name()),
    }
}

fn planned(heading: &str, backfill: &Backfill<'_>) -> String {
    if backfill.steps().len() == 0 {
        return format!("{heading}  nothing is left to be read");
    }
    let line = |version: &str, run: &str, tables: &str| format!("\n{version:<9}{run:<22}{tables}");
    let lines =
        backfill.steps().map(|step| line(&step.version.to_string(), &step.run_at.to_string(), &step.tables.join(", ")));
    let lines: String = lines.collect();
    format!("{heading}  DRY RUN, nothing was read\n{}{lines}", line("version", "run", "tables"))
}

fn summary(heading: &str, done: &[VersionReport], ink: Ink) -> String {
    if done.is_empty() {
        return format!("{heading}  nothing is left to be read");
    }
    let mut grid = Grid::new(&["version", "run", "changed", "inserted", "updated", "deleted", "silent", "time"]);
    let mut sum = [0; 4];
    for version in done {
        let counts = counts(version);
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        let changed = version.tables.iter().filter(|table| table.status == TableStatus::Changed).count();
        let first = [version.version.to_string(), version.run_at.to_string(), changed.to_string()];
        grid.row([first.to_vec(), counts.map(grouped).to_vec(), vec![millis(version.elapsed_ms)]].concat());
    }
    let elapsed = done.iter().map(|version| version.elapsed_ms).sum();
    let total = ["total".to_owned(), String::new(), String::new()];
    grid.total([total.to_vec(), sum.map(grouped).to_vec(), vec![millis(elapsed)]].concat());
    let mut text = format!("{heading}\n\n{}\n", grid.render(ink));
    for version in done {
        remarks(&mut text, version, ink);
    }
    text.trim_end().to_owned()
}

fn counts(version: &VersionReport) -> [u64; 4] {
    version.tables.iter().fold([0; 4], |[inserted, updated, deleted, silent], table| {
        [inserted + table.inserted, updated + table.updated, deleted + table.deleted, silent + table.silent_changes]
    })
}

/// One line for each thing that a person should know.
fn remarks(text: &mut String, version: &VersionReport, ink: Ink) {
    let number = version.version;
    if version.outcome == Outcome::Gone {
        print::remark(text, &ink.paint(Colour::Yellow, "!"), &format!("version {number} is gone from Kaggle"));
    }
    for name in &version.absent {
        let what = format!("{name}: version {number} does not have it, and its log has not begun");
        print::remark(text, &ink.paint(Colour::Yellow, "!"), &what);
    }
    for table in &version.tables {
        print::remarks(text, table, &format!("{} in version {number}", table.name), ink);
    }
}
