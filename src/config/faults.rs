//! The collector that lets all faults of a document be reported in one error.

use std::cell::RefCell;
use std::fmt::Write;

use crate::error::{Error, Result};

/// The faults found so far, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Faults(RefCell<Vec<String>>);

impl Faults {
    /// Notes that the value at `path` (`tables[1].pk`, or the name of a variable) `is_wrong`.
    pub(crate) fn add(&self, path: &str, is_wrong: impl AsRef<str>) {
        let is_wrong = is_wrong.as_ref();
        let text = if path.is_empty() { is_wrong.to_owned() } else { format!("`{path}` {is_wrong}") };
        self.0.borrow_mut().push(text);
    }

    /// `value` if it is there and nothing is wrong, else one error that lists every fault of `what`.
    pub(crate) fn finish<T>(self, code: &'static str, what: &str, value: Option<T>) -> Result<T> {
        let faults = self.0.into_inner();
        match value {
            Some(value) if faults.is_empty() => Ok(value),
            _ => Err(Error::config(code, listed(what, &faults))),
        }
    }
}

fn listed(what: &str, faults: &[String]) -> String {
    let noun = if faults.len() == 1 { "fault" } else { "faults" };
    let mut text = format!("{what} has {} {noun}:", faults.len());
    for fault in faults {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n  {fault}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_in_the_one_error() {
        let faults = Faults::default();
        faults.add("tables[0].pk", "is missing");
        faults.add("", "the document is empty");
        let error = faults.finish("InvalidConfig", "config.json", Some(())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "config.json has 2 faults:\n  `tables[0].pk` is missing\n  the document is empty"
        );
    }
}
