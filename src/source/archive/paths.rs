//! Paths of a dataset's files, as they are compared, remembered and shown.

use icu_normalizer::ComposingNormalizerBorrowed;

/// The path as a dataset's files are compared by: `/` between its parts, no part that is empty, `.` or `..`, and each
/// accent composed with its letter. Windows writes `\`, macOS writes accents apart, and some tools write `./` before it.
pub(crate) fn normal(path: &str) -> String {
    let parts = path.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | ".."));
    composed(&parts.collect::<Vec<_>>().join("/"))
}

/// The text with each accent composed with its letter (NFC).
pub(crate) fn composed(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// The last part of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// In how many folders the file is.
pub(crate) fn depth(path: &str) -> usize {
    path.matches('/').count()
}

/// Whether the file is one of those that packers and desktops add.
pub(crate) fn is_clutter(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.') || part == "__MACOSX")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_has_one_text_whoever_wrote_it() {
        for path in ["a/ação.csv", "./a/ação.csv", "/a//ação.csv", "..\\a\\ação.csv", "a/ac\u{327}a\u{303}o.csv"]
        {
            assert_eq!(normal(path), "a/ação.csv", "{path}");
        }
        assert_eq!(normal(" spaced .csv"), " spaced .csv");
        assert_eq!((depth("t.csv"), depth("a/b/t.csv"), base_name("a/b/t.csv")), (0, 2, "t.csv"));
    }
}
