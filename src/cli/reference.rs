//! The commands for people: their help as Markdown.

use clap::{Arg, Command, CommandFactory};

use super::{Arguments, EXIT_CODES};

const HEAD: &str = "\
# Command line reference

For whoever runs `cdc-to-s3` by hand: every command with its options, as `cdc-to-s3 config --commands`
prints them. `history`, `restore` and `backfill` have examples in [history.md](history.md).

Results go to stdout, everything else to stderr. Variables of the environment
([deploy.md](deploy.md#environment)) may also be set in a file `.env` in the current folder.
";

/// Every command with its options, in Markdown.
pub(super) fn commands() -> String {
    let mut program = Arguments::command();
    program.build();
    let mut text = HEAD.to_owned();
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(command, &mut text);
    }
    let exit_codes = EXIT_CODES.lines().next().unwrap_or_default();
    text.push_str(&format!("\n## Exit codes\n\n{}.\n", exit_codes.trim_start_matches("Exit codes: ")));
    text
}

fn describe(command: &Command, text: &mut String) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    text.push_str(&format!("\n## {}\n\n{about}.\n\n```\n{usage}\n```\n\n", command.get_name()));
    text.push_str("| option | meaning |\n| --- | --- |\n");
    let shown = command.get_arguments().filter(|argument| argument.get_id() != "help");
    shown.for_each(|argument| text.push_str(&format!("| `{}` | {} |\n", name(argument), meaning(argument))));
}

/// How an argument is written.
fn name(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default().join(" ");
    let many = argument.get_num_args().unwrap_or_default();
    let values = match (argument.get_action().takes_values(), many.min_values()) {
        (false, _) => String::new(),
        (true, 0) => format!("[{values}]"),
        (true, _) => values,
    };
    match argument.get_long() {
        Some(long) => format!("--{long} {values}").trim_end().to_owned(),
        None => values,
    }
    .replace('|', "\\|")
}

/// What it does, which values it takes, and its default.
fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let choices = argument.get_possible_values();
    if argument.get_action().takes_values() && !choices.is_empty() {
        let choices: Vec<String> = choices.iter().map(|choice| format!("`{}`", choice.get_name())).collect();
        text.push_str(&format!(" ({})", choices.join(", ")));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        text.push_str(&format!(" [default: {}]", defaults.join(" ")));
    }
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_the_commands_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
        let made = std::fs::read_to_string(path).unwrap();
        assert!(made == commands(), "make it anew: cdc-to-s3 config --commands > docs/cli.md");
    }

    #[test]
    fn each_option_of_each_command_is_described() {
        for command in Arguments::command().get_subcommands() {
            for argument in command.get_arguments() {
                assert!(!meaning(argument).is_empty(), "`{}` of `{}`", name(argument), command.get_name());
            }
        }
    }
}
