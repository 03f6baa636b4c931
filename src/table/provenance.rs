//! What a table was read from in a snapshot, and what was guessed of it.

use serde::{Deserialize, Serialize};

/// The files of a table in one snapshot, and the guesses made while they were read. State and footers keep it, so that the
/// next run makes the same guesses and notices when it finds the table somewhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The paths within the dataset, `/`-separated, in the order in which they were read. Empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The encoding that was guessed, by its name in `encoding_rs`; `None` where nothing had to be guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guessed_encoding: Option<String>,
    /// Whether the text ended with the end of a line; of several files, whether each did. `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_with_line_end: Option<bool>,
    /// The source, as `kind:name`; `None` where only files were read, which may have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Provenance {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
