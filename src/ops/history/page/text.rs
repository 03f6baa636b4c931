//! Words and numbers of the page.

use chrono::{DateTime, Utc};

use crate::ops::figures::grouped;

/// Text that means itself in HTML, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `1 row`, `2 rows`.
pub(super) fn plural(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `3 Nov 2026`.
pub(super) fn date(time: DateTime<Utc>) -> String {
    time.format("%-d %b %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        assert_eq!(escape("<i a='b'>\"&\u{0}é"), "&lt;i a=&#39;b&#39;&gt;&quot;&amp;\u{fffd}é");
    }

    #[test]
    fn things_are_counted_in_english() {
        assert_eq!([0, 1, 1000].map(|number| plural(number, "row")), ["0 rows", "1 row", "1,000 rows"]);
    }
}
