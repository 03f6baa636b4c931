//! How the text of a table is cut into cells, and the first line by which Excel is told of it.

/// The delimiter where nothing says another one.
pub(crate) const DEFAULT_DELIMITER: u8 = b',';

/// What separates the cells of a text table, and what keeps their text together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Between two cells, an ASCII character. `None` leaves it to the file: what Excel's first line `sep=;` says, else `,`.
    pub delimiter: Option<u8>,
    /// Around a cell, an ASCII character; `None` where quotes mean nothing.
    pub quote: Option<u8>,
    /// How a cell holds what would end it.
    pub escape: Escape,
}

/// How a cell holds the characters that would end it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// A quote inside quotes is doubled; nothing else is special there.
    #[default]
    Doubled,
    /// A backslash before a quote, a backslash, the delimiter or a line end means that character itself, inside quotes and
    /// outside. Before anything else it is text, so that `\N` and `C:\temp` stay as they are.
    Backslash,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: None, quote: Some(b'"'), escape: Escape::default() }
    }
}

impl Dialect {
    /// The usual quotes with this delimiter.
    pub fn delimited(delimiter: u8) -> Self {
        Self { delimiter: Some(delimiter), ..Self::default() }
    }

    /// Whether `byte` can be a delimiter: ASCII, and neither a letter, a digit, a double quote nor a line end.
    pub(crate) fn can_delimit(byte: u8) -> bool {
        byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n\0".contains(&byte)
    }
}

/// The delimiter that Excel's first line (`sep=;` in any case, also in quotes) gives, and the length of that line in bytes.
///
/// Excel takes such a line for this whatever follows, so a single column can have no such name here either.
pub(crate) fn excel_line(text: &str) -> Option<(u8, usize)> {
    let line = text.split(['\r', '\n']).next()?;
    let bare = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).unwrap_or(line);
    let (keyword, delimiter) = bare.split_at_checked("sep=".len())?;
    match delimiter.as_bytes() {
        [byte] if keyword.eq_ignore_ascii_case("sep=") && Dialect::can_delimit(*byte) => Some((*byte, line.len())),
        _ => None,
    }
}

/// A delimiter as messages show it.
pub(crate) fn shown(delimiter: u8) -> String {
    match delimiter {
        b'\t' => "a tab".to_owned(),
        _ => format!("`{}`", char::from(delimiter).escape_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_excel_is_known_in_any_case_and_in_quotes() {
        for (text, found) in [
            ("sep=;\nid;v", Some((b';', 5))),
            ("SEP=\t\r\nid", Some((b'\t', 5))),
            ("\"Sep=,\"\rid", Some((b',', 7))),
            ("sep=|", Some((b'|', 5))),
            ("sep=x\n", None),
            ("sep=\n", None),
            ("sep=;;\n", None),
            ("sep=é\n", None),
            ("seç=;\n", None),
            ("id;sep=;\n", None),
            ("", None),
        ] {
            assert_eq!(excel_line(text), found, "{text:?}");
        }
    }
}
