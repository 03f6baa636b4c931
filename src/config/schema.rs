//! The keys of the document for editors: a JSON Schema.

use serde_json::{Map, Value, json};

use super::keys::{CAPTURED_TABLE, Form, KAGGLE, Key, ROOT, TABLE};

/// A JSON Schema (draft 7, which editors know best) that every document without faults conforms to, where it writes what
/// can be chosen as it is written here. Faults of more than one key, and of the meaning of texts, are found by the program
/// only.
pub fn schema() -> Value {
    let captured =
        json!({"properties": {"source": {"properties": {"type": {"const": "sqlserver"}}, "required": ["type"]}}});
    let head = json!({"$schema": "http://json-schema.org/draft-07/schema#", "title": "Configuration of cdc-to-s3"});
    let by_source = json!({
        "if": {"required": ["source"], "allOf": [captured]},
        "then": {"properties": {"tables": {"items": object(&CAPTURED_TABLE)}}},
        "else": {
            "required": ["dataset_name", "tables"],
            "properties": {
                "source": {"anyOf": [object(&KAGGLE), {"type": "null"}]},
                "tables": {"type": "array", "minItems": 1, "items": object(&TABLE)},
            },
        },
    });
    let parts = [head, object(&ROOT), by_source].into_iter();
    let keys = parts.flat_map(|part| if let Value::Object(keys) = part { keys } else { Map::new() });
    Value::Object(keys.collect())
}

fn object(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// Null stands for a key that is not there, so it is allowed where that is.
fn property(key: &Key) -> Value {
    let value = value(&key.form);
    let mut property = if key.required { value } else { json!({"anyOf": [value, {"type": "null"}]}) };
    let default = if key.default.is_empty() { String::new() } else { format!(" (default: {})", key.default) };
    property["description"] = json!(format!("{}{default}", key.meaning).replace('`', ""));
    property
}

fn value(form: &Form) -> Value {
    match form {
        Form::Text => json!({"type": "string"}),
        Form::Texts => json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        Form::Flag => json!({"type": "boolean"}),
        Form::Count => json!({"type": "integer", "minimum": 1}),
        Form::Positive => json!({"type": "number", "exclusiveMinimum": 0}),
        Form::FromZero => json!({"type": "number", "minimum": 0}),
        Form::Share => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Form::Choice(choices) => json!({"enum": choices()}),
        Form::ColumnTypes => json!({"type": "object", "additionalProperties": {
            "type": "string", "pattern": COLUMN_TYPE, "examples": COLUMN_TYPES,
        }}),
        Form::Object(keys) => object(keys),
        // Which keys its elements may have depends on the source.
        Form::Objects(_) => json!({"type": "array", "items": {"type": "object"}}),
    }
}

/// The usual names of the types, of which an editor offers a choice.
const COLUMN_TYPES: [&str; 9] =
    ["auto", "bool", "int64", "double", "decimal(10,2)", "date", "timestamp", "timestamptz", "string"];

/// All names of the types.
const COLUMN_TYPE: &str = "^(auto|bool|boolean|int|int64|bigint|integer|long|double|float|float64|date|timestamp|datetime|\
timestamptz|string|text|str|decimal\\([0-9]+(, ?[0-9]+)?\\))$";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::ColumnType;

    #[test]
    fn the_types_of_the_schema_are_types() {
        let names = COLUMN_TYPE.trim_matches(['^', '$', '(', ')']).split('|').filter(|name| !name.contains('\\'));
        for name in names.chain(COLUMN_TYPES).filter(|name| *name != "auto") {
            assert!(name.parse::<ColumnType>().is_ok(), "{name}");
        }
    }
}
