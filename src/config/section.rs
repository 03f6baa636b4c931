//! One JSON object being read: typed look-ups that note what is wrong, with its path, and go on.

use std::time::Duration;

use serde_json::{Map, Value};

use super::faults::Faults;
use super::json::join;
use crate::near::near;

/// A year: no more is meant by anybody.
const MAX_MINUTES: f64 = 366.0 * 24.0 * 60.0;

/// An object of a document. Each look-up gives `None` for a key that is absent or null, and also for a faulty value,
/// which it has then noted.
#[derive(Clone)]
pub(crate) struct Section<'v> {
    path: String,
    entries: &'v Map<String, Value>,
    faults: &'v Faults,
}

impl<'v> Section<'v> {
    /// The object `value` at `path`, of which only the keys in `known` may occur.
    pub(crate) fn of(value: &'v Value, path: &str, known: &[&str], faults: &'v Faults) -> Option<Self> {
        let Some(entries) = value.as_object() else {
            faults.add(path, format!("must be an object, not {}", kind(value)));
            return None;
        };
        let section = Self { path: path.to_owned(), entries, faults };
        section.refuse_unknown(known);
        Some(section)
    }

    /// The path of one of its keys.
    pub(crate) fn at(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Notes a fault of one of its keys.
    pub(crate) fn fault(&self, key: &str, is_wrong: impl AsRef<str>) {
        self.faults.add(&self.at(key), is_wrong);
    }

    /// Whether a key is there and not null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// A limit in minutes, of which zero mean for ever.
    pub(crate) fn minutes(&self, key: &str, default: Duration) -> Option<Duration> {
        match self.number(key) {
            None => Some(default),
            Some(0.0) => None,
            Some(minutes) if minutes > 0.0 && minutes <= MAX_MINUTES => Some(Duration::from_secs_f64(minutes * 60.0)),
            Some(_) => {
                self.fault(key, "must be a number of minutes, at most a year, or 0 for no limit");
                None
            }
        }
    }

    /// The value of a key as it stands.
    pub(crate) fn value(&self, key: &str) -> Option<&'v Value> {
        self.entries.get(key).filter(|value| !value.is_null())
    }

    /// Its keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'v str> {
        self.entries.keys().map(String::as_str)
    }

    /// An object within it, of which only the keys in `known` may occur.
    pub(crate) fn section(&self, key: &str, known: &[&str]) -> Option<Self> {
        Section::of(self.value(key)?, &self.at(key), known, self.faults)
    }

    /// An object within it whose keys are free.
    pub(crate) fn map(&self, key: &str) -> Option<Self> {
        let known: Vec<&str> =
            self.value(key)?.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        self.section(key, &known)
    }

    /// A text, without the white space around it; one without anything else counts as absent.
    pub(crate) fn text(&self, key: &str) -> Option<&'v str> {
        self.raw_text(key).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A text exactly as it stands.
    pub(crate) fn raw_text(&self, key: &str) -> Option<&'v str> {
        let value = self.value(key)?;
        self.expected(key, value, "a string", value.as_str())
    }

    /// A text that has to be there.
    pub(crate) fn required_text(&self, key: &str) -> Option<&'v str> {
        let text = self.text(key);
        match self.value(key) {
            None => self.fault(key, "is missing"),
            Some(Value::String(_)) if text.is_none() => self.fault(key, "is empty"),
            Some(_) => {}
        }
        text
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        self.expected(key, value, "true or false", value.as_bool())
    }

    /// A number.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        let value = self.value(key)?;
        self.expected(key, value, "a number", value.as_f64())
    }

    /// A whole number of at least 1.
    pub(crate) fn count(&self, key: &str) -> Option<u64> {
        let value = self.value(key)?;
        self.expected(key, value, "a whole number of at least 1", value.as_u64().filter(|count| *count > 0))
    }

    /// One of the texts in `choices`, in whatever case.
    pub(crate) fn choice<T: Copy>(&self, key: &str, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, choice)| *choice);
        if found.is_none() {
            self.fault(key, unknown_choice(text, choices.iter().map(|(name, _)| *name)));
        }
        found
    }

    /// The elements of a list, with the path of each.
    pub(crate) fn list(&self, key: &str) -> Option<Vec<(String, &'v Value)>> {
        let value = self.value(key)?;
        let items = self.expected(key, value, "a list", value.as_array())?;
        Some(items.iter().enumerate().map(|(index, item)| (format!("{}[{index}]", self.at(key)), item)).collect())
    }

    /// A list of texts exactly as they stand, or one text in place of a list of one.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        if let Some(text) = value.as_str() {
            return Some(vec![text.to_owned()]);
        }
        if !value.is_array() {
            self.fault(key, format!("must be a string or a list of strings, not {}", kind(value)));
            return None;
        }
        // Every element is looked at before the list is given up, so that each fault is noted.
        let texts: Vec<Option<String>> = self.list(key)?.iter().map(|(path, item)| self.element(path, item)).collect();
        texts.into_iter().collect()
    }

    fn element(&self, path: &str, item: &Value) -> Option<String> {
        if item.as_str().is_none() {
            self.faults.add(path, format!("must be a string, not {}", kind(item)));
        }
        item.as_str().map(str::to_owned)
    }

    fn expected<T>(&self, key: &str, value: &Value, what: &str, found: Option<T>) -> Option<T> {
        if found.is_none() {
            self.fault(key, format!("must be {what}, not {}", kind(value)));
        }
        found
    }

    fn refuse_unknown(&self, known: &[&str]) {
        for key in self.entries.keys().filter(|key| !known.contains(&key.as_str())) {
            let absent = known.iter().copied().filter(|candidate| !self.entries.contains_key(*candidate));
            match near(key, absent) {
                Some(meant) => self.fault(key, format!("is an unknown key; did you mean `{meant}`?")),
                None => self.fault(key, format!("is an unknown key; known are {}", known.join(", "))),
            }
        }
    }
}

fn unknown_choice(text: &str, names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<&str> = names.collect();
    match near(text, names.iter().copied()) {
        Some(meant) => format!("is `{text}`; did you mean `{meant}`?"),
        None => format!("is `{text}`; it can be {}", names.join(", ")),
    }
}

/// What a value is, in words; numbers are shown, since their being wrong is often a matter of range.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
