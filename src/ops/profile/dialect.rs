//! The dialect of a text table, from its beginning: what cuts its records alike.

use crate::table::{DEFAULT_DELIMITER, Dialect, Escape, Sample, excel_line, shown_delimiter};

/// The delimiters that are tried; of two that do as well the earlier one is taken.
const DELIMITERS: [u8; 7] = [b',', b';', b'\t', b'|', b'^', b'~', 1];

/// The quotes and escapes that are tried, the likeliest first: a later one has to do better.
const QUOTING: [(Option<u8>, Escape); 6] = [
    (Some(b'"'), Escape::Doubled),
    (Some(b'"'), Escape::Backslash),
    (None, Escape::Doubled),
    (None, Escape::Backslash),
    (Some(b'\''), Escape::Doubled),
    (Some(b'\''), Escape::Backslash),
];

/// At most so many records are looked at.
const RECORDS: usize = 1000;

/// Fewer records alike than this share, of 1000, and nothing is known.
const ENOUGH: usize = 500;

/// What the beginning of a file shows.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) dialect: Dialect,
    /// What speaks for it, each a line for a person.
    pub(super) reasons: Vec<String>,
    /// Whether it is the dialect of the file as far as anybody can see; else its lines are not cut as they should be.
    pub(super) is_known: bool,
}

/// A dialect that was tried.
struct Trial {
    dialect: Dialect,
    sample: Sample,
    /// Of 1000 records, how many have as many cells as the first one.
    alike: usize,
    width: usize,
}

impl Trial {
    fn of(text: &str, dialect: Dialect) -> Self {
        let sample = Sample::cut(text, dialect, RECORDS);
        let width = sample.records.first().map_or(0, Vec::len);
        let alike = sample.records.iter().filter(|record| record.len() == width).count();
        let alike = alike * 1000 / sample.records.len().max(1);
        Self { dialect, sample, alike, width }
    }

    /// How good it is, apart from its rank.
    fn merit(&self) -> (bool, usize) {
        (!self.sample.faulty, self.alike)
    }

    /// How many cells are between two of these quotes, and how many only start with one.
    fn quoted(&self, quote: char) -> (usize, usize) {
        let cells = self.sample.records.iter().flatten().filter(|cell| cell.starts_with(quote));
        let (whole, half): (Vec<&String>, Vec<&String>) =
            cells.partition(|cell| cell.len() > 1 && cell.ends_with(quote));
        (whole.len(), half.len())
    }
}

/// The dialect that cuts the most records like the first one, without a quote that closes a cell too early.
pub(super) fn find(text: &str) -> Found {
    let (given, rest) = match excel_line(text) {
        Some((delimiter, length)) => (Some(delimiter), &text[length..]),
        None => (None, text),
    };
    let mut found = match best(rest, given) {
        Some(trial) => Found { reasons: reasons(&trial), is_known: trial.alike >= ENOUGH, dialect: trial.dialect },
        None => one_column(rest),
    };
    if let Some(delimiter) = given {
        let line = format!("line 1 (`sep=`) is Excel's: it gives the delimiter, {}", shown_delimiter(delimiter));
        found.reasons.insert(0, line);
    }
    found
}

/// The best of all dialects by which records have several cells.
fn best(text: &str, given: Option<u8>) -> Option<Trial> {
    let delimiters = given.map_or(DELIMITERS.to_vec(), |given| vec![given]);
    let of_quoting = |(quote, escape): (Option<u8>, Escape)| {
        let trial = |&delimiter: &u8| Trial::of(text, Dialect { delimiter: Some(delimiter), quote, escape });
        let several = delimiters.iter().map(trial).filter(|trial| trial.width > 1);
        // Of equals `max_by_key` takes the last.
        several.collect::<Vec<_>>().into_iter().rev().max_by_key(|trial| (trial.merit(), trial.width))
    };
    let trials: Vec<Trial> = QUOTING.into_iter().filter_map(of_quoting).filter(is_likely).collect();
    let enclosing = trials.iter().position(|trial| trial.dialect.quote == Some(b'\'')).filter(|_| encloses(&trials));
    let best = enclosing.or_else(|| {
        let ranked = trials.iter().enumerate().rev();
        ranked.max_by_key(|(_, trial)| trial.merit()).map(|(rank, _)| rank)
    })?;
    trials.into_iter().nth(best)
}

/// Where most double quotes are around cells, they mean something, however many do not.
fn is_likely(trial: &Trial) -> bool {
    let (whole, half) = trial.quoted('"');
    trial.dialect.quote == Some(b'"') || whole <= half
}

/// Whether single quotes are around a cell of most records, and nothing else starts with one: then they are the quotes,
/// although the records are cut alike without them.
fn encloses(trials: &[Trial]) -> bool {
    trials.first().is_some_and(|usual| {
        let (whole, half) = usual.quoted('\'');
        half == 0 && whole * 2 >= usual.sample.records.len() && usual.quoted('"') == (0, 0)
    })
}

