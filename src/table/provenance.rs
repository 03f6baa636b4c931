//! What a table was read from in a snapshot, and what was guessed of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The files of a table in one snapshot, and the guesses made while they were read. State and footers keep it, so that the
/// next run makes the same guesses and notices when it finds the table somewhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The paths within the dataset, `/`-separated, in the order in which they were read. Empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// For each file whose encoding had to be guessed that guess, by its name in `encoding_rs`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guessed_encodings: BTreeMap<String, String>,
    /// Whether the text ended with the end of a line; of several files, whether each did. `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_with_line_end: Option<bool>,
    /// The source, as `kind:name`; `None` where only files were read, which may have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Provenance {
    /// The guess for a file: that which was made for it, or else what was guessed for all others.
    pub fn guess_for(&self, file: &str) -> Option<&str> {
        let mut guesses = self.guessed_encodings.values();
        let common = guesses.next().filter(|first| guesses.all(|other| other == *first));
        self.guessed_encodings.get(file).or(common).map(String::as_str)
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_own_guess_or_that_of_all_others() {
        let of = |guesses: &[(&str, &str)]| Provenance {
            guessed_encodings: guesses.iter().map(|(file, guess)| ((*file).to_owned(), (*guess).to_owned())).collect(),
            ..Provenance::default()
        };
        let two = of(&[("a", "Shift_JIS"), ("b", "EUC-JP")]);
        assert_eq!((two.guess_for("b"), two.guess_for("c")), (Some("EUC-JP"), None));
        assert_eq!(of(&[("a", "Shift_JIS"), ("b", "Shift_JIS")]).guess_for("c"), Some("Shift_JIS"));
        assert_eq!(of(&[]).guess_for("a"), None);
    }
}
