//! What somebody probably meant who wrote a name that does not exist.

/// The candidate that `word` is probably a misspelling of, ignoring case; `None` when nothing is near.
pub(crate) fn near<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    // Of one character any other one is as near.
    let tolerance = if length < 2 { 0 } else { (length / 3).max(1) };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_letters_and_case_are_near_and_other_words_are_not() {
        let keys = ["date_field", "name", "pk", "sep"];
        assert_eq!(near("date_feild", keys), Some("date_field"));
        assert_eq!(near("Name", keys), Some("name"));
        assert_eq!(near("pks", keys), Some("pk"));
        assert_eq!(near("bucket", keys), None);
    }
}
