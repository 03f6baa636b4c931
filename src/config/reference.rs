//! The keys of the document for people: a table in Markdown.

use super::keys::{CAPTURED_TABLE, Form, KAGGLE, Key, ROOT, SQLSERVER};

/// What stands above the tables.
const HEAD: &str = "\
# Configuration reference

Every key of `config.json`, as `cdc-to-s3 config --reference` prints them. A key that is null is as good as one that is not there.
Editors complete and check the document by [its JSON Schema](config.schema.json), which `cdc-to-s3 config --schema` prints: name the
file under `$schema`. An unknown key is an error that names the near one.
";

/// Every key with its path, its meaning and its default, in Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    table(&mut text, "The document", &[("", &ROOT)]);
    table(&mut text, "A Kaggle dataset as the source", &[("source.", &KAGGLE)]);
    table(&mut text, "A SQL Server as the source", &[("source.", &SQLSERVER), ("tables[].", &CAPTURED_TABLE)]);
    text
}

fn table(text: &mut String, title: &str, parts: &[(&str, &[Key])]) {
    text.push_str(&format!("\n## {title}\n\n| key | meaning | default |\n| --- | --- | --- |\n"));
    parts.iter().for_each(|(path, keys)| lines(path, keys, text));
}

fn lines(path: &str, keys: &[Key], text: &mut String) {
    for key in keys {
        let here = format!("{path}{}", key.name);
        let default = if key.required { "required" } else { key.default };
        let line = format!("| `{here}` | {}{} | {default} |\n", key.meaning, listed(key));
        text.push_str(&line.replace("|  |", "| |"));
        match &key.form {
            // Its keys depend on its type, and have a table of their own.
            Form::Object(_) if key.name == "source" => {}
            Form::Object(keys) => lines(&format!("{here}."), keys, text),
            Form::Objects(keys) => lines(&format!("{here}[]."), keys, text),
            _ => {}
        }
    }
}

/// What can be chosen, where the meaning does not say it.
fn listed(key: &Key) -> String {
    let Form::Choice(choices) = key.form else { return String::new() };
    let names: Vec<String> = choices().iter().map(|name| format!("`{name}`")).collect();
    if names.iter().all(|name| key.meaning.contains(name)) {
        return String::new();
    }
    format!(" ({})", names.join(", "))
}
