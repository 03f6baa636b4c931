//! The keys of the document for people: a table in Markdown.

use super::keys::{CAPTURED_TABLE, Form, KAGGLE, Key, ROOT, SQLSERVER};

/// What is above the tables.
const HEAD: &str = r#"# Configuration reference

For whoever writes a `config.json`: every key, as `cdc-to-s3 config --reference` prints them. A key
that is null is as good as one that is not there. All faults of a document are reported at once, each
with its path and, for a misspelt key, the near one. Editors complete and check the document by
[its JSON Schema](config.schema.json), which `cdc-to-s3 config --schema` prints: name the file under
`$schema`.

```json
{ "dataset_name": "owner/slug",
  "aws": {"bucket": "meudatalake-raw", "prefix": "upcell", "region": "us-east-1"},
  "timer": {"unit": "hours", "value": 6},
  "tables": [{"name": "clientes", "sep": ";", "pk": "idCliente", "date_field": "DtAtualizacao"}] }
```
"#;

/// What is below the tables.
const TYPES: &str = "
## Types

A column is `bool`, `int64`, `double`, `date`, `timestamp`, `timestamptz` or `string`. Without an entry in
`columns` its type is inferred from all of its values, and only where each of them can be written back
from that type: leading zeros, `+1`, and codes such as `250.0` beside `250.00` are strings. A key is
inferred as `int64`, `date` or `string` only. Decimal commas and points are decided for a column as a
whole. A column without any value has no type until its first one.

A type is learnt once. It is only ever widened, which the report says: date to timestamp, anything to
string; `int64` to `double` where no digit is lost; a decimal to more digits before the point. Columns that appear are added at the end; a column
that disappears is null from then on. A type in `columns`, `decimal(p,s)` among them, is kept: a value
that it does not hold exactly fails the table. Timestamps are INT64 microseconds.
";

/// Every key with its path, its meaning and its default, in Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    table(&mut text, "The document", &[("", &ROOT)]);
    table(&mut text, "A Kaggle dataset as the source", &[("source.", &KAGGLE)]);
    table(&mut text, "A SQL Server as the source", &[("source.", &SQLSERVER), ("tables[].", &CAPTURED_TABLE)]);
    text.push_str(TYPES);
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
