//! `config`: what a configuration can hold, for editors or for people.

use super::{print, reference};
use crate::config;
use crate::error::Result;

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct ConfigArguments {
    /// A JSON Schema, for the editor: name its file under `$schema` of the configuration
    #[arg(long)]
    schema: bool,
    /// Every key with its meaning and default, as a table in Markdown
    #[arg(long)]
    reference: bool,
    /// Every command with its options, as tables in Markdown
    #[arg(long)]
    commands: bool,
}

pub(super) fn run(arguments: &ConfigArguments) -> Result<u8> {
    if arguments.schema {
        print::json(&config::schema())?;
    }
    if arguments.reference {
        print::text(config::reference().trim_end())?;
    }
    if arguments.commands {
        print::text(reference::commands().trim_end())?;
    }
    Ok(0)
}
