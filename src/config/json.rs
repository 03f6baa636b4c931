//! JSON text as a value, with repeated keys noticed: `serde_json` alone would keep the last one silently.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::faults::Faults;

/// Parses `text`, tolerating a byte order mark, and notes each repeated key of an object as a fault.
///
/// # Errors
/// The syntax error with its line and column.
pub(super) fn parse(text: &str, faults: &Faults) -> serde_json::Result<Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Tree { path: String::new(), faults }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The path of `key` within the object at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{key:?}]"),
    }
}

/// A value that knows its place.
struct Tree<'f> {
    path: String,
    faults: &'f Faults,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) =
            items.next_element_seed(Tree { path: format!("{}[{}]", self.path, list.len()), faults: self.faults })?
        {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = join(&self.path, &key);
            if object.contains_key(&key) {
                self.faults.add(&path, "is given twice");
            }
            let value = entries.next_value_seed(Tree { path, faults: self.faults })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (serde_json::Result<Value>, String) {
        let faults = Faults::default();
        let value = parse(text, &faults);
        let listed = faults.finish("C", "it", Some(())).err().map(|error| error.to_string()).unwrap_or_default();
        (value, listed)
    }

    #[test]
    fn what_has_no_repeated_key_equals_what_serde_json_reads() {
        let text = r#"{"a": [1, -2, 2.5, true, null, "x\n"], "b": {"c d": {}}}"#;
        let (value, faults) = check(&format!("\u{feff}{text}"));
        assert_eq!(value.unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(faults, "");
    }

    #[test]
    fn repeated_keys_are_named_with_their_path() {
        let (_, faults) = check(r#"{"t": [{"pk": 1, "pk": 2}], "a b": 1, "a b": 2}"#);
        assert_eq!(faults, "it has 2 faults:\n  `t[0].pk` is given twice\n  `[\"a b\"]` is given twice");
    }

    #[test]
    fn syntax_errors_and_trailing_text_carry_line_and_column() {
        assert_eq!(check("{\n \"a\": 1,\n}").0.unwrap_err().line(), 3);
        assert_eq!(check("{} x").0.unwrap_err().column(), 4);
    }
}
