//! Names of columns that look the same and are not: invisible characters, blanks, and letters composed or in parts.

use icu_normalizer::ComposingNormalizerBorrowed;

/// The one of `names` that looks like `wanted`, though it is another.
pub(super) fn alike<'n>(wanted: &str, names: &'n [String]) -> Option<&'n str> {
    let look = look(wanted);
    names.iter().map(String::as_str).find(|name| *name != wanted && self::look(name) == look)
}

/// The characters that one of two names has and the other lacks, as `U+FEFF`.
pub(super) fn difference(one: &str, other: &str) -> String {
    let of = |one: &str, other: &str| one.chars().filter(|c| !other.contains(*c)).collect::<Vec<_>>();
    let mut characters = of(one, other);
    characters.extend(of(other, one));
    characters.dedup();
    characters.iter().map(|&c| format!("U+{:04X}", u32::from(c))).collect::<Vec<_>>().join(", ")
}

/// A name as a string of JSON in which every character can be seen.
pub(super) fn in_json(name: &str) -> String {
    let mut text = String::from('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
        }
    }
    text.push('"');
    text
}

/// A name for a message: in JSON where something in it cannot be seen.
pub(super) fn visible(name: &str) -> String {
    let is_hidden = |c: char| is_invisible(c) || (c.is_whitespace() && c != ' ');
    if name.trim() != name || name.contains(is_hidden) { in_json(name) } else { name.to_owned() }
}

/// What of a name can be seen.
fn look(name: &str) -> String {
    let seen = name.chars().filter(|&c| !is_invisible(c) || c.is_whitespace());
    let seen: String = seen.map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    ComposingNormalizerBorrowed::new_nfc().normalize(seen.trim()).into_owned()
}

/// Whether a character takes no ink and no room.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_the_same_are_found_and_their_difference_is_named() {
        for (wanted, name, difference, json) in [
            ("id", "\u{feff}id", "U+FEFF", r#""\ufeffid""#),
            ("c\u{f3}digo", "co\u{301}digo", "U+0301, U+00F3", r#""co\u0301digo""#),
            ("an id", "an\u{a0}id", "U+00A0, U+0020", r#""an\u00a0id""#),
            ("id", " id", "U+0020", r#"" id""#),
            ("id", "i\u{200b}d", "U+200B", r#""i\u200bd""#),
            ("a\"😀", "a\"😀\t", "U+0009", r#""a\"\ud83d\ude00\u0009""#),
        ] {
            let names = ["x".to_owned(), name.to_owned()];
            assert_eq!(alike(wanted, &names), Some(name));
            assert_eq!(self::difference(name, wanted), difference);
            assert_eq!(in_json(name), json);
            assert_eq!(serde_json::from_str::<String>(json).unwrap(), name);
        }
        assert_eq!(alike("id", &["ID".to_owned(), "id".to_owned(), "i d".to_owned()]), None);
    }

    #[test]
    fn only_names_with_something_to_see_are_shown_as_they_are() {
        assert_eq!(["código", "a b", "a\u{a0}b", " a"].map(visible), ["código", "a b", r#""a\u00a0b""#, r#"" a""#]);
    }
}
