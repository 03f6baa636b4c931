//! Names of columns that a query engine could take for one.

/// The name as engines compare it that ignore case: two names with the same fold are one column to some of them.
///
/// Character by character, upper case and then lower case, as Java's `equalsIgnoreCase` does and so Spark. That is the coarsest
/// rule: what Athena (lower case) and DuckDB (the case of ASCII only) take for one has one fold, too. So `İ` and `ı` are `i`,
/// `ẞ` is `ß` (and not `ss`), and `ς` is `σ`. Letters composed and in parts are different names to all of them.
pub(crate) fn fold(name: &str) -> String {
    name.chars().map(fold_one).collect()
}

fn fold_one(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let mut upper = c.to_uppercase();
    let upper = match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => c,
    };
    // `İ` is the only one whose lower case is longer; its first character is what Java takes.
    upper.to_lowercase().next().unwrap_or(upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_case_are_one_and_others_are_not() {
        for (one, other) in [
            ("ID", "id"),
            ("Änderung", "änderung"),
            ("İd", "id"),
            ("ıd", "ID"),
            ("STRAẞE", "straße"),
            ("ΟΔΟΣ", "οδος"),
            ("οδοσ", "οδος"),
            ("ДАТА", "дата"),
            ("\u{212a}m", "km"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
            assert_eq!(fold(one), fold(&one.to_lowercase()).replace('\u{307}', ""), "{one}");
        }
        for (one, other) in [("straße", "strasse"), ("é", "e"), ("é", "e\u{301}"), ("a_b", "a-b"), ("ﬁ", "fi")] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }
}
