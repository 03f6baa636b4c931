//! What a table was read from in a snapshot, and what was guessed of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The files of a table in one snapshot, and the guesses made while they were read. State and footers keep it, so that the
/// next run makes the same guesses and notices when it finds the table somewhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The paths within the dataset, `/`-separated, in the order in which they were read; of several files of those that had
    /// rows. Empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// For each file whose encoding had to be guessed that guess, by its name in `encoding_rs`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guessed_encodings: BTreeMap<String, String>,
    /// Whether the text ended with the end of a line; of several files, whether each did. `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_with_line_end: Option<bool>,
    /// Of several files those whose text did not end with the end of a line.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub open_ends: BTreeSet<String>,
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

    /// Whether the text of this file is known to have ended with the end of a line.
    pub fn ended_with_line_end(&self, file: &str) -> bool {
        match self.ends_with_line_end {
            Some(true) => self.files.len() < 2 || self.files.iter().any(|known| known == file),
            Some(false) => {
                self.files.len() > 1 && self.files.iter().any(|known| known == file) && !self.open_ends.contains(file)
            }
            None => false,
        }
    }

    /// Of several files the first that is no longer among those with rows, where none has come in its place. Spark gives new
    /// names to all files of a table each time.
    pub fn lost_part(&self, now: &Self) -> Option<&String> {
        let has_new = now.files.iter().any(|file| !self.files.contains(file));
        let several = self.files.len() > 1 && !now.files.is_empty();
        self.files.iter().find(|file| several && !has_new && !now.files.contains(file))
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Provenance {
        Provenance { files: files.iter().map(|&file| file.to_owned()).collect(), ..Provenance::default() }
    }

    #[test]
    fn a_part_is_lost_where_none_comes_in_its_place() {
        let before = of(&["a", "b", "c"]);
        assert_eq!(before.lost_part(&of(&["a", "c"])).map(String::as_str), Some("b"));
        assert_eq!(before.lost_part(&of(&["a", "c", "d"])), None);
        assert_eq!(before.lost_part(&of(&["x"])), None);
        assert_eq!(before.lost_part(&of(&["c", "b", "a"])), None);
        assert_eq!(of(&["a"]).lost_part(&of(&["b"])), None);
    }

    #[test]
    fn each_of_several_files_has_its_own_end() {
        let open = |ended: bool, open: &[&str]| Provenance {
            ends_with_line_end: Some(ended),
            open_ends: open.iter().map(|&file| file.to_owned()).collect(),
            ..of(&["a", "b"])
        };
        assert!(open(true, &[]).ended_with_line_end("a") && !open(true, &[]).ended_with_line_end("new"));
        assert!(open(false, &["b"]).ended_with_line_end("a") && !open(false, &["b"]).ended_with_line_end("b"));
        let one = Provenance { ends_with_line_end: Some(true), ..of(&["t.csv"]) };
        assert!(one.ended_with_line_end("moved/t.csv"));
        assert!(!Provenance { ends_with_line_end: Some(false), ..one }.ended_with_line_end("t.csv"));
    }

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
