//! The runbook has an entry for each error that the program can end with, and for each alarm of the template.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What stands in front of a code: the constructors of errors, and the functions that take a code and hand it on to one.
const BEFORE_A_CODE: [&str; 8] = [
    "Error::config(",
    "Error::transient(",
    "Error::data(",
    "Error::conflict(",
    "Error::internal(",
    "Error::new(",
    "passing(",
    ".finish(",
];

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && path.file_name() != Some("tests.rs".as_ref()) {
            found.push(path);
        }
    }
}

/// The codes in the source, without those of its tests.
pub(crate) fn codes() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&project().join("src"), &mut files);
    let mut codes = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for before in BEFORE_A_CODE {
            codes.extend(code.split(before).skip(1).filter_map(|rest| code_at(before, rest)));
        }
    }
    codes
}

/// The code that `rest` begins with, or has as the second argument of `Error::new`.
fn code_at(before: &str, rest: &str) -> Option<String> {
    let rest = if before == "Error::new(" { rest.split_once(',')?.1 } else { rest };
    let (code, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    let is_code = code.starts_with(|c: char| c.is_ascii_uppercase()) && code.chars().all(|c| c.is_ascii_alphanumeric());
    is_code.then(|| code.to_owned())
}

/// The codes that have a row in a table of the runbook, in its order.
fn rows(runbook: &str) -> Vec<String> {
    let code = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    runbook.lines().filter_map(code).collect()
}

/// What the runbook says to do about a code.
pub(crate) fn advice(code: &str) -> String {
    let runbook = text("docs/runbook.md");
    let row = runbook.lines().find(|line| line.starts_with(&format!("| `{code}` |")));
    let row = row.unwrap_or_else(|| panic!("{code} has no row"));
    row.rsplit(" | ").next().unwrap().to_owned()
}

#[test]
fn each_code_of_the_source_has_one_entry_and_each_entry_is_of_a_code() {
    let codes = codes();
    assert!(codes.len() > 150 && codes.contains("MassDelete") && codes.contains("SqlServerDeadlock"), "{codes:?}");
    let rows = rows(&text("docs/runbook.md"));
    let listed: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), listed.len(), "a code has two entries");
    let missing: Vec<_> = codes.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&codes).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/runbook.md lacks {missing:?}, and lists {stale:?} for nothing"
    );
}

#[test]
fn each_code_of_the_guide_to_sql_server_is_in_the_runbook() {
    let runbook: BTreeSet<String> = rows(&text("docs/runbook.md")).into_iter().collect();
    let guide = text("docs/sqlserver.md");
    let (_, errors) = guide.split_once("## Errors").unwrap();
    let (errors, _) = errors.split_once("\n## ").unwrap();
    let cells = errors.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let named: Vec<String> = cells.flat_map(|(cell, _)| cell.split("`, `")).map(|code| code.replace('`', "")).collect();
    assert!(named.len() > 30, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|code| !runbook.contains(*code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn each_alarm_names_an_entry_and_each_entry_is_of_an_alarm() {
    let (template, runbook) = (text("template.yaml"), text("docs/runbook.md"));
    let entries: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("### Alarm: ")).collect();
    let mut named = BTreeSet::new();
    let mut alarms = 0;
    for alarm in template.split("Type: AWS::CloudWatch::Alarm\n").skip(1) {
        let (_, description) = alarm.split_once("AlarmDescription:").unwrap();
        let (description, _) =
            description.split_once("\n      Namespace:").or(description.split_once("\n      Metrics:")).unwrap();
        let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, entry) = description.split_once("(\"Alarm: ").unwrap_or_else(|| panic!("no entry in {description}"));
        assert!(description.contains("docs/runbook.md"), "{description}");
        named.insert(entry.split_once("\")").unwrap().0.to_owned());
        alarms += 1;
    }
    assert!(alarms >= 8, "{alarms}");
    assert_eq!(named, entries.into_iter().map(str::to_owned).collect());
}
