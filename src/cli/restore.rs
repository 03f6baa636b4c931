//! `restore`: a table as it was at a time.

use std::io::{BufWriter, stdout};
use std::path::{Path, PathBuf};

use super::{Common, Shell, moment, print, wall_clock};
use crate::config::SourceConfig;
use crate::error::{Error, Result};
use crate::ops::figures::grouped;
use crate::ops::restore::{self, Format, Output, Restored};
use crate::request::{Deadline, Request};

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArguments {
    #[command(flatten)]
    common: Common,
    /// A time (2026-03-31 is its end, 2026-03-31T09:00:00Z), or a run by the stamp in its objects' names
    #[arg(long, value_name = "TIME|RUN")]
    at: String,
    /// A new file, NAME.parquet or NAME.csv [default: CSV to standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Between the cells of CSV; \t is a tab [default: the table's `sep`]
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
}

pub(super) fn run(shell: &Shell, arguments: &RestoreArguments) -> Result<u8> {
    shell.runtime.block_on(async {
        let common = &arguments.common;
        let at = moment::at(&arguments.at)?;
        let output = output(arguments)?;
        let config = shell.config(common).await?;
        if matches!(config.source, SourceConfig::SqlServer(_)) {
            return Err(captured());
        }
        let now = wall_clock();
        let request =
            Request { tables: Some(common.tables.clone()), ..Request::new(now, "restore", now, Deadline::NONE) };
        let tables = request.select(&config.tables)?;
        let [spec] = tables[..] else { return Err(not_one_table()) };
        let store = shell.clients.store(&config).await;
        let restored = match restore::restore(store.as_ref(), spec, at, &std::env::temp_dir(), output).await {
            // A reader that has seen enough.
            Err(error) if error.code() == "OutputClosed" => return Ok(0),
            restored => restored?,
        };
        if common.json {
            print::json(&restored)?;
        } else {
            summary(&restored, arguments.output.as_deref());
        }
        Ok(0)
    })
}

fn output(arguments: &RestoreArguments) -> Result<Output> {
    let delimiter = arguments.delimiter.as_deref().map(delimiter).transpose()?;
    let Some(path) = arguments.output.clone() else {
        if arguments.common.json {
            return Err(Error::config("InvalidOutput", "standard output cannot take both the rows and `--json`")
                .hint("name a file with `--output`"));
        }
        return Ok(Output::Stream { to: Box::new(BufWriter::new(stdout())), delimiter });
    };
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let format = match extension.as_deref() {
        Some("parquet") => Format::Parquet,
        Some("csv") => Format::Csv { delimiter },
        _ => {
            return Err(Error::config("InvalidOutput", format!("`{}` is neither .parquet nor .csv", path.display()))
                .hint("the end of the name says what is written"));
        }
    };
    Ok(Output::File(path, format))
}

fn delimiter(text: &str) -> Result<u8> {
    match (text, text.as_bytes()) {
        ("\\t", _) => Ok(b'\t'),
        (_, &[byte]) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(byte),
        _ => Err(Error::config("InvalidOutput", "a delimiter is one ASCII character, but no quote and no line end")
            .hint("use `,`, `;` or `\\t`")),
    }
}

fn captured() -> Error {
    Error::config(
        "CapturedChanges",
        "tables of SQL Server are not restored from the lake: it holds their changes, no snapshots",
    )
    .hint("apply the log to the first load in the order of `_seq`, or restore the database's own backup")
}

fn not_one_table() -> Error {
    Error::config("InvalidOutput", "one table is restored at a time").hint("name it with `--table`, once")
}

/// What was done, for the person at the terminal: standard output may hold the rows.
fn summary(restored: &Restored, output: Option<&Path>) {
    let Restored { table, run_at, rows, proven, .. } = restored;
    let place = output.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let proof = if *proven { ", proven by its fingerprint" } else { "" };
    print::note(&format!("{table} as of the run of {run_at}: {} rows to {place}{proof}", grouped(*rows)));
    restored.warnings.iter().for_each(|warning| print::note(&format!("! {table}: {warning}")));
}
