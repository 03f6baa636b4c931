//! The command line: arguments in, a command done, its exit code out. Data goes to stdout, everything else to stderr.

mod backfill;
mod bars;
mod config;
mod ddl;
mod doctor;
mod history;
mod import;
mod init;
mod moment;
mod print;
mod reference;
mod restore;
mod run;
mod timeline;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};

use crate::clients::Clients;
use crate::config::{CDC_LOG_FORMAT, Config, ConfigSource, Environment, Overrides, RUST_LOG, SourceConfig};
use crate::error::{Error, Result};
use crate::telemetry::{self, LogFormat};

/// What is logged unless `RUST_LOG` says otherwise. What became of each table is in the summary already.
const LOG_FILTER: &str = "warn,cdc_to_s3::pipeline::table=off";

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 a table failed or differs; 2 wrong usage or configuration; 3 worth trying again
Logs go to stderr (RUST_LOG=info shows more), results to stdout. Variables may also stand in .env";

/// Change data capture for sources that have no change feed: snapshots in, full-load and CDC Parquet out.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the lake to the source's newest version, again and again or once
    Run(run::RunArguments),
    /// Replay the log and compare it with the full load, table by table
    Verify(verify::VerifyArguments),
    /// Look at everything that a run needs, and say what to do
    Doctor(doctor::DoctorArguments),
    /// Say what changed when, table by table; as a page with charts, too
    History(history::HistoryArguments),
    /// Read the dataset's old versions too, as if there had been runs all along
    Backfill(backfill::BackfillArguments),
    /// Write a table as it was at a time, as Parquet or CSV
    Restore(restore::RestoreArguments),
    /// Look at a dataset, and write a configuration for it
    Init(init::InitArguments),
    /// Take over from the original program: its newest published CSVs become the beginning of the log
    Import(import::ImportArguments),
    /// Print the statements that make the tables known to a query engine
    Ddl(ddl::DdlArguments),
    /// Print what a configuration can hold, for editors or for people
    Config(config::ConfigArguments),
}

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Common {
    /// A path, an s3:// URL or inline JSON [default: $CDC_CONFIG, else config.json]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// s3://bucket/prefix or a folder [default: $CDC_LAKE, else `aws` of the configuration]
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// Only this table; may be given several times
    #[arg(long = "table", value_name = "NAME")]
    tables: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A command's surroundings.
struct Shell {
    clients: Clients,
    runtime: tokio::runtime::Runtime,
}

/// Runs the command line of this process.
pub fn main(environment: Environment, home: Option<PathBuf>) -> ExitCode {
    let arguments = Arguments::parse();
    let environment = match with_dotenv(environment) {
        Ok(environment) => environment,
        Err(error) => return fail(&error),
    };
    let format = if environment.get(CDC_LOG_FORMAT) == Some("json") { LogFormat::Json } else { LogFormat::Text };
    telemetry::init(format, environment.get(RUST_LOG), LOG_FILTER);
    environment.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::internal("NoRuntime", "cannot start threads").caused_by(error)),
    };
    let shell = Shell { clients: Clients::new(environment, home), runtime };
    let done = match &arguments.command {
        Command::Run(arguments) => run::run(&shell, arguments),
        Command::Verify(arguments) => verify::run(&shell, arguments),
        Command::Doctor(arguments) => doctor::run(&shell, arguments),
        Command::Backfill(arguments) => backfill::run(&shell, arguments),
        Command::History(arguments) => history::run(&shell, arguments),
        Command::Restore(arguments) => restore::run(&shell, arguments),
        Command::Init(arguments) => init::run(&shell, arguments),
        Command::Import(arguments) => import::run(&shell, arguments),
        Command::Ddl(arguments) => ddl::run(&shell, arguments),
        Command::Config(arguments) => config::run(arguments),
    };
    // A thread that is still comparing must not hold up the end of an interrupted run.
    shell.runtime.shutdown_background();
    done.map_or_else(|error| fail(&error), ExitCode::from)
}

/// The variables of `.env` in the current folder lie below those of the environment.
fn with_dotenv(environment: Environment) -> Result<Environment> {
    match std::fs::read_to_string(".env") {
        Ok(text) => environment.with_dotenv(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(environment),
        Err(error) => Err(Error::config("InvalidDotenv", "cannot read .env in the current folder").caused_by(error)),
    }
}

fn fail(error: &Error) -> ExitCode {
    print::error(error);
    ExitCode::from(error.kind().exit_code())
}

/// Refuses what is for snapshots only.
fn require_snapshots(config: &Config, command: &str) -> Result<()> {
    match config.source {
        SourceConfig::Kaggle { .. } => Ok(()),
        SourceConfig::SqlServer(_) => {
            let message = format!("`{command}` is for datasets; the configuration names a SQL Server");
            Err(Error::config("NoSnapshot", message).hint("name another configuration with --config"))
        }
    }
}

impl Shell {
    /// How results are coloured.
    fn ink(&self) -> print::Ink {
        print::Ink::new(self.clients.environment())
    }

    /// The configuration that the arguments and the environment name.
    async fn config(&self, common: &Common) -> Result<Config> {
        let environment = self.clients.environment();
        let source = ConfigSource::choose(common.config.as_deref(), environment)?;
        let text = self.clients.config_text(&source).await?;
        let lake = common.lake.as_deref().map(str::parse).transpose()?;
        Config::from_json(&text, environment, &Overrides { lake })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is a shell: time enters here")]
fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}
