//! The delimiter of a text table, from its beginning.

/// The delimiters that are tried.
const CANDIDATES: [u8; 4] = [b',', b';', b'\t', b'|'];

/// At most so many records are looked at.
const RECORDS: usize = 1000;

/// The delimiter that splits the most records like the first one, and of two such the one that splits it into more
/// fields; a comma where nothing splits it.
pub(super) fn guess(text: &str) -> u8 {
    let best = CANDIDATES.into_iter().rev().filter_map(|delimiter| Some((score(text, delimiter)?, delimiter))).max();
    best.map_or(b',', |(_, delimiter)| delimiter)
}

/// How many of 1000 records have as many fields as the first, and how many those are.
fn score(text: &str, delimiter: u8) -> Option<(usize, usize)> {
    let widths = widths(text.as_bytes(), delimiter);
    let first = *widths.first().filter(|&&width| width > 1)?;
    let alike = widths.iter().filter(|&&width| width == first).count();
    Some((alike * 1000 / widths.len(), first))
}

/// The number of fields of each record that is whole.
fn widths(text: &[u8], delimiter: u8) -> Vec<usize> {
    let mut widths = Vec::new();
    let (mut fields, mut begins, mut quoted, mut blank) = (1, true, false, true);
    for &byte in text {
        match byte {
            b'"' if quoted || begins => quoted = !quoted,
            b'\n' | b'\r' if !quoted => {
                if !blank {
                    widths.push(fields);
                }
                (fields, begins, blank) = (1, true, true);
                continue;
            }
            _ if byte == delimiter && !quoted => {
                fields += 1;
                (begins, blank) = (true, false);
                continue;
            }
            _ => {}
        }
        // A quote inside quotes may be half of a doubled one, which opens them again.
        begins = byte == b'"' && !quoted;
        blank = false;
        if widths.len() == RECORDS {
            break;
        }
    }
    // Whether the last line is whole is not known; it counts only where it is all there is.
    if widths.is_empty() {
        widths.push(fields);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_that_splits_all_lines_alike_wins() {
        assert_eq!(guess("id;nome;valor\n1;Sa, o;1,5\n2;\"x;y\";2,5\n"), b';');
        assert_eq!(guess("id,name\n1,\"a; b; c\"\n2,\"say \"\"hi\"\", all\"\n"), b',');
        assert_eq!(guess("a\tb\tc\n1,5\t2,5\t3,5\n"), b'\t');
        assert_eq!(guess("a|b\r\n\r\n1|2\r\n"), b'|');
    }

    #[test]
    fn a_header_with_few_fields_beats_text_with_many_commas() {
        assert_eq!(guess("a;b, c\n1;x\n2;y, z, w\n3;q\n"), b';');
    }

    #[test]
    fn what_nothing_splits_is_one_column() {
        assert_eq!(guess("name\nx\ny;z\n"), b',');
        assert_eq!(guess(""), b',');
    }
}