fn reasons(trial: &Trial) -> Vec<String> {
    let Dialect { delimiter, quote, escape } = trial.dialect;
    let delimiter = shown_delimiter(delimiter.unwrap_or(DEFAULT_DELIMITER));
    let (records, width) = (trial.sample.records.len(), trial.width);
    let share = if trial.alike == 1000 { "all of them".to_owned() } else { format!("{} % of them", trial.alike / 10) };
    let mut reasons =
        vec![format!("sep is {delimiter}: it cuts the first {records} records alike, into {width} cells ({share})")];
    match quote {
        Some(b'"') => {}
        Some(quote) => {
            reasons
                .push(format!("quote is `{}`: such quotes are around cells, double ones are not", char::from(quote)));
        }
        None => {
            reasons.push(
                "quote is `none`: quotes are inside of cells, and their records are alike without them".to_owned(),
            );
        }
    }
    if escape == Escape::Backslash {
        reasons.push("escape is `\\`: records are alike only if a backslash escapes what follows it".to_owned());
    }
    reasons
}

/// A file that nothing cuts has one column, or a delimiter that nobody has thought of.
fn one_column(text: &str) -> Found {
    let is_known = !is_cut_by_words(text) && text.lines().next().is_some_and(is_name);
    let reasons = vec!["no delimiter cuts its lines: taken as one column".to_owned()];
    Found { dialect: Dialect::default(), reasons, is_known }
}

/// Whether a line looks like the name of a column.
fn is_name(line: &str) -> bool {
    let line = line.trim().trim_matches('"');
    line.chars().all(|c| c.is_alphanumeric() || "_- .()%#".contains(c))
}

/// Whether each line has the same number of words, and more than one.
fn is_cut_by_words(text: &str) -> bool {
    let mut words =
        text.lines().filter(|line| !line.is_empty()).take(RECORDS).map(|line| line.split_whitespace().count());
    let first = words.next().unwrap_or_default();
    let mut others = words.peekable();
    first > 1 && others.peek().is_some() && others.all(|count| count == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> (char, char, Escape) {
        let Dialect { delimiter, quote, escape } = find(text).dialect;
        (char::from(delimiter.unwrap_or(b'?')), quote.map_or('-', char::from), escape)
    }

    #[test]
    fn the_delimiter_that_splits_all_lines_alike_wins() {
        let usual = |delimiter| (delimiter, '"', Escape::Doubled);
        assert_eq!(found("id;nome;valor\n1;Sa, o;1,5\n2;\"x;y\";2,5\n"), usual(';'));
        assert_eq!(found("id,name\n1,\"a; b; c\"\n2,\"say \"\"hi\"\", all\"\n"), usual(','));
        assert_eq!(found("a\tb\tc\n1,5\t2,5\t3,5\n"), usual('\t'));
        assert_eq!(found("a|b\r\n\r\n1|2\r\n"), usual('|'));
        assert_eq!(found("a^b\n1^2\n"), usual('^'));
    }

    #[test]
    fn a_header_with_few_fields_beats_text_with_many_commas() {
        assert_eq!(found("a;b, c\n1;x\n2;y, z, w\n3;q\n").0, ';');
    }

    #[test]
    fn what_nothing_splits_is_one_column_or_unknown() {
        assert!(find("name\nx\ny z\n").is_known);
        assert_eq!(find("name\nx\ny z\n").dialect.delimiter, None);
        for text in ["id name v\n1 a b\n2 c d\n", "id:name\n1:a\n2:b\n", ""] {
            assert!(!find(text).is_known || text.is_empty(), "{text:?}");
        }
        assert!(!find("a,b\n1\n2\n3\n4\n").is_known, "only the header is cut");
    }

    #[test]
    fn quotes_that_enclose_nothing_are_text() {
        let text = "id\ttitle\n1\t\"Swing along\" gamma\n2\t\"Lost\n3\tThe 5\" disk\n";
        assert_eq!(found(text), ('\t', '-', Escape::Doubled));
        assert_eq!(found("id,v\n1,\"a\"\n2,\"b\" c\n3,\"d\"\n").1, '"', "one fault among quoted cells is a fault");
    }

    #[test]
    fn backslashes_escape_where_records_are_alike_only_then() {
        assert_eq!(found("id,v\n1,\"say \\\"hi\\\", all\"\n2,\"b\"\n3,\"c\"\n"), (',', '"', Escape::Backslash));
        assert_eq!(found("id,v\n1,a\\, b\n2,b\n3,c\\\nd\n"), (',', '"', Escape::Backslash));
        assert_eq!(found("id,v\n1,C:\\temp\n2,\\N\n").2, Escape::Doubled);
    }

    #[test]
    fn single_quotes_are_quotes_where_they_are_around_cells() {
        assert_eq!(found("id;v\n1;'a;b'\n2;'c'\n3;'it''s'\n").1, '\'');
        assert_eq!(found("'id';'v'\n'1';'a'\n'2';'c'\n").1, '\'');
        assert_eq!(found("id;v\n1;'t huis\n2;'quoted'\n3;x\n").1, '"');
    }

    #[test]
    fn the_line_of_excel_gives_the_delimiter() {
        let found = find("sep=|\r\nid|v, w\r\n1|a, b\r\n");
        assert_eq!((found.dialect.delimiter, found.is_known), (Some(b'|'), true));
        assert!(found.reasons[0].contains("`sep=`"), "{:?}", found.reasons);
    }
}
