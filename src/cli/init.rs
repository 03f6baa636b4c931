//! `init`: looks at a dataset once, shows what it found, and writes a configuration that `run` takes as it is.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::bars::Bars;
use super::{Shell, print};
use crate::config::{Config, ConfigText, Dataset, Limits, Overrides, kaggle_endpoint};
use crate::error::{Error, Result};
use crate::lake::store::LakeUrl;
use crate::ops::profile::{self, Draft, Origin, Survey};
use crate::pipeline::Progress;
use crate::request::Deadline;
use crate::source::archive::Archive;
use crate::workspace::Workspace;

/// Written to standard output.
const STANDARD_OUTPUT: &str = "-";

/// The owner in the name of a dataset that is only a folder or a zip.
const NO_OWNER: &str = "local";

#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// A dataset of Kaggle, owner/slug; or a folder or a zip of CSVs
    #[arg(value_name = "DATASET|PATH")]
    from: String,
    /// The file to write; `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "config.json")]
    output: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// Only this table; may be given several times
    #[arg(long = "table", value_name = "NAME")]
    tables: Vec<String>,
    /// The lake's bucket
    #[arg(long)]
    bucket: Option<String>,
    /// What the lake's keys start with
    #[arg(long, requires = "bucket")]
    prefix: Option<String>,
    /// The bucket's region
    #[arg(long, requires = "bucket")]
    region: Option<String>,
    /// The Kaggle dataset that a folder or a zip is of
    #[arg(long, value_name = "OWNER/SLUG")]
    dataset_name: Option<Dataset>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(shell: &Shell, arguments: &InitArguments) -> Result<u8> {
    let to_stdout = arguments.output == Path::new(STANDARD_OUTPUT);
    if !to_stdout && !arguments.force && arguments.output.exists() {
        return Err(is_there(&arguments.output));
    }
    let workspace = Workspace::create(&std::env::temp_dir())?;
    let bars = Bars::new();
    let archive = shell.runtime.block_on(fetch(shell, arguments, &workspace, &bars))?;
    let survey = profile::survey(&archive, &arguments.tables, &workspace, &bars);
    bars.clear();
    let survey = survey?;
    show(shell, arguments, &survey, to_stdout)?;
    let draft = Draft::new(&survey, &origin(arguments)?)?;
    check(shell, &draft, arguments.bucket.is_some())?;
    draft.choices.iter().for_each(|line| print::note(line));
    draft.without_key.iter().for_each(|line| print::note(&format!("left out: {line}")));
    if to_stdout {
        print::text(draft.text.trim_end())?;
        return Ok(0);
    }
    write(&arguments.output, &draft.text, arguments.force)?;
    print::note(&format!("\nwrote {}; the first run:\n  {}", arguments.output.display(), next(arguments)));
    Ok(0)
}

/// The dataset's files: those at hand, or the newest version of a dataset.
async fn fetch(
    shell: &Shell,
    arguments: &InitArguments,
    workspace: &Workspace,
    progress: &dyn Progress,
) -> Result<Archive> {
    if is_path(arguments) {
        return Archive::open(Path::new(&arguments.from), Limits::default());
    }
    let dataset: Dataset = arguments.from.parse().map_err(|_| neither(&arguments.from))?;
    let endpoint = kaggle_endpoint(shell.clients.environment())?;
    let source = shell.clients.dataset(&dataset, &endpoint, Limits::default()).await?;
    let position = source.position(Deadline::NONE).await?;
    let downloaded = |done, total| progress.download(done, total);
    source.snapshot(&position, workspace, Deadline::NONE, &downloaded).await
}

fn is_path(arguments: &InitArguments) -> bool {
    Path::new(&arguments.from).exists()
}

/// What the tables look like goes to stdout, unless the configuration does.
fn show(shell: &Shell, arguments: &InitArguments, survey: &Survey, to_stdout: bool) -> Result<()> {
    let shown = if arguments.json { print::to_json(survey)? } else { print::survey(survey, shell.ink()) };
    if to_stdout {
        print::note(&shown);
        return Ok(());
    }
    print::text(&shown)
}

fn origin(arguments: &InitArguments) -> Result<Origin> {
    let dataset = match &arguments.dataset_name {
        Some(dataset) => dataset.to_string(),
        None if is_path(arguments) => stand_in(Path::new(&arguments.from)),
        None => arguments.from.clone(),
    };
    Ok(Origin {
        dataset,
        bucket: arguments.bucket.clone(),
        prefix: arguments.prefix.clone(),
        region: arguments.region.clone(),
    })
}

/// A name for what has none: `local/` and the name of the folder or zip.
fn stand_in(path: &Path) -> String {
    let stem = path.canonicalize().ok().and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let slug: String = stem.unwrap_or_default().chars().map(plain).collect();
    format!("{NO_OWNER}/{}", if slug.is_empty() { "dataset" } else { &slug })
}

/// Reads the draft as `run` will. Without a bucket the lake is left to the command line.
fn check(shell: &Shell, draft: &Draft, names_the_lake: bool) -> Result<()> {
    let text = ConfigText { origin: "the configuration for this dataset".to_owned(), text: draft.text.clone() };
    let elsewhere = Overrides { lake: Some(LakeUrl::Dir(PathBuf::from("lake"))) };
    let lake = if names_the_lake { Overrides::default() } else { elsewhere };
    Config::from_json(&text, shell.clients.environment(), &lake).map(drop)
}

/// Creates the file, or replaces it where that is wanted.
fn write(path: &Path, text: &str, force: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(!force).create(force).truncate(force);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => is_there(path),
        _ => Error::config("ConfigUnwritable", format!("cannot write {}", path.display()))
            .caused_by(error)
            .hint("name another file with --output"),
    })
}

/// The command that runs what was written.
fn next(arguments: &InitArguments) -> String {
    let config = format!("cdc-to-s3 run --once --config {}", arguments.output.display());
    let lake = if arguments.bucket.is_some() { "" } else { " --lake ./lake" };
    let source = if is_path(arguments) { format!(" --skip-download {}", arguments.from) } else { String::new() };
    config + lake + &source
}

fn is_there(path: &Path) -> Error {
    Error::config("ConfigExists", format!("{} is there already", path.display()))
        .hint("name another file with --output, or replace it with --force")
}

fn neither(from: &str) -> Error {
    Error::config("DatasetNotFound", format!("`{from}` is neither a dataset's name nor a folder or file that is there"))
        .hint("write a dataset as in the address of its page, owner/slug")
}
